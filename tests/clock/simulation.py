"""A DAW's clock and a sound card with jitter, and the truth about both in seconds: no code of the bridge."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

SECOND = 10**9


class Daw:
    """Sends MIDI clock at ``bpm`` from ``starts_at`` (seconds) on, heard late or early by up to ``jitter_ms``."""

    def __init__(self, bpm: float, seed: int, jitter_ms: float = 2.0) -> None:
        self.bpm = bpm
        self.random = random.Random(seed)
        self.jitter = jitter_ms / 1000
        self.starts_at = 1000.0 + self.random.random()

    def when(self, beat: float) -> float:
        """The true second of a beat."""
        return self.starts_at + beat * 60 / self.bpm

    def ticks(self, first_beat: float, last_beat: float) -> Iterator[int]:
        """Arrival times (ns) of the ticks of these beats, both ends included."""
        for tick in range(round(first_beat * 24), round(last_beat * 24) + 1):
            yield self.late(self.when(tick / 24))

    def late(self, second: float) -> int:
        return round((second + self.random.uniform(-self.jitter, self.jitter)) * SECOND)


class Card:
    """A sound card that runs a little fast or slow, and says late or early which sample is heard."""

    def __init__(self, rate: int, seed: int, jitter_ms: float = 2.0, off_ppm: float = 80.0) -> None:
        self.random = random.Random(seed + 10_000)
        self.jitter = jitter_ms / 1000
        self.rate = rate * (1 + off_ppm * 1e-6)
        self.starts_at = 996.0 + self.random.random()

    def sample_at(self, second: float) -> float:
        """The true place in the stream."""
        return (second - self.starts_at) * self.rate

    def blocks(self, until: float, size: int = 512) -> Iterator[tuple[int, int]]:
        """(first sample, reported ns) of every block that begins before ``until``."""
        block = 0
        while (second := self.starts_at + block * size / self.rate) < until:
            yield block * size, round((second + self.random.uniform(-self.jitter, self.jitter)) * SECOND)
            block += 1


def changing(
    tempo: Callable[[float], float], beats: int, seed: int, jitter_ms: float = 2.0
) -> list[tuple[float, int]]:
    """(true second, arrival in ns) of every tick where ``tempo`` says the bpm at a beat."""
    source = random.Random(seed)
    second, ticks = 500.0, []
    for tick in range(24 * beats):
        ticks.append((second, round((second + source.uniform(-jitter_ms, jitter_ms) / 1000) * SECOND)))
        second += 60 / tempo(tick / 24) / 24
    return ticks
