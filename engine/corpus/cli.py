"""`segue corpus`: make a corpus, look at one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from engine.errors import SegueError


@click.group()
def corpus() -> None:
    """Make and inspect the corpus of songs that models are trained on."""


@corpus.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the corpus.")
@click.option("--songs", type=int, required=True, help="How many songs the corpus is to hold.")
@click.option(
    "--seed", type=int, default=1, show_default=True, help="Every song follows from it and its number."
)
@click.option(
    "--jobs", type=int, default=os.cpu_count() or 1, show_default="all cores", help="Processes at work."
)
@click.option("--minutes", type=float, help="Begin no song after this time; a later run goes on.")
@click.option(
    "--soundfont", type=click.Path(path_type=Path), help="Play acoustic parts of every second song from it."
)
@click.option(
    "--sung",
    type=float,
    default=0.0,
    show_default=True,
    help="Share of the songs with a singer, 0 to 1, in genres that are sung.",
)
@click.option("--bank", type=click.Path(path_type=Path), help="Bank of voices, if not the one of Segue.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def make(
    out: Path,
    songs: int,
    seed: int,
    jobs: int,
    minutes: float | None,
    soundfont: Path | None,
    sung: float,
    bank: Path | None,
    as_json: bool,
) -> None:
    """Make songs with their audio, MIDI and metadata; go on where an earlier run stopped."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from engine.corpus.make import make_corpus
    from engine.corpus.singing.bank import BANK
    from engine.corpus.song import Singing
    from engine.corpus.soundfont import fluidsynth_present

    if soundfont is not None and not fluidsynth_present():
        click.echo("segue: fluidsynth is not installed, so our own voices play every part.", err=True)
        soundfont = None
    audio = TextColumn("{task.fields[audio]:.1f} min of audio")
    columns = (TextColumn("songs"), BarColumn(), MofNCompleteColumn(), audio, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("songs", total=songs, audio=0.0)
        made = 0.0

        def step(done: int, wanted: int, seconds: float) -> None:
            nonlocal made
            made += seconds
            bar.update(task, completed=done, total=wanted, audio=made / 60)

        singing = Singing(sung, bank or BANK) if sung else None
        manifest = make_corpus(out, songs, seed, jobs, minutes, step, soundfont, singing)
    if as_json:
        click.echo(json.dumps(manifest))
        return
    counts: dict[str, Any] = manifest["counts"]
    state = "complete" if manifest["complete"] else f"{counts['songs']} of {songs}: run again to go on"
    hours = manifest["seconds"] / 3600
    click.echo(f"{out}: {counts['songs']} songs, {hours:.2f} h, {counts['held-out']} held out ({state})")


@corpus.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option(
    "--plot", type=click.Path(path_type=Path), help="Draw a contact sheet of spectrograms to this PNG."
)
def show(folder: Path, as_json: bool, plot: Path | None) -> None:
    """Print how many songs and minutes there are per genre, artist and tempo."""
    from engine.corpus.show import contact_sheet, describe

    figures = describe(folder)
    if plot is not None:
        drawn = contact_sheet(folder, plot)
        click.echo(f"{plot}: {drawn} songs", err=True)
    if as_json:
        click.echo(json.dumps(figures))
    else:
        _print_tables(figures)


@corpus.group()
def voices() -> None:
    """The bank of spoken words that singers' voices are made of; one comes with Segue."""


@voices.command("make")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File of the bank.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def make_voices(out: Path, as_json: bool) -> None:
    """Make a bank anew: espeak-ng, which has to be installed, speaks every word in every voice."""
    from rich.console import Console
    from rich.progress import track

    from engine.corpus.singing.recording import record_bank, recordings

    wanted = recordings()
    ticks = iter(track(wanted, "words", console=Console(stderr=True)))
    size = record_bank(out, lambda: next(ticks, None))
    figures = {"file": str(out), "words": len(wanted), "bytes": size}
    click.echo(json.dumps(figures) if as_json else f"{out}: {len(wanted)} words, {size / 1e3:.0f} kB")


@voices.command()
@click.option("--bank", type=click.Path(path_type=Path), help="Bank of voices, if not the one of Segue.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def check(bank: Path | None, as_json: bool) -> None:
    """Let every singer sing every word, and measure pitch, onset and speed."""
    from engine.corpus.singing.bank import BANK, read_bank
    from engine.corpus.singing.check import check_singers

    rows = check_singers(read_bank(bank or BANK))
    if as_json:
        click.echo(json.dumps([vars(row) for row in rows]))
    else:
        _print_singers(rows)


def _print_singers(rows: list[Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "singer",
        "words",
        "pitch off, cents: median",
        "95 %",
        "onset off, ms: median",
        "95 %",
        "times real time",
    )
    for row in rows:
        figures = (row.cents, row.cents_95, row.onset_ms, row.onset_ms_95, row.times_real_time)
        table.add_row(row.singer, str(row.words), *(f"{figure:.1f}" for figure in figures))
    Console().print(table)


def _print_tables(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(
        f"{figures['folder']}: {figures['songs']} of {figures['wanted']} songs, {figures['seconds'] / 60:.1f} min, "
        f"{figures['held_out']} held out, seed {figures['seed']}, version {figures['version']}"
    )
    for kind in ("genres", "artists"):
        table = Table(kind[:-1], "songs", "minutes", "held out")
        for name, row in figures[kind].items():
            table.add_row(name, str(row["songs"]), f"{row['seconds'] / 60:.1f}", str(row["held_out"]))
        console.print(table)
    most = max(figures["tempi"].values(), default=1)
    for low, count in figures["tempi"].items():
        console.print(f"{low:>4} bpm {'█' * max(1, round(40 * count / most))} {count}")


def _main() -> None:
    """Runs the group alone, with errors as the `segue` command shows them."""
    try:
        corpus(standalone_mode=False)
    except SegueError as error:
        click.echo(f"segue: {error}", err=True)
        raise SystemExit(2) from error
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from error


if __name__ == "__main__":
    _main()
