"""``segue takes list``: a line for each take, at once however many there are."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import click

from bridge.cli.takes.common import opened, say_json, shelf_options, stars, tell_problems, title, told
from engine.shelf.index import Index
from engine.shelf.lines import Entry

_HEADS = ("id", "name", "rating", "kept", "length", "bpm", "style", "fidelity", "seed", "from", "made")


@click.command("list")
@click.option("--kept", is_flag=True, help="Those that are kept only.")
@click.option("--rating", type=click.IntRange(0, 5), default=0, help="Those that are rated so or better.")
@click.option("--newest", type=click.IntRange(min=1), default=None, help="No more than so many.")
@click.option("--trash", "trashed", is_flag=True, help="Those in the trash instead.")
@shelf_options
def list_(
    kept: bool, rating: int, newest: int | None, trashed: bool, root: Path | None, as_json: bool
) -> None:
    """All takes, the oldest first: in the order of their numbers."""
    index = opened(root)
    found = [entry for entry in index.entries if entry.trashed is trashed and _fits(entry, kept, rating)]
    found = found[-newest:] if newest else found
    tell_problems(index)
    if as_json:
        unfinished = [str(folder) for folder in index.unfinished]
        say_json(
            {
                "root": str(index.root),
                "takes": [told(index, entry) for entry in found],
                "unfinished": unfinished,
                "problems": list(index.problems),
            }
        )
        return
    if not found:
        click.echo(f"no takes {'in the trash of' if trashed else 'in'} {index.root}")
    else:
        click.echo(_table(index, found))
    for folder in index.unfinished:
        click.echo(f"segue: {folder} is being made, or was interrupted; segue serve takes it up", err=True)


def _fits(entry: Entry, kept: bool, rating: int) -> bool:
    marks = entry.listed.marks
    return marks["rating"] >= rating and (marks["kept"] or not kept)


def _table(index: Index, entries: Sequence[Entry]) -> str:
    names = {entry.folder: entry.name for entry in index.entries}
    rows = [_HEADS, *(_row(entry, names) for entry in entries)]
    widths = [max(_width(row[place]) for row in rows) for place in range(len(_HEADS))]
    lines = []
    for row, entry in zip(rows, (None, *entries), strict=True):
        cells = [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        if entry is not None:
            cells[1] = title(entry) + cells[1][len(entry.name) :]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(entry: Entry, names: dict[str, str]) -> tuple[str, ...]:
    listed = entry.listed
    return (
        str(entry.number),
        entry.name,
        stars(listed.marks["rating"]),
        "kept" if listed.marks["kept"] else "",
        f"{listed.seconds:.2f} s",
        f"{listed.bpm:g}" if listed.bpm else "",
        listed.style,
        listed.fidelity if listed.state == "complete" else f"{listed.fidelity}, partial",
        str(listed.seed),
        names.get(listed.parent, listed.parent),
        listed.created[:16].replace("T", " "),
    )


def _width(text: str) -> int:
    """Columns of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
