"""`segue corpus`: make a corpus, look at one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click


@click.group()
def corpus() -> None:
    """Make and inspect the corpus of songs that models are trained on."""


@corpus.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the corpus.")
@click.option("--songs", type=int, required=True, help="How many songs the corpus is to hold.")
@click.option("--seed", type=int, default=1, show_default=True, help="Every song follows from this and its number.")
@click.option("--jobs", type=int, default=os.cpu_count() or 1, show_default="all cores", help="Processes at work.")
@click.option("--minutes", type=float, help="Begin no song after this time; a later run goes on.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def make(out: Path, songs: int, seed: int, jobs: int, minutes: float | None, as_json: bool) -> None:
    """Make songs with their audio, MIDI and metadata; go on where an earlier run stopped."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from engine.corpus.make import make_corpus

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    columns = (TextColumn("songs"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[audio]:.1f} min of audio"),
               TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("songs", total=songs, audio=0.0)
        made = 0.0

        def step(done: int, wanted: int, seconds: float) -> None:
            nonlocal made
            made += seconds
            bar.update(task, completed=done, total=wanted, audio=made / 60)

        manifest = make_corpus(out, songs, seed, jobs, minutes, step)
    if as_json:
        click.echo(json.dumps(manifest))
        return
    counts: dict[str, Any] = manifest["counts"]
    state = "complete" if manifest["complete"] else f"{counts['songs']} of {songs}; run again to go on"
    click.echo(f"{out}: {counts['songs']} songs, {manifest['seconds'] / 3600:.2f} h, {counts['held-out']} held out ({state})")


if __name__ == "__main__":
    corpus()
