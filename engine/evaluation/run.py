"""One evaluation from settings to report: read, encode, measure, continue, compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress
from torch import Tensor

from engine.backends.protocol import Backend
from engine.evaluation.bars import begin
from engine.evaluation.codec_metrics import CodecLevelReport, count_codes, measure_codec
from engine.evaluation.continuations import MIN_SECONDS, Judged
from engine.evaluation.continuing import (
    backend_of,
    changes,
    codec_channel,
    continue_all,
    distances,
    find_copies,
    hear_styles,
    long_takes,
    pairs_of,
    rows_of,
    searched_codes,
    summaries,
)
from engine.evaluation.data import Excerpt, Song, choose_sources, load_songs, make_excerpts
from engine.evaluation.default_corpus import cache_folder
from engine.evaluation.kept import Maker
from engine.evaluation.lyric_metrics import LyricsReport, measure_lyrics
from engine.evaluation.prior_metrics import PriorReport, measure_prior, passes
from engine.evaluation.prior_windows import cut_windows
from engine.evaluation.provenance import provenance
from engine.evaluation.report import ContinuationReport, DataFacts, EvalReport, ModelFacts, StyleFacts
from engine.evaluation.settings import EvalSettings
from engine.evaluation.style import Judges, train_judge, usable
from engine.evaluation.truth import Told, told_of, truths_of
from engine.store import Model
from engine.training.data import UNKNOWN, Source, list_sources

EXCERPT_SECONDS = 6.0  # at least; a top window, where that is longer
EXCERPTS_PER_SONG = 2  # of the measured songs; one of the baseline's
MIN_SONGS = 12  # codec and priors are measured on that many, even when fewer primes are continued
BASELINE_SONGS = 16  # of the training split, for the unigram baseline
SEARCHED_SONGS = (
    8  # of those, for copies where the training's own codes are not given: they are encoded whole
)


@dataclass(frozen=True)
class Evaluation:
    """The report, and the audio behind it for pictures and the page."""

    report: EvalReport
    judged: tuple[Judged, ...]
    rate: int


@dataclass(frozen=True)
class Beside:
    """What an evaluation may use besides model and data. ``backend``: the runtime that continues primes (None: the
    model as it is loaded); ``out``: where continuations are kept; ``codes``: folder of the training's codes;
    ``styles``: gives a folder whose songs styles are learnt from, where the data itself has too few."""

    backend: Backend | None = None
    out: Path | None = None
    codes: Path | None = None
    styles: Callable[[], Path] | None = None


def evaluate_model(
    model: Model, data: Path, settings: EvalSettings, progress: Progress, beside: Beside | None = None
) -> Evaluation:
    """Measures ``model`` on the songs of folder ``data``, with bars in ``progress``.

    Deterministic: the same model, files and settings give the same figures. Raises NoFile, TrainingError and
    TooShort for data that cannot be used.
    """
    beside = beside or Beside()
    rate = model.config.rate
    window = max(prior.config.window_samples for prior in model.priors.values())
    frames = max(round(EXCERPT_SECONDS * rate), window)
    measured, others = pick(data, settings)
    tick = _bar(progress, "reading", len(measured) + len(others))
    songs = load_songs(measured, rate, round(MIN_SECONDS * rate), tick, truths_of(data, measured))
    baseline = load_songs(others, rate, round(MIN_SECONDS * rate), tick) if others else []
    told = told_of(data, songs, model.config)
    excerpts = _encode(model, songs, frames, EXCERPTS_PER_SONG, progress, "encoding")
    training = _encode(model, baseline, frames, 1, progress, "encoding (baseline)")
    codec = _codec(model, excerpts, progress)
    priors = _priors(model, excerpts, training, told, progress)
    lyrics = _lyrics(model, songs, told, progress)
    judges = _judges(model, data, measured, settings, beside, progress) if settings.primes else None
    continued = None
    judged: tuple[Judged, ...] = ()
    if settings.primes:
        continued, judged = _continuations(model, songs, baseline, told, judges, settings, beside, progress)
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
        continuations=continued,
        lyrics=lyrics,
        style=_facts(judges),
        notes=tuple(_notes(songs, baseline, told, judges, settings)),
    )
    return Evaluation(report, judged, rate)


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
    model: Model, excerpts: Sequence[Excerpt], training: Sequence[Excerpt], told: Told, progress: Progress
) -> list[PriorReport]:
    reports = []
    for level, prior in sorted(model.priors.items()):
        counts: Tensor | None = None
        if training:
            counts = count_codes((e.codes[level] for e in training), model.config.bins)
        total = passes(prior, cut_windows(prior.config, model.config, excerpts, told))
        tick = _bar(progress, f"prior {level}", total)
        reports.append(measure_prior(prior, model.config, excerpts, counts, tick, told))
    return reports


def _lyrics(model: Model, songs: Sequence[Song], told: Told, progress: Progress) -> LyricsReport | None:
    if not told.lyrics:
        return None
    return measure_lyrics(model, songs, told, _bar(progress, "lyrics", len(songs)))


def _judges(
    model: Model,
    data: Path,
    measured: Sequence[Source],
    settings: EvalSettings,
    beside: Beside,
    progress: Progress,
) -> Judges | None:
    """Classifiers of genres: of songs that are not measured here, in ``data`` or else in the folder for styles."""
    if not settings.style or all(source.genres[0] == UNKNOWN for source in measured):
        return None
    taken = {source.name for source in measured}
    learnt = usable([s for s in list_sources(data) if s.name not in taken and not s.held_out])
    if not learnt and beside.styles is not None:
        learnt = usable(list_sources(beside.styles()))
    if not learnt:
        return None
    rate, cache = model.config.rate, cache_folder()
    plain = train_judge(learnt, rate, cache, _bar(progress, "learning styles", len(learnt)))
    tick = _bar(progress, "learning styles through the codec", len(learnt))
    coded = train_judge(learnt, rate, cache, tick, codec_channel(model, settings.fidelity.level))
    return Judges(plain, coded)


def _continuations(
    model: Model,
    songs: Sequence[Song],
    baseline: Sequence[Song],
    told: Told,
    judges: Judges | None,
    settings: EvalSettings,
    beside: Beside,
    progress: Progress,
) -> tuple[ContinuationReport, tuple[Judged, ...]]:
    rate, hop = model.config.rate, model.config.hops[-1]
    maker = Maker(backend_of(model, beside.backend), beside.out)
    pairs = pairs_of(model, songs, settings)
    searched = searched_codes(model, baseline[:SEARCHED_SONGS], beside.codes)
    continued = continue_all(model, maker, pairs, told, settings, progress)
    copied = find_copies(
        continued.judged, searched, hop / rate, _bar(progress, "looking for copies", len(searched))
    )
    styles = hear_styles(continued.judged, judges, rate)
    rows = rows_of(continued, styles, copied, settings, rate)
    report = ContinuationReport(
        prime_seconds=settings.prime_seconds,
        seconds=settings.seconds,
        fidelity=settings.fidelity,
        sampling=settings.sampling,
        seed=settings.seed,
        systems=tuple(summaries(rows, distances(continued.judged, rate))),
        primes=rows,
        bars=settings.bars,
        told=settings.told,
        runtime=maker.backend.runtime,
        searched_songs=len(searched),
        searched_seconds=round(sum(len(codes) for _, codes in searched) * hop / rate, 2),
        long=long_takes(maker, continued, settings, progress) if settings.long else (),
        changes=changes(maker, continued, judges, settings, progress) if settings.then else (),
    )
    return report, continued.judged


def _facts(judges: Judges | None) -> StyleFacts | None:
    if judges is None:
        return None
    names = ("genres", "accuracy", "chance", "tested", "songs")
    facts = {name: getattr(judges.plain, name) for name in names}
    return StyleFacts(**facts, coded_accuracy=judges.coded.accuracy)


def _notes(
    songs: Sequence[Song],
    baseline: Sequence[Song],
    told: Told,
    judges: Judges | None,
    settings: EvalSettings,
) -> list[str]:
    """What could not be measured, and why, in sentences."""
    notes = []
    if any(song.truth is None for song in songs):
        notes.append("tempo and key are as heard: no file states those of every song, as a corpus does")
    if all(song.genres[0] == UNKNOWN for song in songs):
        notes.append(
            "the songs have no genres, so style is not judged; name them in a metadata.csv with the columns "
            "file, artist and genre"
        )
    elif settings.primes and settings.style and judges is None:
        notes.append("style is not judged: too few songs beside the measured ones have the same genres")
    if told.why:
        notes.append(f"lyrics are not measured: {told.why}")
    if settings.then and judges is None:
        notes.append("changes of style are not measured, since no style is judged")
    if not baseline:
        notes.append(
            "there are no other songs, so there is no baseline by frequency, and no search for copies in them"
        )
    return notes


def _bar(progress: Progress, title: str, total: int) -> Callable[[], None]:
    task = begin(progress, title, total)
    return lambda: progress.advance(task)
