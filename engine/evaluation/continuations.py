"""Continuations of held-out primes, beside baselines: what the song does, another song, and noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from engine.analysis.tempo import MIN_SECONDS as TEMPO_SECONDS
from engine.analysis.tempo import estimate_tempo
from engine.errors import TooShort
from engine.evaluation.data import Song, spread
from engine.evaluation.kept import Made
from engine.evaluation.musical import Comparison, compare
from engine.evaluation.prior_windows import style_of
from engine.lyrics import Words
from engine.prior.pulse import BEATS_PER_BAR
from engine.request import (
    MAX_SECONDS,
    MAX_SEED,
    Fidelity,
    Frozen,
    PrimeRef,
    Pulse,
    Request,
    Sampling,
    SongPosition,
    frames_of_bars,
)
from engine.sampling.song import fitted
from engine.store import Model

System = Literal["model", "codec", "real", "shuffled", "noise"]
SYSTEMS: tuple[System, ...] = ("model", "codec", "real", "shuffled", "noise")
MIN_SECONDS = 3.0  # of prime and continuation: tempo needs that much
TOLD = Literal["heard", "known"]


@dataclass(frozen=True)
class Pair:
    """A prime of a song at sample `start`, and what the song goes on with: float32 [T] each."""

    song: Song
    start: int
    prime: NDArray[np.float32]
    real: NDArray[np.float32]


@dataclass(frozen=True)
class Judged:
    """The continuations [T] of one pair by every system, how each compares with the prime, and the top level's codes of
    the prime and of those systems that have any."""

    pair: Pair
    audio: dict[System, NDArray[np.float32]]
    comparisons: dict[System, Comparison]
    prime_codes: NDArray[np.int64] | None = None
    codes: dict[System, NDArray[np.int64]] | None = None


class Copied(Frozen):
    """The longest runs of top-level codes, in seconds, that a continuation has from its prime and from other songs
    (None: none were searched), and from which song."""

    prime_seconds: float
    songs_seconds: float | None = None
    song: str | None = None


class PrimeRow(Frozen):
    """One prime in the report: where it comes from, its request's seed, every system's comparison, the genre that the
    classifier hears in each, and what is copied. ``weakness``: 0 for a continuation that misses nothing (see
    :func:`engine.evaluation.ranking.weakness`)."""

    song: str
    artist: str
    genres: tuple[str, ...]
    start_seconds: float
    seed: int
    systems: dict[System, Comparison]
    seconds: float | None = None
    styles: dict[System, str] = {}
    copied: dict[System, Copied] = {}
    weakness: float | None = None


def choose_pairs(
    songs: Sequence[Song], count: int, prime_frames: int, frames: int | Callable[[Song], int], step: int
) -> list[Pair]:
    """``count`` primes of ``prime_frames`` samples, song by song in turn, each followed by ``frames`` more (or by as
    many as that says of the song).

    Primes start at multiples of ``step`` samples. Raises TooShort when no song is long enough.
    """
    lengths = {id(song): frames if isinstance(frames, int) else frames(song) for song in songs}
    usable = [song for song in songs if song.samples.size >= prime_frames + lengths[id(song)]]
    if not usable:
        whole = prime_frames + min(lengths.values())
        raise TooShort(f"no file is as long as a prime and its continuation together ({whole} samples)")
    rounds = -(-count // len(usable))
    pairs = []
    for turn in range(rounds):
        for song in usable[: count - turn * len(usable)]:
            own = lengths[id(song)]
            start = spread(song.samples.size - prime_frames - own, rounds, step)[turn]
            middle = start + prime_frames
            pairs.append(Pair(song, start, song.samples[start:middle], song.samples[middle : middle + own]))
    return pairs


def pace_of(song: Song, rate: int) -> float:
    """Beats a minute of a song: what its metadata says, else as heard in the middle of it."""
    if song.truth is not None:
        return song.truth.bpm
    middle = song.samples[song.samples.size // 4 : -(song.samples.size // 4) or None]
    return estimate_tempo(middle if middle.size >= TEMPO_SECONDS * rate else song.samples, rate).bpm


def length_in_bars(bars: float, rate: int) -> Callable[[Song], int]:
    """How many samples ``bars`` bars of a song are. Raises TooShort, when asked, for less than tempo needs."""

    def frames(song: Song) -> int:
        pace = pace_of(song, rate)
        found = frames_of_bars(bars, pace, rate)
        if found < MIN_SECONDS * rate:
            raise TooShort(
                f"{bars:g} bars at {pace:.0f} bpm are {found / rate:.1f} s; hearing their tempo needs at least "
                f"{MIN_SECONDS:g} s, so give more bars"
            )
        return found

    return frames


def request_of(
    model: Model,
    pair: Pair,
    seed: int,
    fidelity: Fidelity,
    sampling: Sampling,
    told: TOLD = "heard",
    words: Words | None = None,
) -> Request:
    """The request that continues a pair's prime, with its song's labels and place in the song. ``told`` "known": also
    with the tempo, bar and key of its metadata, as a DAW knows them; "heard": these are left to the model's ear.
    ``words``: what is sung."""
    rate = model.config.rate
    total = min(pair.song.samples.size / rate, MAX_SECONDS)
    at = pair.start / rate
    position = SongPosition(total_seconds=total, prime_at_seconds=at) if at < total else None
    return Request(
        model=model.config.name,
        prime=PrimeRef(path=pair.song.name, start_seconds=at, length_seconds=pair.prime.size / rate),
        style=style_of(pair.song.artist, pair.song.genres, model.config.vocabulary(model.config.top)),
        lyrics=words.lyrics if words else "",
        lyric_times=words.lyric_times if words else (),
        frames=pair.real.size,
        song=None if position is None else fitted(model.config, position, pair.prime.size / rate),
        pulse=_stated(pair, rate) if told == "known" else None,
        sampling=sampling,
        seed=seed % (MAX_SEED + 1),
        fidelity=fidelity,
    )


def _stated(pair: Pair, rate: int) -> Pulse | None:
    truth = pair.song.truth
    if truth is None:
        return None
    bar = 60.0 * BEATS_PER_BAR * rate / truth.bpm
    seam = pair.start + pair.prime.size
    return Pulse(bpm=truth.bpm, downbeat_frame=round(-(seam % bar)), key=truth.key.name)


def through_codec(model: Model, pair: Pair, level: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What the song goes on with, float32 [T], encoded and decoded at ``level`` together with its prime; and its codes
    at the top level, int64 [n]."""
    top = model.config.top
    codes = _codes(model, pair, level)
    heard = model.codec.decode(codes, level).float().cpu().numpy().reshape(-1)
    whole = pair.prime.size + pair.real.size
    after = (codes if level == top else _codes(model, pair, top))[pair.prime.size // model.config.hops[top] :]
    return np.ascontiguousarray(heard[pair.prime.size : whole]), after.cpu().numpy().astype(np.int64)


def _codes(model: Model, pair: Pair, level: int) -> torch.Tensor:
    """Codes of prime and what follows, int64 [tokens]."""
    whole = np.concatenate([pair.prime, pair.real])
    padded = torch.from_numpy(np.pad(whole, (0, -whole.size % model.config.hops[level])))
    return model.codec.encode(padded.to(next(model.codec.parameters()).device), [level])[level]


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
    found = {name: compare(pair.prime, sound, rate, pair.song.truth) for name, sound in audio.items()}
    return Judged(pair, audio, found)


def with_codes(
    judged: Sequence[Judged], made: Sequence[Made], real: Sequence[NDArray[np.int64]]
) -> list[Judged]:
    """The same with the top level's codes of what the model ``made``, of the ``real`` songs, and of other songs."""
    found = []
    for one, own, after in zip(judged, made, real, strict=True):
        codes: dict[System, NDArray[np.int64]] = {"model": own.codes, "real": after}
        sound = one.audio.get("shuffled")
        for other, others_after in zip(judged, real, strict=True):
            if sound is not None and other.pair.real is sound:
                codes["shuffled"] = others_after
        found.append(Judged(one.pair, one.audio, one.comparisons, own.prime_codes, codes))
    return found
