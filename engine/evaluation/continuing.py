"""Continuations made and judged: by each metric, of every system, and put into the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from engine.backends.protocol import Backend
from engine.errors import BadArguments, SegueError
from engine.evaluation.bars import begin
from engine.evaluation.continuations import (
    SYSTEMS,
    Copied,
    Judged,
    Pair,
    PrimeRow,
    System,
    choose_pairs,
    judge,
    length_in_bars,
    request_of,
    through_codec,
    with_codes,
)
from engine.evaluation.data import Song, encode_span
from engine.evaluation.features import HEARD_SECONDS, second_features
from engine.evaluation.frechet import distance_from
from engine.evaluation.kept import Maker
from engine.evaluation.long_takes import Change, LongTake, change_style, other_genre, take_long
from engine.evaluation.novelty import longest_runs
from engine.evaluation.ranking import weakness
from engine.evaluation.settings import EvalSettings
from engine.evaluation.style import StyleJudge
from engine.evaluation.summary import SystemSummary, summarise
from engine.evaluation.truth import Told
from engine.request import MAX_SEED, Request
from engine.store import Model
from engine.training.codes import encoder_key, read_codes

Coded = tuple[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Continued:
    """Pairs with the requests that continued them, and what became of each."""

    pairs: tuple[Pair, ...]
    requests: tuple[Request, ...]
    judged: tuple[Judged, ...]


def pairs_of(model: Model, songs: Sequence[Song], settings: EvalSettings) -> list[Pair]:
    """The primes to continue. Raises TooShort when no song is long enough."""
    rate, step = model.config.rate, model.config.hops[-1]
    prime_frames = math.ceil(settings.prime_seconds * rate / step) * step
    if settings.bars is None:
        return choose_pairs(songs, settings.primes, prime_frames, math.ceil(settings.seconds * rate), step)
    return choose_pairs(songs, settings.primes, prime_frames, length_in_bars(settings.bars, rate), step)


def continue_all(
    model: Model, maker: Maker, pairs: Sequence[Pair], told: Told, settings: EvalSettings, progress: Progress
) -> Continued:
    """Every pair's prime continued and judged; what ``maker`` has is not made again."""
    task = begin(progress, "continuing", len(pairs))
    judged, requests, takes, real = [], [], [], []
    for index, pair in enumerate(pairs):
        words = told.words.get(pair.song.name)
        seed = settings.seed + index
        request = request_of(model, pair, seed, settings.fidelity, settings.sampling, settings.told, words)

        def done(fraction: float, before: int = index) -> None:
            progress.update(task, completed=before + fraction)

        made = maker.make(request, pair.prime, done)
        coded, after = through_codec(model, pair, settings.fidelity.level)
        judged.append(judge(pairs, index, made.audio, coded, model.config.rate, settings.seed))
        requests.append(request)
        takes.append(made)
        real.append(after)
        progress.update(task, completed=index + 1)
    return Continued(tuple(pairs), tuple(requests), tuple(with_codes(judged, takes, real)))


def long_takes(
    maker: Maker, continued: Continued, settings: EvalSettings, progress: Progress
) -> tuple[LongTake, ...]:
    """A minute or so of the first primes, one of every song as far as there are songs."""
    count = min(settings.long, len(continued.pairs))
    task = begin(progress, f"continuing for {settings.long_seconds:g} s", count)
    found = []
    for index in range(count):

        def done(fraction: float, before: int = index) -> None:
            progress.update(task, completed=before + fraction)

        pair, request = continued.pairs[index], continued.requests[index]
        found.append(take_long(maker, pair, request, settings.long_seconds, done))
        progress.update(task, completed=index + 1)
    return tuple(found)


def changes(
    maker: Maker,
    continued: Continued,
    judge_of: StyleJudge | None,
    settings: EvalSettings,
    progress: Progress,
) -> tuple[Change, ...]:
    """The first primes continued with another genre from the middle on, as far as their genres are judged."""
    known = set(maker.backend.config.genres) & set(judge_of.genres if judge_of else ())
    least = 2 * HEARD_SECONDS * maker.backend.config.rate  # two halves that can be heard
    chosen = [
        i
        for i, pair in enumerate(continued.pairs)
        if pair.song.genres[0] in known and pair.real.size >= least
    ]
    if judge_of is None or len(known) < 2:
        return ()
    chosen = chosen[: settings.then]
    task = begin(progress, "changing style", len(chosen))
    coded = hears_codec(continued.judged, judge_of, maker.backend.config.rate)
    found = []
    for turn, index in enumerate(chosen):

        def done(fraction: float, before: int = turn) -> None:
            progress.update(task, completed=before + fraction)

        pair, request = continued.pairs[index], continued.requests[index]
        after = other_genre(pair.song.genres[0], sorted(known), turn)
        found.append(change_style(maker, coded, pair, request, after, done))
        progress.update(task, completed=turn + 1)
    return tuple(found)


