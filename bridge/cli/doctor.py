"""`segue doctor`: is everything in place, and if not, what is the next step?"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bridge.cli import checks
from bridge.cli.checks import Finding, Level
from bridge.cli.folders import default_takes

MARKS = {Level.OK: "[green]ok[/]", Level.NOTE: "[yellow]note[/]", Level.RED: "[bold red]red[/]"}


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that `segue serve` listens on.")
@click.option("--port", default=19770, show_default=True, type=click.IntRange(1, 65535), help="Its OSC port.")
@click.option("--model", default="starter", show_default=True, help="Model name or folder.")
@click.option("--takes", type=click.Path(path_type=Path), default=None, help="Takes folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(host: str, port: int, model: str, takes: Path | None, as_json: bool) -> None:
    """Check this machine and say what to do next. Exit code 1 when something that is needed does not work."""
    findings = examine(host, port, model, takes or default_takes())
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        show(findings)
    if any(finding.level is Level.RED for finding in findings):
        raise click.exceptions.Exit(1)


def examine(host: str, port: int, model: str, takes: Path) -> list[Finding]:
    """All findings, in the order of the report. The slow checks run side by side."""
    steps: list[Callable[[], Finding]] = [
        checks.check_python,
        checks.check_packages,
        checks.check_sound,
        checks.check_midi,
        lambda: checks.check_port(host, port),
        lambda: checks.check_model(model),
        checks.check_gpu,
        lambda: checks.check_takes(takes),
    ]
    with ThreadPoolExecutor(max_workers=4) as pool:
        return [future.result() for future in [pool.submit(step) for step in steps]]


def show(findings: list[Finding]) -> None:
    """Print one line a finding, and its next step below it."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        table.add_row(MARKS[finding.level], finding.name, escape(finding.detail))
        if finding.next_step:
            table.add_row("", "", f"[dim]→ {escape(finding.next_step)}[/]")
    Console().print(table)
