"""``segue takes rate``, ``name``, ``color``, ``keep``, ``trash``, ``restore`` and ``undo``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.takes.common import meant, opened, say_json, shelf_options, told
from engine.errors import OutOfRange, SegueError

if TYPE_CHECKING:
    from engine.shelf.index import Index
    from engine.shelf.lines import Change, Entry


@click.command()
@click.argument("ident", metavar="ID")
@click.argument("rating", type=int)
@shelf_options
def rate(ident: str, rating: int, root: Path | None, as_json: bool) -> None:
    """Rate the take ID: 0 (none) to 5 (best)."""
    if not 0 <= rating <= 5:
        raise OutOfRange(f"the rating is {rating}; it must be from 0 to 5")
    _mark(root, ident, as_json, "rate", f"is rated {rating}", rating=rating)


@click.command()
@click.argument("ident", metavar="ID")
@click.argument("text", metavar="NAME")
@shelf_options
def name(ident: str, text: str, root: Path | None, as_json: bool) -> None:
    """Call the take ID by NAME; an empty one takes its name away."""
    own = text.strip()
    _mark(root, ident, as_json, "name", f"is called '{own}'" if own else "has no name of its own", name=own)


@click.command()
@click.argument("ident", metavar="ID")
@click.argument("color", metavar="#RRGGBB")
@shelf_options
def color(ident: str, color: str, root: Path | None, as_json: bool) -> None:
    """Give the take ID a colour, such as #e0a030; "none" takes it away."""
    own = "" if color.strip().lower() == "none" else color.strip().lower()
    _mark(root, ident, as_json, "color", f"has the colour {own}" if own else "has no colour", color=own)


@click.command()
@click.argument("idents", metavar="ID...", nargs=-1, required=True)
@click.option("--no", "no_longer", is_flag=True, help="No longer.")
@shelf_options
def keep(idents: tuple[str, ...], no_longer: bool, root: Path | None, as_json: bool) -> None:
    """Keep the takes ID..., or no longer."""
    _each(
        root,
        idents,
        as_json,
        "is kept no longer" if no_longer else "is kept",
        lambda index, entry: _change(index, entry, "keep", kept=not no_longer),
    )


@click.command()
@click.argument("idents", metavar="ID...", nargs=-1, required=True)
@shelf_options
def trash(idents: tuple[str, ...], root: Path | None, as_json: bool) -> None:
    """Move the takes ID... to the trash, a folder beside them; undo or restore brings them back."""
    from engine.shelf.changing import throw_away

    _each(root, idents, as_json, "is in the trash", lambda index, entry: throw_away(index, entry.folder))


@click.command()
@click.argument("idents", metavar="ID...", nargs=-1, required=True)
@shelf_options
def restore(idents: tuple[str, ...], root: Path | None, as_json: bool) -> None:
    """Bring the takes ID... back from the trash; segue takes list --trash says what is there."""
    from engine.shelf.changing import bring_back

    _each(
        root,
        idents,
        as_json,
        "is back",
        lambda index, entry: bring_back(index, entry.folder),
        trashed=True,
    )


@click.command()
@shelf_options
def undo(root: Path | None, as_json: bool) -> None:
    """Take back the last change of marks or trash that was made in this takes folder, whoever made it."""
    from engine.shelf.changing import undo as take_back

    index = opened(root)
    change = take_back(index)
    entry = index.of_folder(change.entry.folder) or change.entry
    if as_json:
        say_json({"undone": change.label, "at": change.at, "take": told(index, entry)})
    else:
        click.echo(f"undone: {change.label}, of {change.at[:19].replace('T', ' ')}")


def _mark(root: Path | None, ident: str, as_json: bool, label: str, done: str, **marks: Any) -> None:
    _each(root, (ident,), as_json, done, lambda index, entry: _change(index, entry, label, **marks), one=True)


def _change(index: Index, entry: Entry, label: str, **marks: Any) -> Change | None:
    from engine.shelf.changing import change_marks

    return change_marks(index, entry.folder, label=label, **marks)


def _each(
    root: Path | None,
    idents: tuple[str, ...],
    as_json: bool,
    done: str,
    change: Callable[[Index, Entry], Change | None],
    *,
    trashed: bool = False,
    one: bool = False,
) -> None:
    """Changes one take after the other: all are looked up first, so that a wrong id changes nothing."""
    found = [meant(root, ident, trashed=trashed) for ident in idents]
    rows: list[dict[str, Any]] = []
    for index, entry in found:
        try:
            change(index, entry)
        except SegueError:
            for row in rows:
                click.echo(f"{row['name']} {done}", err=as_json)
            raise
        rows.append(told(index, index.of_folder(entry.folder) or entry))
    if as_json:
        say_json(rows[0] if one else rows)
        return
    for row in rows:
        click.echo(f"{row['id']}  {row['name']} {done}")
