"""Figures of a run: JSON lines on disk, and a progress bar (or a line a minute) for whoever is watching."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from engine.training.files import write_bytes, writing_to

_QUIET_SECONDS = 60.0


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The records of a ``metrics.jsonl``; a last line cut short by a kill is left out."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text("utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


class MetricsFile:
    """``metrics.jsonl`` of a run. Records after ``step`` are dropped: a resumed run writes them again."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [record for record in read_metrics(path) if record["step"] <= step] if step else []
        write_bytes(path, "".join(json.dumps(record) + "\n" for record in kept).encode())

    def append(self, record: dict[str, Any]) -> None:
        """Add one record; numbers are rounded to six significant digits."""
        row = {
            key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in record.items()
        }
        with writing_to(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


class Display:
    """Progress on standard error: a bar on a terminal, else one line a minute. Silent when not ``enabled``."""

    def __init__(self, title: str, enabled: bool = True) -> None:
        self.title, self.enabled = title, enabled
        self._bar: Progress | None = None
        self._said = time.monotonic()

    def __enter__(self) -> Display:
        if self.enabled and sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(self.title, total=1.0, figures="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, fraction: float, figures: str) -> None:
        """Show how far the run is (0..1) and its ``figures``."""
        if self._bar:
            self._bar.update(self._task, completed=fraction, figures=figures)
        elif self.enabled and time.monotonic() - self._said >= _QUIET_SECONDS:
            self.say(f"{fraction:4.0%}  {figures}")

    def say(self, text: str) -> None:
        """One line that stays."""
        self._said = time.monotonic()
        if self._bar:
            self._bar.console.print(f"{self.title}: {text}", highlight=False, markup=False)
        elif self.enabled:
            click.echo(f"{self.title}: {text}", err=True)
