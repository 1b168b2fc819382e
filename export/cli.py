"""``segue export``: takes for DAWs, models for other runtimes."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from export.tracks.cli import take


@click.group()
def export() -> None:
    """Write models and takes for other programs."""


export.add_command(take)


@export.command()
@click.argument("model")
@click.option(
    "--tokens",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    help="Tokens to compare per level.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def onnx(model: str, tokens: int, as_json: bool) -> None:
    """Write MODEL's ONNX graphs beside its weights, then compare them with torch.

    They are written in fp32 and in 8 bits; a level runs in 8 bits by default where that is faster here and costs at
    most 0.01 bits per token. Exit code 2 if a level differs in fp32: logits by more than 1e-4, or a token.
    """
    import torch

    from engine.backends import SAMPLING_THREADS
    from engine.store import model_folder, read_config
    from export.onnx.check import check_model, require_equal, settle
    from export.onnx.check_device import check_device_steps, place_here
    from export.onnx.model import export_model

    torch.set_num_threads(SAMPLING_THREADS)
    levels = len(read_config(model_folder(model)).priors)
    with Progress(console=Console(stderr=True), disable=as_json) as progress:
        writing = progress.add_task("writing", total=8 * levels)

        def written(name: str) -> None:
            progress.update(writing, description=f"writing {name}", advance=1)

        folder: Path = export_model(model, written)
        progress.update(writing, description="written")
        comparing = progress.add_task("comparing with torch", total=tokens * levels)
        checks = list(check_model(folder, tokens, lambda done: progress.advance(comparing, done)))
        progress.update(comparing, description="comparing the graphs for cards")
        place = place_here()
        card = check_device_steps(folder, place)
    precisions = settle(folder, checks)
    if as_json:
        rows = [asdict(check) for check in checks]
        told = {"folder": str(folder), "levels": rows, "precisions": precisions}
        click.echo(json.dumps({**told, "card": {"run_on": place, "logits": card}}, indent=1))
    else:
        Console(width=max(120, shutil.get_terminal_size().columns)).print(_table(checks))
        named = ", ".join(f"level {level} {precision}" for level, precision in enumerate(precisions))
        click.echo(f"graphs in {folder}; by default they run: {named}")
        click.echo(f"steps for a card, run on {place}: logits differ by at most {max(card.values()):.1e}")
    require_equal(checks)


def _table(checks: list[Any]) -> Table:
    table = Table(title="ONNX Runtime beside torch")
    for heading in (
        "level",
        "precision",
        "logits differ by",
        "tokens alike",
        "costs, bits per token",
        "a step",
        "codes alike",
        "samples differ by",
        "graphs",
    ):
        table.add_column(heading, justify="right")
    for check in checks:
        row = asdict(check)
        table.add_row(
            str(row["level"]),
            row["precision"],
            f"{row['logits']:.1e}",
            f"{row['tokens_alike']} of {row['tokens']}"
            + (f", {row['tokens_rounded']} rounded" if row["tokens_rounded"] else ""),
            f"{row['bits']:.5f}",
            f"{row['step_us']:.0f} µs",
            "" if row["codes_alike"] is None else f"{100 * row['codes_alike']:.2f} %",
            "" if row["samples"] is None else f"{row['samples']:.1e}",
            f"{row['bytes'] / 1e6:.2f} MB",
        )
    return table
