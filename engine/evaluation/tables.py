"""The report as tables: for the terminal, and for the page."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from engine.evaluation.lyric_metrics import Alignment
from engine.evaluation.report import ContinuationReport, EvalReport
from engine.evaluation.summary import SystemSummary

LEVEL_NAMES = {0: "bottom", 1: "middle", 2: "top"}


@dataclass(frozen=True)
class Sheet:
    """One table in words: the first column names the rows."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def sheets(report: EvalReport) -> Iterator[Sheet]:
    """Every table that the report has figures for."""
    yield _codec(report)
    yield _priors(report)
    if any(row.conditions for row in report.priors):
        yield _conditions(report)
    if report.lyrics is not None:
        yield _lyrics(report)
    if report.continuations is not None:
        for title, columns in COLUMNS.items():
            yield _systems(report.continuations, title, columns)
        if report.continuations.long:
            yield _long(report.continuations)
        if report.continuations.changes:
            yield _changes(report)


def show(report: EvalReport, console: Console) -> None:
    """Prints the report's tables and notes."""
    console.print(headline(report), highlight=False)
    for sheet in sheets(report):
        table = Table(title=sheet.title)
        for number, heading in enumerate(sheet.headings):
            table.add_column(heading, justify="right" if number else "left")
        for row in sheet.rows:
            table.add_row(*row)
        console.print(table)
    for note in report.notes:
        console.print(f"note: {note}", highlight=False, markup=False)


def headline(report: EvalReport) -> str:
    """Which model was measured on what, in a line."""
    data = report.data
    return (
        f"{report.model.name} {report.model.hash[:12]} on {data.songs} songs "
        f"({data.seconds:.0f} s) of {data.name}, split: {data.split}"
    )


def _codec(report: EvalReport) -> Sheet:
    headings = ("level", "spectral convergence dB", "codes used", "entropy bits", "tokens")
    rows = tuple(
        (
            _level(row.level),
            f"{row.spectral_convergence_db:.2f}",
            f"{100 * row.used:.1f} %",
            f"{row.entropy_bits:.2f}",
            f"{row.tokens}",
        )
        for row in report.codec
    )
    return Sheet("codec, on held-out audio", headings, rows)


def _priors(report: EvalReport) -> Sheet:
    headings = (
        "level", "prior", "unigram", "uniform", "no labels", "wrong labels", "wrong upper codes", "tokens",
    )  # fmt: skip
    rows = []
    for row in report.priors:
        figures = (
            row.bits,
            row.unigram,
            row.uniform,
            row.labels_unknown,
            row.labels_shuffled,
            row.upper_shuffled,
        )
        rows.append((_level(row.level), *(figure(value, 3) for value in figures), f"{row.tokens}"))
    return Sheet("priors, bits per token (lower is better)", headings, tuple(rows))


def _conditions(report: EvalReport) -> Sheet:
    headings = ("level", "condition", "told rightly", "another window's", "more by", "none", "more by")
    rows = []
    for prior in report.priors:
        for one in prior.conditions:
            wrong, error = one.wrong, one.wrong_error
            more = "–" if wrong is None or error is None else f"{wrong - prior.bits:+.3f} ± {error:.3f}"
            less = f"{one.none - prior.bits:+.3f} ± {one.none_error:.3f}"
            name = (_level(prior.level), one.condition, figure(prior.bits, 3))
            rows.append((*name, figure(wrong, 3), more, figure(one.none, 3), less))
    return Sheet("bits per token with and without each condition (± standard error)", headings, tuple(rows))


def _lyrics(report: EvalReport) -> Sheet:
    assert report.lyrics is not None
    found = report.lyrics
    ways: dict[str, Alignment | None] = {
        "attention": found.attention,
        "hearing another song": found.other_audio,
        "spread evenly": found.evenly,
    }
    rows = tuple(
        (name, percent(one.within), figure(one.error, 2), percent(one.placed))
        for name, one in ways.items()
        if one is not None
    )
    title = f"word onsets of {found.words} words in {found.songs} songs"
    return Sheet(title, ("by", "within 0.3 s", "median error s", "placed"), rows)


