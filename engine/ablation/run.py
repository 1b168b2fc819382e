"""Running cells: every one is a run folder of ``segue train codec``, so a killed one goes on and a finished one is
passed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from engine.ablation.experiments import Cell
from engine.ablation.variants import VARIANTS
from engine.codec.config import CodecConfig
from engine.errors import BadFormat
from engine.request import Frozen
from engine.training.cache import AudioCache
from engine.training.checkpoint import load_state
from engine.training.codec_trainer import DEFAULT_CROPS, RESTART_FRACTION, level_folder, train_level
from engine.training.files import write_json
from engine.training.loop import LoopSettings, make_accelerator
from engine.training.record import require_agreement

SCALE_FILE = "scale.json"
USUAL_WARMUP = 100


class Scale(Frozen):
    """How small: the same for every cell. ``crops``: samples per level; ``width`` and ``depth`` of the networks."""

    steps: Annotated[int, Field(ge=1)] | None = None
    minutes: Annotated[float, Field(gt=0)] | None = None
    width: Annotated[int, Field(ge=1)] = 32
    depth: Annotated[int, Field(ge=1)] = 4
    batch: Annotated[int, Field(ge=1)] = 4
    crops: tuple[int, int, int] = DEFAULT_CROPS
    lr: Annotated[float, Field(gt=0)] = 1e-3
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = (0,)
    sample_rate: int = 44100


def config_of(cell: Cell, scale: Scale) -> CodecConfig:
    """The codec of a cell."""
    return CodecConfig(
        sample_rate=scale.sample_rate, **{"width": scale.width, "depth": scale.depth, **cell.changes}
    )


def cell_folder(out: Path, cell: Cell, seed: int) -> Path:
    """Run folder of one cell with one seed."""
    return out / "cells" / cell.name / f"seed-{seed}"


def cell_state(out: Path, cell: Cell, seed: int) -> dict[str, Any] | None:
    """State of a cell's newest checkpoint, or None."""
    return load_state(level_folder(cell_folder(out, cell, seed), cell.level))


def begin(out: Path, scale: Scale, audio: AudioCache) -> None:
    """Note the scale in ``out``, or make sure that what lies there was made at the same one (seeds may be added).

    Raises TrainingError naming the difference.
    """
    now = {**scale.model_dump(mode="json", exclude={"seeds"}), "audio": audio.fingerprint}
    path = out / SCALE_FILE
    if path.is_file():
        require_agreement(out, now, _noted(path))
    write_json(path, now)


def _noted(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except ValueError as error:
        raise BadFormat(
            f"'{path}' cannot be read ({error}); delete it if its cells were all of this scale"
        ) from error


def train_cell(
    cell: Cell,
    seed: int,
    scale: Scale,
    audio: AudioCache,
    out: Path,
    *,
    threads: int | None,
    device: str,
    origin: dict[str, str],
    show: bool = True,
) -> dict[str, Any] | None:
    """Train one cell, or go on with it; returns the loop's summary, or None when it was done before."""
    state = cell_state(out, cell, seed)
    if state is not None and state["finished"]:
        return None
    settings = LoopSettings.model_validate(
        {
            "steps": scale.steps,
            "minutes": scale.minutes,
            "batch": scale.batch,
            "lr": scale.lr,
            "warmup": min(USUAL_WARMUP, (scale.steps or USUAL_WARMUP * 10) // 10),
            "seed": seed,
            "threads": threads,
            "device": device,
            "evaluate_minutes": 60.0,  # only the last evaluation is asked for
        }
    )
    return train_level(
        cell.level,
        config_of(cell, scale),
        audio,
        settings,
        scale.crops[cell.level],
        cell_folder(out, cell, seed),
        make_accelerator(settings),
        restart_fraction=RESTART_FRACTION if cell.restarts else 0.0,
        show=show,
        origin=origin,
        make=VARIANTS[cell.variant],
        plots=False,
    )
