"""A report as tables for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from engine.bench.report import LEVEL_NAMES, BenchReport, StepRow


def show(report: BenchReport, console: Console) -> None:
    """Prints the tables of what was measured."""
    weights = "random weights" if report.model_hash is None else report.model_hash[:12]
    cut = f", only {report.shortened}" if report.shortened else ""
    threads = f"{report.threads} thread{'s' * (report.threads > 1)}"
    drawing = "" if report.draw_us is None else f", drawing a token: {report.draw_us:.0f} us"
    console.print(
        f"{report.model} ({weights}{cut}) by {report.backend} in {report.precision} on {report.device}, {threads}\n"
        f"{report.provenance.machine}\ncopying memory: {report.copy_gb_per_second:.1f} GB/s{drawing}, "
        f"{_memory(report)}",
        highlight=False,
    )
    makers = (_steps, _codec, _pipeline, _flat, _soak, _takes, _versus)
    for table in filter(None, (make(report) for make in makers)):
        console.print(table)


def _memory(report: BenchReport) -> str:
    card = report.memory.card_bytes
    words = f"memory: {report.memory.peak_resident_bytes / 1e6:,.0f} MB at most"
    return words if card is None else f"{words}, {card / 1e6:,.0f} MB on the card"


def _table(title: str, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Table | None:
    """A table with its first column to the left; None without rows."""
    found = [tuple(row) for row in rows]
    if not found:
        return None
    table = Table(title=title)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left")
    for row in found:
        table.add_row(*row)
    return table


def level_name(level: int) -> str:
    """``2 top``."""
    return f"{level} {LEVEL_NAMES.get(level, '')}".strip()


def _steps(report: BenchReport) -> Table | None:
    headings = (
        "level", "lanes", "p50 ms", "p99 ms", "steps: tokens/s", "sampled: tokens/s", "needed", "times real time",
        "weights GB/s", "of copying", "copied a step", "prefill tokens/s",
    )  # fmt: skip
    prefill = {row.level: f"{row.tokens_per_second:,.0f}" for row in report.prefill}

    def cells(row: StepRow) -> Iterable[str]:
        yield level_name(row.level)
        yield str(row.lanes)
        yield from (f"{row.p50_ms:.3f}", f"{row.p99_ms:.3f}")
        for rate in (row.tokens_per_second, row.sample_tokens_per_second, row.needed_tokens_per_second):
            yield f"{rate:,.0f}"
        yield f"{row.real_time_factor:.2f}"
        yield f"{row.weights_gb_per_second:.2f}"
        yield f"{100 * (row.bandwidth_share or 0.0):.0f} %"
        yield "unknown" if row.copied_bytes is None else f"{row.copied_bytes / 1e3:.1f} kB"
        yield prefill.pop(row.level, "")

    return _table("priors", headings, (cells(row) for row in report.steps))


def _codec(report: BenchReport) -> Table | None:
    rows = ((level_name(r.level), f"{r.encode_factor:.1f}", f"{r.decode_factor:.1f}") for r in report.codec)
    return _table("codec, times real time", ("level", "encode", "decode"), rows)


def _pipeline(report: BenchReport) -> Table | None:
    headings = (
        "fidelity", "seconds", "first audio ms", "prime encoded before", "times real time", "tokens/s by level"
    )  # fmt: skip
    rows = []
    for row in report.pipeline:
        speeds = [
            f"{level}: {row.tokens[level] / seconds:,.0f}"
            for level, seconds in sorted(row.level_seconds.items(), reverse=True)
            if seconds > 0
        ]
        rows.append(
            (
                row.fidelity.value,
                f"{row.seconds:g}",
                f"{row.first_audio_ms:,.0f}",
                f"{row.first_audio_known_ms:,.0f}",
                f"{row.real_time_factor:.3f}",
                ", ".join(speeds),
            )
        )
    return _table("whole takes", headings, rows)


def _flat(report: BenchReport) -> Table | None:
    rows = (
        (level_name(row.level), f"{row.early_ms:.4f}", f"{row.late_ms:.4f}", f"{row.ratio:.3f}")
        for row in report.flat
    )
    windows = next(((row.early, row.late) for row in report.flat), (0, 0))
    headings = ("level", f"window {windows[0]}: ms a token", f"window {windows[1]}", "ratio")
    return _table("a long take", headings, rows)


def _soak(report: BenchReport) -> Table | None:
    row = report.soak
    if row is None:
        return None
    early, late = (f"{size / 1e6:,.1f} MB" for size in (row.early_bytes, row.late_bytes))
    cells = (row.fidelity.value, f"{row.seconds / 60:.1f}", f"{row.audio_seconds:,.0f}", early, late)
    headings = (
        "fidelity",
        "minutes",
        "seconds of audio",
        f"after {row.after_seconds:.0f} s",
        "at the end",
        "ratio",
    )
    return _table("memory while sampling", headings, [(*cells, f"{row.ratio:.3f}")])


def _takes(report: BenchReport) -> Table | None:
    row = report.takes
    if row is None:
        return None
    cells = (row.fidelity.value, str(row.takes), f"{row.seconds:g}", f"{row.one_seconds:.2f} s")
    headings = ("fidelity", "takes", "seconds each", "one takes", "all take", "ratio")
    return _table("several takes", headings, [(*cells, f"{row.all_seconds:.2f} s", f"{row.ratio:.2f}")])


def _versus(report: BenchReport) -> Table | None:
    headings = (
        "shapes", "level", "lyrics", "width", "depth", "theirs tokens/s", "our torch", "our onnx", "in int8",
        "torch / theirs", "onnx / theirs", "int8 / theirs", "onnx / torch", "logits differ by",
    )  # fmt: skip
    rows = (
        (
            row.shapes,
            level_name(row.level),
            "yes" if row.lyrics else "no",
            str(row.width),
            str(row.depth),
            f"{row.peer_tokens_per_second:,.0f}",
            f"{row.torch_tokens_per_second:,.0f}",
            f"{row.onnx_tokens_per_second:,.0f}",
            f"{row.int8_tokens_per_second:,.0f}",
            f"{row.torch_ratio:.1f}",
            f"{row.onnx_ratio:.1f}",
            f"{row.int8_ratio:.1f}",
            f"{row.onnx_tokens_per_second / row.torch_tokens_per_second:.1f}",
            f"{row.logits_differ:.1e}",
        )
        for row in report.versus
    )
    peer = report.versus[0].peer if report.versus else ""
    return _table(f"beside {peer}, same weights, one lane, one thread", headings, rows)
