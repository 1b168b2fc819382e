"""Continuations made and judged: by each metric, of every system, and put into the report."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from safetensors.torch import save

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
from engine.evaluation.style import Channel, Judges
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
    judges: Judges | None,
    settings: EvalSettings,
    progress: Progress,
) -> tuple[Change, ...]:
    """The first primes continued with another genre from the middle on, as far as their genres are judged."""
    known = set(maker.backend.config.genres) & set(judges.plain.genres if judges else ())
    least = 2 * HEARD_SECONDS * maker.backend.config.rate  # two halves that can be heard
    chosen = [
        i
        for i, pair in enumerate(continued.pairs)
        if pair.song.genres[0] in known and pair.real.size >= least
    ]
    if judges is None or len(known) < 2:
        return ()
    chosen = chosen[: settings.then]
    task = begin(progress, "changing style", len(chosen))
    found = []
    for turn, index in enumerate(chosen):

        def done(fraction: float, before: int = turn) -> None:
            progress.update(task, completed=before + fraction)

        pair, request = continued.pairs[index], continued.requests[index]
        after = other_genre(pair.song.genres[0], sorted(known), turn)
        found.append(change_style(maker, judges.coded, pair, request, after, done))
        progress.update(task, completed=turn + 1)
    return tuple(found)


def codec_channel(model: Model, level: int) -> Channel:
    """Sound through the model's codec at ``level``, a multiple of its hop long."""
    decoder = {
        name: value.contiguous()
        for name, value in model.codec.levels[level].state_dict().items()
        if name.startswith("decoder.")
    }
    key = f"{encoder_key(model.codec, level)}-{hashlib.sha256(save(decoder)).hexdigest()[:12]}"
    device, hop = next(model.codec.parameters()).device, model.config.hops[level]

    def carry(piece: NDArray[np.float32]) -> NDArray[np.float32]:
        whole = torch.from_numpy(piece[: piece.size // hop * hop]).to(device)
        return model.codec.decode(model.codec.encode(whole, [level])[level], level).float().cpu().numpy()

    return Channel(key, carry)


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


def hear_styles(judged: Sequence[Judged], judges: Judges | None, rate: int) -> list[dict[System, str]]:
    """The genre heard in every continuation of a song whose genre is known; nothing without a classifier."""
    if judges is None:
        return [{} for _ in judged]
    coded = {"model": judges.coded, "codec": judges.coded}
    return [
        {name: coded.get(name, judges.plain).name(sound, rate) for name, sound in one.audio.items()}
        if one.pair.song.genres[0] in judges.plain.genres
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
