"""The report of `segue eval`: one validated value, written as eval.json and shown as tables."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from engine.evaluation.codec_metrics import CodecLevelReport
from engine.evaluation.continuations import PrimeRow, SystemSummary
from engine.evaluation.data import Split
from engine.evaluation.prior_metrics import PriorReport
from engine.evaluation.provenance import Provenance
from engine.request import Fidelity, Frozen, Sampling

LEVEL_NAMES = {0: "bottom", 1: "middle", 2: "top"}


class ModelFacts(Frozen):
    """Which weights were measured."""

    name: str
    hash: str


class DataFacts(Frozen):
    """Which audio: its folder's name, part of the split, songs and seconds read from it."""

    name: str
    split: Split
    songs: int
    seconds: float
    training_seconds: float


class ContinuationReport(Frozen):
    """Continuations of ``primes``: how they were asked for, a line per system, and every single one."""

    prime_seconds: float
    seconds: float
    fidelity: Fidelity
    sampling: Sampling
    seed: int
    systems: tuple[SystemSummary, ...]
    primes: tuple[PrimeRow, ...]


class EvalReport(Frozen):
    """Everything `segue eval` found."""

    kind: Literal["segue-eval"] = "segue-eval"
    schema_version: int = 1
    model: ModelFacts
    provenance: Provenance
    data: DataFacts
    codec: tuple[CodecLevelReport, ...]
    priors: tuple[PriorReport, ...]
    continuations: ContinuationReport | None

    def write(self, folder: Path) -> Path:
        """Writes ``eval.json`` into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "eval.json"
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return path


def show(report: EvalReport, console: Console) -> None:
    """Prints the report's tables."""
    data = report.data
    console.print(
        f"[bold]{report.model.name}[/bold] {report.model.hash[:12]} on {data.songs} songs "
        f"({data.seconds:.0f} s) of {data.name}, split: {data.split}",
        highlight=False,
    )
    console.print(_codec_table(report))
    console.print(_prior_table(report))
    if report.continuations is not None:
        console.print(_continuation_table(report.continuations))


def _codec_table(report: EvalReport) -> Table:
    table = Table(title="codec, on held-out audio")
    for heading in ("level", "spectral convergence dB", "codes used", "entropy bits", "tokens"):
        table.add_column(heading, justify="left" if heading == "level" else "right")
    for row in report.codec:
        used, entropy = f"{100 * row.used:.1f} %", f"{row.entropy_bits:.2f}"
        table.add_row(_level(row.level), f"{row.spectral_convergence_db:.2f}", used, entropy, f"{row.tokens}")
    return table


def _prior_table(report: EvalReport) -> Table:
    table = Table(title="priors, bits per token (lower is better)")
    headings = (
        "level",
        "prior",
        "unigram",
        "uniform",
        "no labels",
        "wrong labels",
        "wrong upper codes",
        "tokens",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "level" else "right")
    for row in report.priors:
        figures = (
            row.bits,
            row.unigram,
            row.uniform,
            row.labels_unknown,
            row.labels_shuffled,
            row.upper_shuffled,
        )
        table.add_row(_level(row.level), *(_figure(value, 3) for value in figures), f"{row.tokens}")
    return table


def _continuation_table(report: ContinuationReport) -> Table:
    table = Table(
        title=f"continuations ({report.fidelity.value}) of {len(report.primes)} primes, "
        f"{report.prime_seconds:g} s and {report.seconds:g} s"
    )
    headings = (
        "system", "tempo within 4 %", "half or double", "median error %", "same key", "relative key",
        "loudness off LU", "timbre off dB", "silence", "collapsed",
    )  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "system" else "right")
    for row in report.systems:
        table.add_row(
            row.system,
            _percent(row.tempo_same),
            _percent(row.tempo_octave),
            _figure(row.tempo_error_percent, 1),
            _percent(row.key_same),
            _percent(row.key_relative),
            _figure(row.loudness_difference, 1),
            _figure(row.timbre_db, 1),
            _percent(row.silent),
            _percent(row.collapsed),
        )
    return table


def _level(level: int) -> str:
    return f"{level} {LEVEL_NAMES.get(level, '')}".strip()


def _figure(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
