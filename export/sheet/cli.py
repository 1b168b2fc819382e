"""``segue takes sheet``: a contact sheet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import Progress

from engine.folders import default_takes

if TYPE_CHECKING:
    from engine.take import Take


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--kept", is_flag=True, help="Only takes that are kept.")
@click.option(
    "--root",
    "--takes",
    "root",
    type=click.Path(path_type=Path),
    default=None,
    help="Takes folder. [default: SEGUE_TAKES, else Segue in your music folder]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="An .html page or a .png picture. [default: sheet.html in the takes folder]",
)
@click.option("--title", default=None, help="What stands above it. [default: the folder's name and the days]")
@click.option("--json", "as_json", is_flag=True, help="Print what is shown as JSON.")
def sheet(
    ids: tuple[str, ...], kept: bool, root: Path | None, out: Path | None, title: str | None, as_json: bool
) -> None:
    """See all takes of a folder at a glance, or those that ID names.

    Waveforms, spectrograms, figures and recipes, below each other as they go on from one another. The page has players
    (space, arrow keys) and needs no server; it links to the takes' own sounds, so keep it where it is. The picture
    needs matplotlib.
    """
    from export.sheet.making import PAGE, make_sheet

    folder = (root or default_takes()).expanduser().resolve()
    takes = _meant(ids, kept, folder)
    path = (out or folder / PAGE).expanduser().resolve()
    with Progress(console=Console(stderr=True), disable=as_json, transient=True) as progress:
        task = progress.add_task("looking at takes", total=len(takes))
        cards = make_sheet(
            takes,
            path,
            title or _title(folder, takes),
            lambda name: progress.update(task, advance=1, description=f"looking at {name[:40]}"),
        )
    if as_json:
        rows = [
            {
                "name": card.name,
                "kind": card.kind,
                "generation": card.depth,
                "wav": str(card.wav),
                "seconds": card.seconds,
                "recipe": card.recipe,
                "figures": dict(card.figures),
                "problem": card.problem or None,
            }
            for card in cards
        ]
        click.echo(json.dumps({"path": str(path), "rows": rows}, indent=2, ensure_ascii=False))
        return
    click.echo(str(path))


def _meant(ids: tuple[str, ...], kept: bool, root: Path) -> list[Take]:
    from export.tracks.finding import all_takes, find_take

    if ids:
        return list({take.folder: take for take in (find_take(one, root) for one in ids)}.values())
    takes, problems = all_takes(root, kept=kept)
    for problem in problems:
        click.echo(f"segue: {problem}", err=True)
    return takes


def _title(root: Path, takes: list[Take]) -> str:
    days = sorted({take.info.head.created[:10] for take in takes})
    return f"{root.name}, {days[0]}" + (f" to {days[-1]}" if len(days) > 1 else "")
