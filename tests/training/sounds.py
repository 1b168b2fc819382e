"""Small audio folders and a small codec for the tests of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from engine.codec.config import CodecConfig
from engine.training.cache import AudioCache, open_cache

RATE = 8000
TINY_CODEC = CodecConfig(
    sample_rate=RATE,
    downs=(1, 1, 1),
    embed_width=8,
    bins=32,
    width=8,
    depth=1,
    linf_k=64,
    stft=((256, 60, 150), (128, 30, 75)),
)  # hops 2, 4, 8


def tone(hertz: float, seconds: float, rate: int = RATE) -> NDArray[np.float32]:
    """A sine of amplitude 0.5."""
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def tone_folder(folder: Path, count: int = 4, seconds: float = 2.0) -> Path:
    """``count`` WAV files, file k a sine of 200 + 100 k Hz."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        soundfile.write(folder / f"tone{number}.wav", tone(200 + 100 * number, seconds), RATE)
    return folder


def tone_cache(folder: Path, count: int = 4, seconds: float = 2.0) -> AudioCache:
    """The audio cache of :func:`tone_folder`, below ``folder``."""
    return open_cache(tone_folder(folder / "audio", count, seconds), folder / "cache", RATE)
