"""The log of benchmarks: a JSON line for every run, and a look back at them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import platformdirs
from pydantic import ValidationError
from rich.table import Table

from engine.bench.report import BenchReport
from engine.errors import NoFile, PathNotAllowed


def default_log() -> Path:
    """``SEGUE_BENCH_LOG`` where that is set, else ``bench.jsonl`` in the user's state folder."""
    named = os.environ.get("SEGUE_BENCH_LOG")
    if named:
        return Path(named).expanduser()
    return platformdirs.user_state_path("segue", appauthor=False) / "bench.jsonl"


def require_writable(path: Path) -> None:
    """Make the log if it is not there yet; raises PathNotAllowed before anything is measured in vain."""
    _append(path, "")


def append_report(path: Path, report: BenchReport) -> None:
    """Add one line; raises PathNotAllowed where that cannot be written."""
    _append(path, report.model_dump_json() + "\n")


def _append(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise PathNotAllowed(
            f"the log '{path}' cannot be written ({error.strerror}); give a file you may write to with --log, "
            "or --no-log"
        ) from error


def read_history(path: Path, last: int) -> tuple[list[BenchReport], int]:
    """The last ``last`` reports of a log, oldest first, and how many lines are none of this version.

    Raises NoFile where there is no log.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise NoFile(
            f"there is no log '{path}' ({error.strerror}); every `segue bench` adds to it, --log names another"
        ) from error
    reports, strange = [], 0
    for line in filter(None, map(str.strip, lines)):
        try:
            reports.append(BenchReport.model_validate_json(line))
        except ValidationError:
            strange += 1
    return reports[-last:] if last else [], strange


def history_table(reports: list[BenchReport]) -> Table:
    """One row a report: when, which code, what was run, and the figures that are compared most."""
    table = Table(title="benchmarks")
    left = ("time", "commit", "model", "by", "processor")
    for heading in (*left, "tokens/s at 1 lane, top to bottom", "times real time", "other"):
        table.add_column(heading, justify="left")
    for report in reports:
        origin = report.provenance
        table.add_row(
            origin.time,
            origin.commit or "",
            report.model,
            f"{report.backend} {report.precision} {report.device}",
            origin.machine.gpu if report.device != "cpu" and origin.machine.gpu else origin.machine.processor,
            _tokens(report),
            ", ".join(f"{row.fidelity.value} {row.real_time_factor:.2f}" for row in report.pipeline),
            _others(report),
        )
    return table


def _tokens(report: BenchReport) -> str:
    rows = sorted((row for row in report.steps if row.lanes == 1), key=lambda row: -row.level)
    return ", ".join(f"{row.level}: {row.sample_tokens_per_second:,.0f}" for row in rows)


def _others(report: BenchReport) -> str:
    found = [f"flat {row.level}: {row.ratio:.3f}" for row in report.flat]
    if report.soak is not None:
        found.append(f"memory {report.soak.ratio:.3f} after {report.soak.seconds / 60:.0f} min")
    if report.takes is not None:
        found.append(f"{report.takes.takes} takes cost {report.takes.ratio:.2f}")
    if report.versus:
        ratios = [row.onnx_ratio for row in report.versus]
        found.append(f"{min(ratios):.1f} to {max(ratios):.1f} of {report.versus[0].peer}")
    return ", ".join(found)


def as_json(reports: list[BenchReport]) -> str:
    """The reports as a JSON list."""
    return json.dumps([report.model_dump(mode="json") for report in reports], indent=2)
