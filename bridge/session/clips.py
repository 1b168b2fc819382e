"""Sounds that a session writes for itself: what was captured, and the bar that is held."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.audio import write_wav_float
from engine.audio.durable import writing

FOLDER = "captures"  # in the takes folder


def write_clip(path: Path, samples: npt.NDArray[np.float32], rate: int) -> None:
    """Mono float32 ``samples`` as a WAV that is there whole or not at all, whoever reads the one before it.

    May block. Raises as :func:`engine.audio.durable.writing` does.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_wav_float(path, samples, rate)