Column = tuple[str, Callable[[SystemSummary], str]]
COLUMNS: dict[str, tuple[Column, ...]] = {
    "tempo, beat and key": (
        ("tempo within 2 %", lambda r: percent(r.tempo_close)),
        ("within 4 %", lambda r: percent(r.tempo_same)),
        ("half or double", lambda r: percent(r.tempo_octave)),
        ("median error %", lambda r: figure(r.tempo_error_percent, 1)),
        ("true tempo", lambda r: percent(r.tempo_true)),
        ("beat kept", lambda r: percent(r.beat_kept)),
        ("off by ms", lambda r: figure(r.beat_offset_ms, 0)),
        ("of a beat", lambda r: figure(r.beat_offset, 2)),
        ("same key", lambda r: percent(r.key_same)),
        ("relative key", lambda r: percent(r.key_relative)),
        ("true key or relative", lambda r: percent(r.key_true)),
    ),
    "sound": (
        ("loudness within 2 LU", lambda r: percent(r.loudness_kept)),
        ("loudness off LU", lambda r: figure(r.loudness_difference, 1)),
        ("drift LU", lambda r: figure(r.loudness_drift, 1)),
        ("timbre off dB", lambda r: figure(r.timbre_db, 1)),
        ("silence", lambda r: percent(r.silent)),
        ("collapsed", lambda r: percent(r.collapsed)),
        ("seam dB", lambda r: figure(r.seam_db, 1)),
        ("usual dB", lambda r: figure(r.usual_db, 1)),
        ("click dB", lambda r: figure(r.seam_click_db, 1)),
    ),
    "style and novelty": (
        ("genre heard", lambda r: percent(r.style)),
        ("copied from the prime s", lambda r: figure(r.copied_prime, 2)),
        ("copied from other songs s", lambda r: figure(r.copied_songs, 2)),
        ("Fréchet distance", lambda r: figure(r.frechet, 0)),
    ),
}


def _systems(report: ContinuationReport, title: str, columns: Sequence[Column]) -> Sheet:
    length = f"{report.seconds:g} s" if report.bars is None else f"{report.bars:g} bars"
    primes = f"{len(report.primes)} primes of {report.prime_seconds:g} s"
    name = f"continuations ({report.fidelity.value}) of {primes} by {length}"
    rows = tuple((row.system, *(read(row) for _, read in columns)) for row in report.systems)
    return Sheet(f"{name}: {title}", ("system", *(heading for heading, _ in columns)), rows)


def _long(report: ContinuationReport) -> Sheet:
    takes = report.long

    def middle(values: Sequence[float | None]) -> float | None:
        numbers = [abs(value) for value in values if value is not None]
        return statistics.median(numbers) if numbers else None

    rows = (
        (
            "model",
            figure(middle([take.drift for take in takes]), 1),
            figure(middle([take.end for take in takes]), 1),
            percent(sum(take.dead > 0.5 for take in takes) / len(takes)),
        ),
        ("the song itself", figure(middle([take.song_drift for take in takes]), 1), "–", "–"),
    )
    title = f"{len(takes)} continuations of {takes[0].seconds:g} s (medians, without signs)"
    return Sheet(title, ("system", "drift LU", "end against prime LU", "collapsed"), rows)


def _changes(report: EvalReport) -> Sheet:
    assert report.continuations is not None
    found = report.continuations.changes
    before = sum(one.heard_before == one.before for one in found) / len(found)
    after = sum(one.heard_after == one.after for one in found) / len(found)
    stays = sum(one.heard_after == one.before for one in found) / len(found)
    scale = percent(report.style.accuracy if report.style else None)
    coded = percent(report.style.coded_accuracy if report.style else None)
    return Sheet(
        f"change of style half way through {len(found)} continuations",
        ("system", "first half heard as asked", "second as the new one", "second as the old one"),
        (
            ("model", percent(before), percent(after), percent(stays)),
            ("the classifier on real songs", scale, scale, "–"),
            ("the classifier on songs through the codec", coded, coded, "–"),
        ),
    )


def _level(level: int) -> str:
    return f"{level} {LEVEL_NAMES.get(level, '')}".strip()


def figure(value: float | None, digits: int) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent(share: float | None) -> str:
    """A share 0..1 in percent, or a dash where there is none."""
    return "–" if share is None else f"{100 * share:.0f} %"