def searched_codes(model: Model, songs: Sequence[Song], codes: Path | None) -> list[Coded]:
    """Top-level codes of the songs that copies are looked for in: the training split of the folder ``codes``, as
    `segue train` keeps it, else of ``songs``. Raises BadArguments for the codes of another codec."""
    level, hop = model.config.top, model.config.hops[model.config.top]
    if codes is None:
        whole = [(song, song.samples.size // hop * hop) for song in songs]
        return [
            (song.name, encode_span(model.codec, song.samples, 0, frames, level).numpy())
            for song, frames in whole
        ]
    store = read_codes(codes, [level])
    if not store.index.keys[level].startswith(encoder_key(model.codec, level)):
        raise BadArguments(
            f"the codes in '{codes}' are of another codec than that of '{model.config.name}'; "
            "give the folder that its own training kept them in"
        )
    return [(song.name, store.codes(song, level).astype(np.int64)) for song in store.songs("train")]


def find_copies(
    judged: Sequence[Judged], searched: Sequence[Coded], seconds_of: float, tick: Callable[[], None]
) -> list[dict[System, Copied]]:
    """The longest runs of every continuation, a token lasting ``seconds_of``; ``tick`` after each searched song."""
    keys = [(place, name) for place, one in enumerate(judged) for name in (one.codes or {})]
    queries = [(judged[place].codes or {})[name] for place, name in keys]
    found = longest_runs(queries, searched, tick) if searched else [None] * len(keys)
    rows: list[dict[System, Copied]] = [{} for _ in judged]
    for (place, name), query, run in zip(keys, queries, found, strict=True):
        prime = judged[place].prime_codes
        [own] = longest_runs([query], [("prime", prime if prime is not None else [])])
        rows[place][name] = Copied(
            prime_seconds=own.length * seconds_of,
            songs_seconds=None if run is None else run.length * seconds_of,
            song=run.song or None if run is not None else None,
        )
    return rows


def hears_codec(judged: Sequence[Judged], judge_of: StyleJudge, rate: int) -> StyleJudge:
    """The classifier for what comes from the model's codec, relative to the halves of what songs go on with, coded."""
    whole = [one.audio["codec"] for one in judged if one.audio["codec"].size >= 2 * HEARD_SECONDS * rate]
    halves = [half for sound in whole for half in (sound[: sound.size // 2], sound[sound.size // 2 :])]
    return judge_of.through(halves, rate)


def hear_styles(judged: Sequence[Judged], judge_of: StyleJudge | None, rate: int) -> list[dict[System, str]]:
    """The genre heard in every continuation of a song whose genre is known; nothing without a classifier."""
    if judge_of is None:
        return [{} for _ in judged]
    coded = hears_codec(judged, judge_of, rate)
    judges = {"model": coded, "codec": coded}
    return [
        {name: judges.get(name, judge_of).name(sound, rate) for name, sound in one.audio.items()}
        if one.pair.song.genres[0] in judge_of.genres
        else {}
        for one in judged
    ]


def distances(judged: Sequence[Judged], rate: int) -> Mapping[System, float]:
    """Fréchet distance of every system's continuations from the primes."""
    primes = [one.pair.prime for one in judged if one.pair.prime.size >= HEARD_SECONDS * rate]
    reference = np.concatenate([second_features(prime, rate) for prime in primes])
    found: dict[System, float] = {}
    if len(reference) < 2:
        return found
    for name in SYSTEMS:
        sounds = [one.audio[name] for one in judged if name in one.audio]
        if sounds:
            found[name] = distance_from(reference, sounds, rate)
    return found


def rows_of(
    continued: Continued,
    styles: Sequence[dict[System, str]],
    copied: Sequence[dict[System, Copied]],
    settings: EvalSettings,
    rate: int,
) -> tuple[PrimeRow, ...]:
    """A row of the report for every prime."""
    rows = []
    for index, one in enumerate(continued.judged):
        heard = styles[index].get("model")
        right = None if heard is None else heard == one.pair.song.genres[0]
        rows.append(
            PrimeRow(
                song=one.pair.song.name,
                artist=one.pair.song.artist,
                genres=one.pair.song.genres,
                start_seconds=round(one.pair.start / rate, 6),
                seed=(settings.seed + index) % (MAX_SEED + 1),
                systems=one.comparisons,
                seconds=round(one.pair.real.size / rate, 6),
                styles=styles[index],
                copied=copied[index],
                weakness=weakness(one.comparisons["model"], right),
            )
        )
    return tuple(rows)


def summaries(rows: Sequence[PrimeRow], frechet: Mapping[System, float]) -> Iterator[SystemSummary]:
    """A line for every system that has continuations."""
    for name in SYSTEMS:
        found = [row.systems[name] for row in rows if name in row.systems]
        right = [row.styles[name] == row.genres[0] for row in rows if name in row.styles]
        copied = [row.copied[name] for row in rows if name in row.copied]
        if found:
            yield summarise(name, found, right, copied, frechet.get(name))


def backend_of(model: Model, given: Backend | None) -> Backend:
    """What continues primes: the runtime that was opened for it, else the measured model itself."""
    if given is not None:
        if given.hash != model.hash:
            raise SegueError("the runtime holds other weights than the model that is measured")
        return given
    from engine.backends.torch_backend import TorchBackend

    return TorchBackend(model)
