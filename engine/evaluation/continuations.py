"""Continuations of held-out primes, beside three baselines: what the song does, another song, and noise."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import TooShort
from engine.evaluation.data import Song, spread
from engine.evaluation.musical import Comparison, compare
from engine.evaluation.prior_metrics import style_of
from engine.events import AudioChunk, Progress
from engine.request import MAX_SECONDS, MAX_SEED, Fidelity, Frozen, PrimeRef, Request, Sampling, SongPosition
from engine.sampling import continue_prime
from engine.sampling.song import fitted
from engine.store import Model

System = Literal["model", "codec", "real", "shuffled", "noise"]
SYSTEMS: tuple[System, ...] = ("model", "codec", "real", "shuffled", "noise")
MIN_SECONDS = 3.0  # of prime and continuation: tempo needs that much


@dataclass(frozen=True)
class Pair:
    """A prime of a song at sample `start`, and what the song goes on with: float32 [T] each."""

    song: Song
    start: int
    prime: NDArray[np.float32]
    real: NDArray[np.float32]


@dataclass(frozen=True)
class Judged:
    """The continuations [T] of one pair by every system, and how each compares with the prime."""

    pair: Pair
    audio: dict[System, NDArray[np.float32]]
    comparisons: dict[System, Comparison]


class PrimeRow(Frozen):
    """One prime in the report: where it comes from, its request's seed, and every system's comparison."""

    song: str
    artist: str
    genres: tuple[str, ...]
    start_seconds: float
    seed: int
    systems: dict[System, Comparison]


class SystemSummary(Frozen):
    """All continuations of one system. Shares are 0..1 of the primes; medians leave out what has no value.

    ``system``: "model"; "real", what the song itself goes on with, and "codec", the same through the codec at the
    fidelity that is measured (the ceiling of any prior); "shuffled", what another song goes on with; "noise",
    white noise as loud as the prime.
    """

    system: System
    tempo_same: float
    tempo_octave: float
    tempo_error_percent: float | None
    key_same: float
    key_relative: float
    loudness_difference: float | None
    timbre_db: float
    silent: float
    collapsed: float


def choose_pairs(songs: Sequence[Song], count: int, prime_frames: int, frames: int, step: int) -> list[Pair]:
    """``count`` primes of ``prime_frames`` samples, song by song in turn, each followed by ``frames`` more.

    Primes start at multiples of ``step`` samples. Raises TooShort when no song is long enough.
    """
    whole = prime_frames + frames
    usable = [song for song in songs if song.samples.size >= whole]
    if not usable:
        raise TooShort(f"no file is as long as a prime and its continuation together ({whole} samples)")
    rounds = -(-count // len(usable))
    pairs = []
    for turn in range(rounds):
        for song in usable[: count - turn * len(usable)]:
            start = spread(song.samples.size - whole, rounds, step)[turn]
            middle = start + prime_frames
            pairs.append(
                Pair(song, start, song.samples[start:middle], song.samples[middle : middle + frames])
            )
    return pairs


def request_of(model: Model, pair: Pair, seed: int, fidelity: Fidelity, sampling: Sampling) -> Request:
    """The request that continues a pair's prime, with its song's labels and place in the song."""
    rate = model.config.rate
    total = min(pair.song.samples.size / rate, MAX_SECONDS)
    at = pair.start / rate
    position = SongPosition(total_seconds=total, prime_at_seconds=at) if at < total else None
    return Request(
        model=model.config.name,
        prime=PrimeRef(path=pair.song.name, start_seconds=at, length_seconds=pair.prime.size / rate),
        style=style_of(pair.song.artist, pair.song.genres, model.config.vocabulary(model.config.top)),
        frames=pair.real.size,
        song=None if position is None else fitted(model.config, position, pair.prime.size / rate),
        sampling=sampling,
        seed=seed % (MAX_SEED + 1),
        fidelity=fidelity,
    )


def continue_pair(
    model: Model, pair: Pair, request: Request, progress: Callable[[float], None] = lambda fraction: None
) -> NDArray[np.float32]:
    """The model's continuation float32 [T] of a pair's prime; ``progress`` is told the fraction done."""
    chunks = []
    for event in continue_prime(model, request, pair.prime):
        if isinstance(event, AudioChunk):
            chunks.append(event.samples)
        elif isinstance(event, Progress):
            progress(event.fraction)
    return np.concatenate(chunks)


def through_codec(model: Model, pair: Pair, level: int) -> NDArray[np.float32]:
    """What the song goes on with, float32 [T], encoded and decoded at ``level`` together with its prime."""
    whole = np.concatenate([pair.prime, pair.real])
    hop = model.config.hops[level]
    padded = np.pad(whole, (0, -whole.size % hop))
    device = next(model.codec.parameters()).device
    codes = model.codec.encode(torch.from_numpy(padded).to(device), [level])[level]
    heard = model.codec.decode(codes, level).float().cpu().numpy().reshape(-1)
    return np.ascontiguousarray(heard[pair.prime.size : whole.size])


def judge(
    pairs: Sequence[Pair],
    index: int,
    made: NDArray[np.float32],
    coded: NDArray[np.float32],
    rate: int,
    seed: int,
) -> Judged:
    """Compares ``made``, the model's continuation of pair ``index``, ``coded``, the song's own through the codec,
    and the baselines' with the prime."""
    pair = pairs[index]
    others = [other for other in [*pairs[index + 1 :], *pairs[:index]] if other.song is not pair.song]
    audio: dict[System, NDArray[np.float32]] = {"model": made, "codec": coded, "real": pair.real}
    if others:
        audio["shuffled"] = others[0].real
    level = float(np.sqrt((pair.prime.astype(np.float64) ** 2).mean()))
    audio["noise"] = np.random.default_rng([seed, index]).normal(0.0, level, made.size).astype(np.float32)
    return Judged(pair, audio, {name: compare(pair.prime, sound, rate) for name, sound in audio.items()})


def summarise(system: System, comparisons: Sequence[Comparison]) -> SystemSummary:
    """One line of the report from the comparisons of one system (at least one)."""

    def share(hits: Sequence[bool]) -> float:
        return sum(hits) / len(hits)

    def median(values: Sequence[float | None]) -> float | None:
        numbers = [value for value in values if value is not None]
        return statistics.median(numbers) if numbers else None

    loudness = [None if c.loudness_difference is None else abs(c.loudness_difference) for c in comparisons]
    return SystemSummary(
        system=system,
        tempo_same=share([c.tempo == "same" for c in comparisons]),
        tempo_octave=share([c.tempo == "octave" for c in comparisons]),
        tempo_error_percent=median([c.tempo_error_percent for c in comparisons]),
        key_same=share([c.key == "same" for c in comparisons]),
        key_relative=share([c.key == "relative" for c in comparisons]),
        loudness_difference=median(loudness),
        timbre_db=statistics.median(c.timbre_db for c in comparisons),
        silent=statistics.fmean(c.silent for c in comparisons),
        collapsed=share([c.collapsed for c in comparisons]),
    )
