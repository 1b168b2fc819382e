"""`segue bench`: how fast a model runs here."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from engine.backends import SAMPLING_THREADS
from engine.errors import BadArguments

FIDELITIES = ("draft", "fine", "full")


@click.command()
@click.option("--model", default="starter", show_default=True, help="A shipped name or a model folder.")
@click.option(
    "--random", "random_weights", is_flag=True, help="The starter's shapes with random weights instead."
)
@click.option("--seconds", default=4.0, show_default=True, help="Length of each whole take.")
@click.option("--part-seconds", default=1.0, show_default=True, help="Time spent on each other figure.")
@click.option(
    "--threads", type=int, default=SAMPLING_THREADS, show_default=True, help="Threads to compute with."
)
@click.option("--lanes", default="1,4", show_default=True, help="Lane counts, separated by commas.")
@click.option(
    "--fidelity", "fidelities", type=click.Choice(FIDELITIES), multiple=True, help="Takes.  [default: all]"
)
@click.option("--device", type=click.Choice(("auto", "cpu", "cuda")), default="auto", show_default=True)
@click.option("--log", type=click.Path(path_type=Path), help="Append the report to this JSON-lines file.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of tables.")
def bench(
    model: str,
    random_weights: bool,
    seconds: float,
    part_seconds: float,
    threads: int,
    lanes: str,
    fidelities: tuple[str, ...],
    device: str,
    log: Path | None,
    as_json: bool,
) -> None:
    """Measure prefill, steps, codec and whole takes of a model on this machine."""
    from rich.console import Console

    from engine.bench.report import show
    from engine.bench.run import BenchSettings, random_model, run_bench
    from engine.evaluation.bars import bars
    from engine.evaluation.devices import resolve_device
    from engine.store import load_model, starter_config

    settings = BenchSettings.model_validate(
        {
            "seconds": seconds,
            "part_seconds": part_seconds,
            "threads": threads,
            "lanes": lane_counts(lanes),
            "fidelities": fidelities or FIDELITIES,
        }
    )
    where = resolve_device(device)
    loaded = random_model(starter_config(), where) if random_weights else load_model(model, device=where)
    with bars() as progress:
        report = run_bench(loaded, settings, progress)
    if log is not None:
        report.append_to(log)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        width = max(shutil.get_terminal_size().columns, 120)
        show(report, Console(width=width))


def lane_counts(text: str) -> tuple[int, ...]:
    """`1,4` as numbers; raises BadArguments for anything else."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise BadArguments(
            f"lanes is '{text}'; give whole numbers separated by commas, such as 1,4"
        ) from error
