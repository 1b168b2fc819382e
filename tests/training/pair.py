"""What two processes under torchrun do together, for the tests: ``python -m tests.training.pair KIND FOLDER``.

``codec`` and ``prior`` train in two calls of 4 and 8 steps, 2 items a rank; ``line`` trains the line task until it
is killed. Rank 1 notes every file of the run that it opens for writing.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from engine.training.codec_trainer import train_level
from engine.training.loop import LoopSettings, make_accelerator
from engine.training.prior_trainer import train_prior
from tests.training.fitting import LineTask
from tests.training.fitting import train as train_line
from tests.training.sounds import TINY_CODEC, tone_cache

CALLS = (4, 8)


def train_codec(folder: Path, batch: int) -> list[dict[str, Any]]:
    """Level 1 of a tiny codec, in two calls; ``batch`` crops a process."""
    cache = tone_cache(folder)
    summaries = []
    for steps in CALLS:
        settings = LoopSettings(steps=steps, batch=batch, lr=1e-3, warmup=2, device="cpu", threads=1)
        accelerator = make_accelerator(settings)
        summaries.append(
            train_level(
                1, TINY_CODEC, cache, settings, 2048, folder / "run", accelerator, plots=False, show=False
            )
        )
    return summaries


def train_top(folder: Path, batch: int) -> list[dict[str, Any]]:
    """A tiny top prior, in two calls; ``batch`` windows a process."""
    from tests.training.test_prior_training import patterned_store, tiny_prior

    store = patterned_store(folder / f"codes{os.environ.get('RANK', '0')}")
    summaries = []
    for steps in CALLS:
        settings = LoopSettings(steps=steps, batch=batch, lr=1e-2, warmup=2, device="cpu", threads=1)
        accelerator = make_accelerator(settings)
        summaries.append(
            train_prior(
                tiny_prior(store, 2), store, settings, folder / "prior", accelerator, plots=False, show=False
            )
        )
    return summaries


def _note_writes(folder: Path) -> list[str]:
    written: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            path = str(arguments[0])
            if path.startswith((str(folder / "run"), str(folder / "prior"))):
                written.append(path)

    sys.addaudithook(hook)
    return written


def main(kind: str, folder: Path) -> None:
    rank = int(os.environ["RANK"])
    (folder / f"pid{rank}").write_text(str(os.getpid()))
    if kind == "line":
        train_line(folder / "run", 100_000, LineTask(pause=0.02))
        return
    written = _note_writes(folder) if rank else []
    summaries = {"codec": train_codec(folder, 2), "prior": train_top(folder, 2)}
    (folder / f"found{rank}.json").write_text(json.dumps({**summaries, "written": written}))


if __name__ == "__main__":
    from engine.errors import SegueError

    try:
        main(sys.argv[1], Path(sys.argv[2]))
    except SegueError as error:
        print(f"segue: {error}", file=sys.stderr, flush=True)
        raise SystemExit(2) from error
