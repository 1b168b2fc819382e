"""Takes without a model, for what is made of them afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.audio import Waveform
from engine.events import AudioChunk, PrimeEncoded, WindowDone
from engine.request import Mode, PrimeRef, Request, TakeRef
from engine.take import Take, TakeWriter
from engine.take.marks import Marks, write_marks

RATE = 44_100


def tone(frames: int, hertz: float) -> np.ndarray:
    """A sine whose amplitude swells and falls, float32 [frames]."""
    t = np.arange(frames) / RATE
    return (0.4 * (1 + np.sin(2 * np.pi * t)) / 2 * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


def riff(beats: int, bpm: float, hertz: float = 220.0) -> np.ndarray:
    """A prime of so many beats, as a DAW would render it: rounded to a sample."""
    return tone(round(beats * 60 * RATE / bpm), hertz)


def frames_of(beats: float, bpm: float) -> int:
    return round(beats * 60 * RATE / bpm)


def make_take(
    root: Path,
    *,
    frames: int,
    prime: np.ndarray | None = None,
    name: str = "",
    after: Take | None = None,
    used: int | None = None,
    mode: Mode | None = None,
    marks: dict[str, Any] | None = None,
    hertz: float = 330.0,
    path: str = "/riffs/my riff_120bpm.wav",
    **asked: Any,
) -> Take:
    """A finished take in a folder of its own under ``root``. ``after``: its parent, of which ``used`` frames count."""
    mode = mode or (Mode.CONTINUE if after else Mode.PRIMED if prime is not None else Mode.ANCESTRAL)
    request = Request(
        mode=mode,
        prime=PrimeRef(path=path) if mode is Mode.PRIMED else None,
        parents=(TakeRef(folder=str(after.folder), frames=used),) if after else (),
        frames=frames,
        **asked,
    )
    if prime is None:
        prime = after.audio().mono_samples()[-8192:] if after else np.zeros(0, np.float32)
    writer = TakeWriter.create(root, request, "hash", Waveform.of_mono(prime, RATE))
    tokens = prime.size // 128
    writer.event(PrimeEncoded({2: np.zeros(tokens, np.int64)}, 0.1))
    writer.event(WindowDone(2, 0, tokens, np.zeros(-(-frames // 128), np.int64), 0.1))
    writer.event(AudioChunk(0, tone(frames, hertz)))
    take = writer.finish()
    if marks or name:
        write_marks(take.folder, Marks.model_validate({"name": name, **(marks or {})}))
    return take
