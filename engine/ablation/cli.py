"""``segue ablate``: the paper's codec tables at small scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

NAMES = ("restarts", "bins", "loss", "entropy")


def _numbers(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts):
        raise click.BadParameter(f"'{text}' is no list of whole numbers; write them as in 0,1,2")
    return tuple(int(part) for part in parts)


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where the runs are kept.")
@click.option(
    "--write", "folder", type=click.Path(path_type=Path), help="Where results go (default: OUT/results)."
)
@click.option(
    "--only", type=click.Choice(NAMES), multiple=True, help="Only this experiment; can be given again."
)
@click.option("--steps", type=click.IntRange(min=1), help="Steps of every cell: the fair budget.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Wall time of every cell.")
@click.option("--seeds", callback=_numbers, default="0", show_default=True, help="Each cell once per seed.")
@click.option("--width", type=click.IntRange(min=1), default=32, show_default=True, help="Of the networks.")
@click.option("--depth", type=click.IntRange(min=1), default=4, show_default=True, help="Of the networks.")
@click.option("--batch", type=click.IntRange(min=1), default=4, show_default=True, help="Crops a step.")
@click.option("--crops", callback=_numbers, help="Samples a crop at the bottom, middle and top.")
@click.option("--lr", type=click.FloatRange(min=0, min_open=True), default=1e-3, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--cache", type=click.Path(path_type=Path), help="Decoded audio (default: OUT/cache).")
@click.option("--report", is_flag=True, help="Train nothing; write the results that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def ablate(
    data: Path,
    out: Path,
    folder: Path | None,
    only: tuple[str, ...],
    cache: Path | None,
    threads: int | None,
    device: str,
    report: bool,
    as_json: bool,
    **scale: Any,
) -> None:
    """Repeat the paper's codec experiments on DATA, every cell with the same budget.

    Hop length with and without restarts, size of the codebook, spectral loss and separate autoencoders, entropy of
    the codes. A stopped or killed run goes on with the same command; cells that are done are passed over.
    """
    from engine.ablation.experiments import EXPERIMENTS, cells_for
    from engine.ablation.results import gather, write
    from engine.ablation.run import Scale, begin, train_cell
    from engine.errors import OutOfRange
    from engine.training.options import open_audio, origin_of

    names = only or tuple(EXPERIMENTS)
    wanted = {name: value for name, value in scale.items() if value is not None}
    if not {"steps", "minutes"} & wanted.keys():
        raise OutOfRange("the cells have no end; give --steps, --minutes or both")
    if len(wanted.get("crops", (0, 0, 0))) != 3:
        raise OutOfRange("--crops wants three numbers: samples at the bottom, middle and top")
    size = Scale.model_validate(wanted)
    audio = open_audio(data, cache or out / "cache", size.sample_rate)
    begin(out, size, audio)
    stopped = 0
    for seed, cell in [] if report else [(seed, cell) for seed in size.seeds for cell in cells_for(names)]:
        click.echo(f"{cell.name}, seed {seed}", err=True)
        origin = {**origin_of(data), "command": _spoken()}
        summary = train_cell(cell, seed, size, audio, out, threads=threads, device=device, origin=origin)
        if summary is not None and summary["signal"]:
            stopped = summary["signal"]
            break
    results = gather(out, size, names)
    written = write(results, names, folder or out / "results")
    if as_json:
        click.echo(results.model_dump_json(indent=1))
    else:
        _show(results, names)
    click.echo("\n".join(f"wrote {path}" for path in written), err=as_json)
    if stopped:
        click.echo("stopped; the same command goes on from here", err=True)
        raise SystemExit(128 + stopped)


def _spoken() -> str:
    import sys

    from engine.commandline import spoken

    words = sys.argv[1:]
    return spoken(["segue", *(words[words.index("ablate") :] if "ablate" in words else ["ablate", *words])])


def _show(results: Any, names: tuple[str, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    from engine.ablation.experiments import chosen
    from engine.ablation.results import cells_of

    console = Console(width=110)
    for experiment in chosen(names):
        table = Table(title=f"{experiment.title} ({experiment.source})")
        unit = "dB" if experiment.figure == "sc_db" else "bits"
        for head in (*experiment.heads, unit, "the paper's", "codes used", "steps", "minutes"):
            table.add_column(head)
        for row in experiment.rows:
            table.add_row(*cells_of(results, experiment, row))
        console.print(table)
