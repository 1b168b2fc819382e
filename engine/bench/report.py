"""The report of `segue bench`: one validated value, printed as tables, and a line in a log."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from engine.errors import PathNotAllowed
from engine.evaluation.provenance import Provenance
from engine.request import Fidelity, Frozen

LEVEL_NAMES = {0: "bottom", 1: "middle", 2: "top"}


class PrefillRow(Frozen):
    """Passing a known prefix of ``tokens`` through one prior."""

    level: int
    tokens: int
    tokens_per_second: float


class StepRow(Frozen):
    """Single steps of one prior at ``lanes`` lanes. ``needed_tokens_per_second``: for sound in real time.

    ``weights_gb_per_second``: bytes of the weights a step reads, times steps a second.
    """

    level: int
    lanes: int
    steps: int
    p50_ms: float
    p99_ms: float
    tokens_per_second: float
    needed_tokens_per_second: float
    weights_gb_per_second: float


class CodecRow(Frozen):
    """Seconds of audio per second of computing, for one level."""

    level: int
    encode_factor: float
    decode_factor: float


class PipelineRow(Frozen):
    """A whole take: ``first_audio_ms`` from request to first chunk; ``real_time_factor`` audio per computing time.

    ``tokens`` and ``level_seconds``: sampled per level, and the time that took.
    """

    fidelity: Fidelity
    seconds: float
    first_audio_ms: float
    real_time_factor: float
    tokens: dict[int, int]
    level_seconds: dict[int, float]


class BenchReport(Frozen):
    """Everything `segue bench` found. ``model_hash`` is None for random weights."""

    kind: Literal["segue-bench"] = "segue-bench"
    schema_version: int = 1
    provenance: Provenance
    model: str
    model_hash: str | None
    backend: str
    device: str
    threads: int
    weight_bytes: dict[int, int]
    copy_gb_per_second: float
    draw_us: float
    prefill: tuple[PrefillRow, ...]
    steps: tuple[StepRow, ...]
    codec: tuple[CodecRow, ...]
    pipeline: tuple[PipelineRow, ...]

    def append_to(self, path: Path) -> None:
        """Appends the report as one line of JSON; raises PathNotAllowed where that cannot be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(self.model_dump_json() + "\n")
        except OSError as error:
            raise PathNotAllowed(
                f"the log '{path}' cannot be written ({error.strerror}); give a file you may write to"
            ) from error


def show(report: BenchReport, console: Console) -> None:
    """Prints the report's tables."""
    weights = "random weights" if report.model_hash is None else report.model_hash[:12]
    console.print(
        f"[bold]{report.model}[/bold] ({weights}), {report.backend} on {report.device}, {report.threads} threads\n"
        f"{report.provenance.machine}\ncopying memory: {report.copy_gb_per_second:.1f} GB/s, "
        f"drawing a token: {report.draw_us:.0f} us",
        highlight=False,
    )
    console.print(_step_table(report))
    console.print(_codec_table(report))
    console.print(_pipeline_table(report))


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left")
    return table


def _step_table(report: BenchReport) -> Table:
    table = _table(
        "priors",
        "level",
        "lanes",
        "p50 ms",
        "p99 ms",
        "tokens/s",
        "needed",
        "weights GB/s",
        "prefill tokens/s",
    )
    prefill = {row.level: f"{row.tokens_per_second:,.0f}" for row in report.prefill}
    for row in report.steps:
        times = (f"{row.p50_ms:.3f}", f"{row.p99_ms:.3f}")
        rates = (f"{row.tokens_per_second:,.0f}", f"{row.needed_tokens_per_second:,.0f}")
        first = prefill.pop(row.level, "")
        table.add_row(
            _level(row.level), str(row.lanes), *times, *rates, f"{row.weights_gb_per_second:.2f}", first
        )
    return table


def _codec_table(report: BenchReport) -> Table:
    table = _table("codec, times real time", "level", "encode", "decode")
    for row in report.codec:
        table.add_row(_level(row.level), f"{row.encode_factor:.1f}", f"{row.decode_factor:.1f}")
    return table


def _pipeline_table(report: BenchReport) -> Table:
    table = _table(
        "whole takes", "fidelity", "seconds", "first audio ms", "times real time", "tokens/s by level"
    )
    for row in report.pipeline:
        speeds = [
            f"{level}: {row.tokens[level] / seconds:,.0f}"
            for level, seconds in sorted(row.level_seconds.items(), reverse=True)
            if seconds > 0
        ]
        factor = f"{row.real_time_factor:.3f}"
        first = f"{row.first_audio_ms:,.0f}"
        table.add_row(row.fidelity.value, f"{row.seconds:g}", first, factor, ", ".join(speeds))
    return table


def _level(level: int) -> str:
    return f"{level} {LEVEL_NAMES.get(level, '')}".strip()
