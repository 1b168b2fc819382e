"""Takes made without a model, for tests of what becomes of them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from engine.audio import Waveform
from engine.events import AudioChunk, PrimeEncoded, WindowDone
from engine.request import Mode, PrimeRef, Request
from engine.take import Take, TakeWriter

RATE = 44_100
HOPS = {0: 8, 1: 32, 2: 128}


def sine(frames: int, hertz: float = 440.0, gain: float = 0.2, start: int = 0) -> np.ndarray:
    at = np.arange(start, start + frames)
    return (gain * np.sin(2 * np.pi * hertz * at / RATE)).astype(np.float32)


def made(
    root: Path,
    continuation: np.ndarray,
    prime: np.ndarray | None = None,
    *,
    windows: int = 4,
    **request: Any,
) -> Take:
    """A complete take of these sounds, float32 [frames] at 44.1 kHz; ``prime`` None: from nothing."""
    heard = np.zeros(0, np.float32) if prime is None else prime
    before = {"prime": PrimeRef(path="/riffs/riff.wav")} if prime is not None else {"mode": Mode.ANCESTRAL}
    asked = Request(**{**before, "frames": continuation.size, "seed": 7, **request})
    head = TakeWriter.create(root, asked, "hash", Waveform.of_mono(heard, RATE), hop=HOPS[2])
    tokens = {level: heard.size // hop for level, hop in HOPS.items()}
    if heard.size:
        head.event(PrimeEncoded({level: np.zeros(count, np.int64) for level, count in tokens.items()}, 0.1))
    else:
        head.event(PrimeEncoded({level: np.zeros(0, np.int64) for level in HOPS}, 0.0))
    for level, hop in HOPS.items():
        wanted = tokens[level] + -(-continuation.size // hop)
        edges = np.linspace(tokens[level], wanted, windows + 1).astype(int)
        for index, (start, stop) in enumerate(itertools.pairwise(edges)):
            head.event(WindowDone(level, index, int(start), np.zeros(stop - start, np.int64), 0.01))
    head.event(AudioChunk(0, continuation))
    return head.finish()
