"""Progress bars on stderr, so that stdout holds figures only."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn


def bars() -> Progress:
    """Bars for measurements: what, how much, how long."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))


def begin(progress: Progress, title: str, total: int) -> TaskID:
    """A new bar of ``total`` steps. Where bars cannot be drawn, in a log, its title alone is printed."""
    if not progress.console.is_terminal and not progress.disable:
        progress.console.print(title)
    return progress.add_task(title, total=total)
