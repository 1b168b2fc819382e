"""`segue doctor`: is everything in place, and if not, what is the next step?"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bridge.cli.checks import machine, models, network, sound
from bridge.cli.checks.finding import Finding, Level
from bridge.cli.options import backend_option, chosen_backend, chosen_device, device_option
from bridge.osc.addresses import DEFAULT_PORT
from bridge.query.server import DEFAULT_PORT as QUERY_PORT
from engine.folders import default_takes

Check = Callable[[], Finding]
PORT = click.IntRange(1, 65535)
MARKS = {Level.OK: "[green]ok[/]", Level.NOTE: "[yellow]note[/]", Level.RED: "[bold red]red[/]"}


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that `segue serve` listens on.")
@click.option("--port", default=DEFAULT_PORT, show_default=True, type=PORT, help="Its OSC port.")
@click.option("--query-port", default=QUERY_PORT, show_default=True, type=PORT, help="Its port for OSCQuery.")
@click.option(
    "--device", default="", help="Sound output that is to be used; by itself the one Segue would take."
)
@click.option("--input", "input_", default="", help="Sound input that is to be used.")
@click.option("--model", default="starter", show_default=True, help="Model name or folder.")
@backend_option
@device_option("--compute")
@click.option("--takes", type=click.Path(path_type=Path), default=None, help="Takes folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(
    host: str,
    port: int,
    query_port: int,
    device: str,
    input_: str,
    model: str,
    takes: Path | None,
    as_json: bool,
) -> None:
    """Check this machine and say what to do next. Exit code 1 when something that is needed does not work."""
    backend, compute = chosen_backend(), chosen_device()
    checks: list[Check] = [
        machine.check_python,
        machine.check_packages,
        lambda: sound.check_sound(device),
        lambda: sound.check_input(input_),
        sound.check_midi,
        lambda: network.check_osc_port(host, port),
        lambda: network.check_query_port(host, query_port),
        lambda: models.check_model(model, backend, compute),
        models.check_other_models,
        models.check_compute,
        lambda: machine.check_takes(takes or default_takes()),
        machine.check_shared_memory,
        machine.check_state,
        machine.check_midi_settings,
        machine.check_presets,
    ]
    findings = examine(checks)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        show(findings)
    if any(finding.level is Level.RED for finding in findings):
        raise click.exceptions.Exit(1)


def examine(checks: Sequence[Check]) -> list[Finding]:
    """All findings, in the order of the report. The slow checks run side by side."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return [future.result() for future in [pool.submit(check) for check in checks]]


def show(findings: list[Finding]) -> None:
    """Print one line a finding, and its next step below it."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        table.add_row(MARKS[finding.level], finding.name, escape(finding.detail))
        if finding.next_step:
            table.add_row("", "", f"[dim]→ {escape(finding.next_step)}[/]")
    Console().print(table)
