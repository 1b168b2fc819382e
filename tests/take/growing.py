"""A take's events without a model: codes and audio are simple functions of position."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.audio import Waveform
from engine.events import AudioChunk, Event, PrimeEncoded, WindowDone
from engine.request import PrimeRef, Request
from engine.take import TakeWriter

RATE = 44_100
FRAMES = 43_008  # 336 top, 1344 middle, 5376 bottom tokens
HOPS = {0: 8, 1: 32, 2: 128}
PRIME_FRAMES = 25_600
WINDOWS = 16


def codes(level: int, start: int, count: int) -> np.ndarray:
    return (np.arange(start, start + count, dtype=np.int64) * 7 + level) % 2048


def audio(start: int, count: int) -> np.ndarray:
    return (0.5 * np.sin(np.arange(start, start + count) * 0.05)).astype(np.float32)


def prime() -> Waveform:
    return Waveform.of_mono(audio(0, PRIME_FRAMES), RATE)


def request(seed: int = 3) -> Request:
    return Request(prime=PrimeRef(path="/riffs/riff.wav"), frames=FRAMES, seed=seed)


def prime_encoded() -> PrimeEncoded:
    return PrimeEncoded({level: codes(level, 0, PRIME_FRAMES // hop) for level, hop in HOPS.items()}, 0.25)


def events() -> Iterator[Event]:
    """The prime's codes, then sixteen rounds of a window per level and the audio they make."""
    yield prime_encoded()
    frames = FRAMES // WINDOWS
    for index in range(WINDOWS):
        for level in (2, 1, 0):
            count = frames // HOPS[level]
            start = PRIME_FRAMES // HOPS[level] + index * count
            yield WindowDone(level, index, start, codes(level, start, count), 0.01)
        yield AudioChunk(index * frames, audio(index * frames, frames))


def main() -> None:
    """Grows a take in a process that says when the asked-for number of windows is on disk, then goes on."""
    root, windows = Path(sys.argv[1]), int(sys.argv[2])
    writer = TakeWriter.create(root, request(), "hash", prime())
    for event in events():
        writer.event(event)
        if writer.windows == windows:
            print(writer.folder, flush=True)
            windows = -1
            sys.stdin.readline()
    writer.finish()


if __name__ == "__main__":
    main()
