"""What the commands of ``segue takes`` share. Nothing here is slow to import."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from engine.errors import NoTake
from engine.folders import default_takes
from engine.shelf.files import CONTINUATION, TAKE
from engine.shelf.finding import find
from engine.shelf.index import Index
from engine.shelf.lines import Entry

Command = TypeVar("Command", bound=Callable[..., Any])

_ROOT = click.option(
    "--root",
    "--takes",
    "root",
    type=click.Path(path_type=Path),
    default=None,
    help="Takes folder. [default: SEGUE_TAKES, else Segue in your music folder]",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")


def shelf_options(command: Command) -> Command:
    """``--root`` and ``--json``."""
    return _ROOT(_JSON(command))


def opened(root: Path | None) -> Index:
    """The index of the takes folder, up to date; what cannot be read is told on stderr."""
    index = Index((root or default_takes()).expanduser().resolve())
    index.refresh()
    return index


def tell_problems(index: Index) -> None:
    """Say on stderr what cannot be read."""
    for problem in index.problems:
        click.echo(f"segue: {problem}", err=True)


def meant(root: Path | None, ident: str, *, trashed: bool | None = False) -> tuple[Index, Entry]:
    """The take that ``ident`` means and the index that knows it: of another folder for a path that leads there.

    Raises :class:`NoTake`, which offers the nearest.
    """
    index = opened(root)
    try:
        return index, find(index, ident, trashed=trashed)
    except NoTake:
        folder = Path(ident).expanduser().resolve()
        folder = folder.parent if folder.is_file() else folder
        if not (folder / TAKE).is_file() or folder.parent == index.root:
            raise
        elsewhere = opened(folder.parent)
        return elsewhere, find(elsewhere, folder.name, trashed=trashed)


def told(index: Index, entry: Entry) -> dict[str, Any]:
    """What ``--json`` says of a take."""
    listed = entry.listed
    folder = index.root / entry.place
    return {
        "id": entry.number,
        "name": entry.name,
        "folder": str(folder),
        "wav": str(folder / CONTINUATION),
        "parent": listed.parent or None,
        "mode": listed.mode,
        "style": listed.style,
        "bpm": listed.bpm,
        "bars": listed.bars,
        "seconds": listed.seconds,
        "seed": listed.seed,
        "rating": listed.marks["rating"],
        "color": listed.marks["color"],
        "kept": listed.marks["kept"],
        "state": listed.state,
        "trashed": entry.trashed,
        "fidelity": listed.fidelity,
        "created": listed.created,
        "model": listed.model,
        "model_hash": listed.model_hash,
        "metrics": listed.metrics,
    }


def say_json(value: object) -> None:
    """Print a value as JSON, names in their own letters."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def title(entry: Entry) -> str:
    """The name of a take, in its colour."""
    color = entry.listed.marks["color"]
    return click.style(entry.name, fg=_rgb(color)) if color else entry.name


def _rgb(color: str) -> tuple[int, int, int] | None:
    try:
        return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
    except ValueError:
        return None


def stars(rating: int) -> str:
    """A rating as stars."""
    return "★" * rating


def summary(entry: Entry) -> str:
    """The rest of a line about a take."""
    listed = entry.listed
    parts = [
        stars(listed.marks["rating"]),
        "kept" if listed.marks["kept"] else "",
        f"{listed.seconds:.2f} s",
        f"{listed.bpm:g} bpm" if listed.bpm else "",
        listed.style,
        listed.fidelity,
        f"seed {listed.seed}",
        "partial" if listed.state != "complete" else "",
    ]
    return "  ".join(part for part in parts if part)
