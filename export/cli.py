"""``segue export``: models for other runtimes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table


@click.group()
def export() -> None:
    """Write models and takes for other programs."""


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

    Exit code 2 if a level differs: logits by more than 1e-4, or a token.
    """
    import torch

    from engine.backends import SAMPLING_THREADS
    from engine.store import model_folder, read_config
    from export.onnx.model import check_model, export_model, require_equal

    torch.set_num_threads(SAMPLING_THREADS)
    levels = len(read_config(model_folder(model)).priors)
    with Progress(console=Console(stderr=True), disable=as_json) as progress:
        writing = progress.add_task("writing", total=5 * levels)

        def written(name: str) -> None:
            progress.update(writing, description=f"writing {name}", advance=1)

        folder: Path = export_model(model, written)
        progress.update(writing, description="written")
        comparing = progress.add_task("comparing with torch", total=tokens * levels)
        checks = list(check_model(folder, tokens, lambda done: progress.advance(comparing, done)))
    if as_json:
        click.echo(
            json.dumps({"folder": str(folder), "levels": [asdict(check) for check in checks]}, indent=1)
        )
    else:
        Console().print(_table(checks))
        click.echo(f"graphs in {folder}")
    require_equal(checks)


def _table(checks: list[Any]) -> Table:
    table = Table(title="ONNX Runtime beside torch")
    for heading in (
        "level",
        "logits differ by",
        "tokens alike",
        "codes alike",
        "samples differ by",
        "graphs",
    ):
        table.add_column(heading, justify="right")
    for check in checks:
        row = asdict(check)
        table.add_row(
            str(row["level"]),
            f"{row['logits']:.1e}",
            f"{row['tokens_alike']} of {row['tokens']}",
            f"{100 * row['codes_alike']:.2f} %",
            f"{row['samples']:.1e}",
            f"{row['bytes'] / 1e6:.2f} MB",
        )
    return table
