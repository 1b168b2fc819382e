"""One evaluation from settings to report: read, encode, measure, continue, compare."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field
from rich.progress import Progress
from torch import Tensor

from engine.analysis.spectrogram import Picture, plot_contact_sheet, plot_continuation
from engine.evaluation.bars import begin
from engine.evaluation.codec_metrics import CodecLevelReport, count_codes, measure_codec
from engine.evaluation.continuations import (
    MIN_SECONDS,
    SYSTEMS,
    Judged,
    PrimeRow,
    choose_pairs,
    continue_pair,
    judge,
    request_of,
    summarise,
    through_codec,
)
from engine.evaluation.data import Excerpt, Song, Split, choose_sources, load_songs, make_excerpts
from engine.evaluation.prior_metrics import PriorReport, cut_windows, measure_prior, passes
from engine.evaluation.provenance import provenance
from engine.evaluation.report import ContinuationReport, DataFacts, EvalReport, ModelFacts
from engine.request import MAX_SECONDS, MAX_SEED, Fidelity, Frozen, Sampling
from engine.store import Model
from engine.training.data import Source, list_sources

EXCERPT_SECONDS = 6.0  # at least; a top window, where that is longer
EXCERPTS_PER_SONG = 2  # of the measured songs; one of the baseline's
MIN_SONGS = 12  # codec and priors are measured on that many, even when fewer primes are continued
BASELINE_SONGS = 16  # of the training split, for the unigram baseline


class EvalSettings(Frozen):
    """What is measured. ``primes`` = 0 leaves continuations out; ``seconds`` of each, after
    ``prime_seconds``.
    """

    primes: Annotated[int, Field(ge=0, le=1000)] = 12
    prime_seconds: Annotated[float, Field(ge=MIN_SECONDS, le=MAX_SECONDS)] = 6.0
    seconds: Annotated[float, Field(ge=MIN_SECONDS, le=MAX_SECONDS)] = 8.0
    fidelity: Fidelity = Fidelity.DRAFT
    sampling: Sampling = Sampling()
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    split: Split = "held-out"


@dataclass(frozen=True)
class Evaluation:
    """The report, and the audio behind it for pictures."""

    report: EvalReport
    judged: tuple[Judged, ...]
    rate: int


def evaluate_model(model: Model, data: Path, settings: EvalSettings, progress: Progress) -> Evaluation:
    """Measures ``model`` on the songs of folder ``data``, with bars in ``progress``.

    Deterministic: the same model, files and settings give the same figures. Raises NoFile, TrainingError and
    TooShort for data that cannot be used.
    """
    rate = model.config.rate
    window = max(prior.config.window_samples for prior in model.priors.values())
    frames = max(round(EXCERPT_SECONDS * rate), window)
    measured, others = pick(data, settings)
    tick = _bar(progress, "reading", len(measured) + len(others))
    songs = load_songs(measured, rate, round(MIN_SECONDS * rate), tick)
    baseline = load_songs(others, rate, round(MIN_SECONDS * rate), tick) if others else []
    excerpts = _encode(model, songs, frames, EXCERPTS_PER_SONG, progress, "encoding")
    training = _encode(model, baseline, frames, 1, progress, "encoding (baseline)")
    codec = _codec(model, excerpts, progress)
    priors = _priors(model, excerpts, training, progress)
    judged = _continuations(model, songs, settings, progress) if settings.primes else []
    report = EvalReport(
        model=ModelFacts(name=model.config.name, hash=model.hash),
        provenance=provenance(),
        data=DataFacts(
            name=data.name,
            split=settings.split,
            songs=len(songs),
            seconds=round(sum(e.samples.size for e in excerpts) / rate, 2),
            training_seconds=round(sum(e.samples.size for e in training) / rate, 2),
        ),
        codec=tuple(codec),
        priors=tuple(priors),
        continuations=_report(judged, settings, rate) if judged else None,
    )
    return Evaluation(report, tuple(judged), rate)


def pick(data: Path, settings: EvalSettings) -> tuple[list[Source], list[Source]]:
    """Songs to measure, and other songs for the unigram baseline.

    They are of the training split when the held-out one is measured; else a third of the split is kept back.
    """
    wanted = max(settings.primes, MIN_SONGS)
    total = len(list_sources(data))
    if settings.split == "held-out":
        measured = choose_sources(data, "held-out", wanted, settings.seed)
        others = choose_sources(data, "train", total, settings.seed)
    else:
        chosen = choose_sources(data, settings.split, total, settings.seed)
        first = min(wanted, len(chosen) - len(chosen) // 3)
        measured, others = chosen[:first], chosen[first:]
    taken = {source.name for source in measured}
    return measured, [source for source in others if source.name not in taken][:BASELINE_SONGS]


def _encode(
    model: Model, songs: Sequence[Song], frames: int, each: int, progress: Progress, title: str
) -> list[Excerpt]:
    if not songs:
        return []
    levels = range(model.config.codec.levels)
    tick = _bar(progress, title, len(songs) * each)
    return make_excerpts(model.codec, songs, frames, each, levels, tick)


def _codec(model: Model, excerpts: Sequence[Excerpt], progress: Progress) -> list[CodecLevelReport]:
    levels = range(model.config.codec.levels)
    return measure_codec(model.codec, excerpts, levels, _bar(progress, "codec", len(levels) * len(excerpts)))


def _priors(
    model: Model, excerpts: Sequence[Excerpt], training: Sequence[Excerpt], progress: Progress
) -> list[PriorReport]:
    reports = []
    for level, prior in sorted(model.priors.items()):
        counts: Tensor | None = None
        if training:
            counts = count_codes((e.codes[level] for e in training), model.config.bins)
        total = passes(prior, len(cut_windows(prior.config, model.config, excerpts)))
        tick = _bar(progress, f"prior {level}", total)
        reports.append(measure_prior(prior, model.config, excerpts, counts, tick))
    return reports


def _continuations(
    model: Model, songs: Sequence[Song], settings: EvalSettings, progress: Progress
) -> list[Judged]:
    rate, step = model.config.rate, model.config.hops[-1]
    prime_frames = math.ceil(settings.prime_seconds * rate / step) * step
    pairs = choose_pairs(songs, settings.primes, prime_frames, math.ceil(settings.seconds * rate), step)
    task = begin(progress, "continuing", len(pairs))
    judged = []
    for index, pair in enumerate(pairs):
        request = request_of(model, pair, settings.seed + index, settings.fidelity, settings.sampling)

        def done(fraction: float, before: int = index) -> None:
            progress.update(task, completed=before + fraction)

        made = continue_pair(model, pair, request, done)
        coded = through_codec(model, pair, settings.fidelity.level)
        judged.append(judge(pairs, index, made, coded, rate, settings.seed))
        progress.update(task, completed=index + 1)
    return judged


def _report(judged: Sequence[Judged], settings: EvalSettings, rate: int) -> ContinuationReport:
    rows = tuple(
        PrimeRow(
            song=one.pair.song.name,
            artist=one.pair.song.artist,
            genres=one.pair.song.genres,
            start_seconds=round(one.pair.start / rate, 4),
            seed=(settings.seed + index) % (MAX_SEED + 1),
            systems=one.comparisons,
        )
        for index, one in enumerate(judged)
    )
    found = {name: [one.comparisons[name] for one in judged if name in one.comparisons] for name in SYSTEMS}
    return ContinuationReport(
        prime_seconds=settings.prime_seconds,
        seconds=settings.seconds,
        fidelity=settings.fidelity,
        sampling=settings.sampling,
        seed=settings.seed,
        systems=tuple(summarise(name, comparisons) for name, comparisons in found.items() if comparisons),
        primes=rows,
    )


def draw(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Pictures of the best, median and worst continuation by tempo error, and a sheet of all of them."""
    ranked = sorted(evaluation.judged, key=_tempo_error)
    picks = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]} if ranked else {}
    paths = []
    for name, one in picks.items():
        found = one.comparisons["model"]
        bpm = "no pulse" if found.bpm is None else f"{found.bpm:.1f} bpm"
        heard = f"{found.prime_bpm:.1f} to {bpm}, {found.prime_key} to {found.key_found}"
        title = f"{name}: {one.pair.song.name}, {heard}"
        path = folder / f"continuation-{name}.png"
        paths.append(plot_continuation(one.pair.prime, one.audio["model"], evaluation.rate, path, title))
    if evaluation.judged:
        pictures = itertools.chain.from_iterable(_pictures(one, evaluation.rate) for one in evaluation.judged)
        sheet = folder / "continuations.png"
        title = "left: prime and the model's continuation, right: the song itself"
        paths.append(plot_contact_sheet(list(pictures), evaluation.rate, sheet, title))
    return paths


def _tempo_error(one: Judged) -> float:
    error = one.comparisons["model"].tempo_error_percent
    return float("inf") if error is None else error


def _pictures(one: Judged, rate: int) -> list[Picture]:
    seam = one.pair.prime.size / rate
    return [
        Picture(f"{one.pair.song.name} ({name})", np.concatenate([one.pair.prime, one.audio[name]]), seam)
        for name in ("model", "real")
    ]


def _bar(progress: Progress, title: str, total: int) -> Callable[[], None]:
    task = begin(progress, title, total)
    return lambda: progress.advance(task)
