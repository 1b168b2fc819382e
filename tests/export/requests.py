"""A short request for a tiny model, and the sound it continues."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.request import Fidelity, PrimeRef, Request, Style


def request_of(model: Path, fidelity: str) -> Request:
    """A tenth of a second in a style, several windows of every level."""
    return Request(
        model=str(model),
        prime=PrimeRef(path="riff.wav"),
        style=Style(genres={"house": 1.0}),
        frames=4410 * 4,
        seed=11,
        fidelity=Fidelity(fidelity),
    )


def sound_of(request: Request) -> NDArray[np.float32]:
    """A plucked note, float32 [frames]."""
    time = np.arange(13000) / 44100
    return (0.4 * np.sin(2 * np.pi * 220 * time) * np.exp(-6 * (time % 0.1))).astype(np.float32)
