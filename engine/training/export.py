"""From training runs to a model folder that every other command loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.codec.vqvae import Codec
from engine.errors import TrainingError
from engine.prior.prior import Prior
from engine.store import ModelConfig, load_model, save_model
from engine.training.codec_trainer import finished_codec
from engine.training.codes import encoder_key
from engine.training.files import writing_to
from engine.training.prior_trainer import load_prior
from engine.training.record import require_agreement, training_record


def export_model(
    codec_run: Path, prior_runs: list[Path], folder: Path, name: str, base: str | None = None
) -> ModelConfig:
    """Write a model folder from the newest checkpoints of a codec run and of one prior run per level.

    Priors that have no run are those of the model ``base``, whose codes must be the same. ``model.json`` gets the
    label names and the training record: per part the steps, hours, hardware, data and command. Raises
    :class:`TrainingError` when a level is missing or the parts do not belong together.
    """
    priors: dict[int, Prior] = {}
    records: dict[str, Any] = {}
    shared: dict[str, Any] = {}
    if base is None:
        codec, codec_record = finished_codec(codec_run)
    else:
        model = load_model(base)
        codec, codec_record = finished_codec(codec_run, model.codec, model.config.training.get("codec", {}))
        _require_same_codes(codec, model.codec, base)
        priors, records = dict(model.priors), dict(model.config.training.get("priors", {}))
        shared = {"artists": list(model.config.artists), "genres": list(model.config.genres)}
    named: set[int] = set()
    for run in prior_runs:
        prior, state = load_prior(run)
        level = prior.config.level
        if level in named:
            raise TrainingError(f"'{run}' is a second prior of level {level}; name one run per level")
        named.add(level)
        mine = {key: state["arguments"][key] for key in ("artists", "genres")}
        require_agreement(run, mine, shared or mine)
        shared = mine
        _require_codes_of(codec, state["arguments"]["codes"], run)
        priors[level] = prior
        records[str(level)] = training_record(state)
    _require_all(codec, priors)
    config = ModelConfig(
        name=name,
        codec=codec.config,
        priors=tuple(priors[level].config for level in sorted(priors)),
        artists=tuple(shared["artists"]),
        genres=tuple(shared["genres"]),
        training={"codec": codec_record, "priors": records},
    )
    with writing_to(folder):
        save_model(folder, config, codec, priors)
    return config


def _require_codes_of(codec: Codec, keys: dict[str, str], run: Path) -> None:
    for level, key in keys.items():
        if key.partition("-")[0] != encoder_key(codec, int(level)):
            raise TrainingError(
                f"'{run}' was trained on codes of another codec (level {level}); "
                "train it on this codec's, or export it with the codec it belongs to"
            )


def _require_same_codes(codec: Codec, base: Codec, name: str) -> None:
    for level in range(codec.config.levels):
        if encoder_key(codec, level) != encoder_key(base, level):
            raise TrainingError(
                f"the priors of '{name}' were trained on other codes of level {level} than this codec "
                "makes; train priors on its own, or the codec with --keep-codes"
            )


def _require_all(codec: Codec, priors: dict[int, Prior]) -> None:
    lacking = [str(level) for level in range(codec.config.levels) if level not in priors]
    if lacking:
        raise TrainingError(
            f"there is no prior of level {', '.join(lacking)}; name one run per level with --prior RUN"
        )
