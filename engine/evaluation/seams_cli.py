"""`segue seams`: what it costs to the ear that a level's windows are sampled side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from engine.errors import BadArguments

if TYPE_CHECKING:
    from engine.evaluation.seams import WayRow


@click.command()
@click.argument("model", default="starter")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Corpus or folder of audio. Default: a small corpus made for the purpose, kept in the user's cache.",
)
@click.option("--songs", default=8, show_default=True, help="Songs to measure on.")
@click.option("--level", "levels", type=click.IntRange(0), multiple=True, default=(0, 1), show_default=True)
@click.option("--seconds", default=8.0, show_default=True, help="Length of each take.")
@click.option("--lanes", default=8, show_default=True, help="Windows sampled in step.")
@click.option("--backend", type=click.Choice(("auto", "torch", "onnx")), default="auto", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for seams.json and pictures.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON instead of a table.")
def seams(
    model: str,
    data: Path | None,
    songs: int,
    levels: tuple[int, ...],
    seconds: float,
    lanes: int,
    backend: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare ways of sampling MODEL's windows side by side with sampling them one after another.

    The metric is the jump of the spectrum where windows meet, over that of the sequential take at the same places.
    """
    from rich.console import Console

    from engine.backends.choose import open_backend
    from engine.evaluation.bars import bars, begin
    from engine.evaluation.data import choose_sources, load_songs
    from engine.evaluation.default_corpus import default_corpus
    from engine.evaluation.seams import PRIME_SECONDS, WAYS, compare_ways
    from engine.evaluation.seams_plot import plot_ways

    host = open_backend(model, backend)  # type: ignore[arg-type]
    if max(levels) >= host.config.top:
        raise BadArguments(
            f"level {max(levels)} has nothing above it; only levels 0 to {host.config.top - 1} are sampled side by side"
        )
    rows = []
    with bars() as progress:
        folder = data or default_corpus(progress)
        rate = host.config.rate
        chosen = load_songs(
            choose_sources(folder, "all", songs, 0), rate, round((PRIME_SECONDS + seconds) * rate)
        )
        for level in levels:
            task = begin(progress, f"level {level}", len(chosen) * len(WAYS))
            found, shown = compare_ways(
                host,
                chosen,
                level,
                seconds=seconds,
                lanes=lanes,
                step=lambda task=task: progress.advance(task),  # type: ignore[misc]
            )
            rows += found
            if out is not None:
                plot_ways(found, shown, rate, out / f"seams_{level}.png")
    report = {"model": host.config.name, "model_hash": host.hash, "rows": [row.model_dump() for row in rows]}
    if out is not None:
        (out / "seams.json").write_text(json.dumps(report, indent=1) + "\n")
    if as_json:
        click.echo(json.dumps(report, indent=1))
    else:
        Console(width=120).print(_table(rows))


def _table(rows: Sequence[WayRow]) -> Table:
    table = Table(title="where windows meet")
    for heading in (
        "level",
        "windows",
        "seams",
        "metric",
        "jump dB",
        "sequential",
        "song",
        "click dB",
        "speed",
    ):
        table.add_column(heading, justify="left" if heading == "windows" else "right")
    for row in rows:
        figures = (row.metric, row.jump_db, row.same_places_db, row.real_db, row.click_db, row.speed)
        table.add_row(str(row.level), row.name, str(row.seams), *(f"{figure:.2f}" for figure in figures))
    return table
