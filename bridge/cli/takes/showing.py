"""``segue takes show`` and ``segue takes tree``: one take in full, and which goes on from which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.takes.common import (
    meant,
    opened,
    say_json,
    shelf_options,
    summary,
    tell_problems,
    title,
    told,
)
from engine.shelf.index import Index
from engine.shelf.lines import Entry

if TYPE_CHECKING:
    from rich.tree import Tree


@click.command()
@click.argument("ident", metavar="ID")
@shelf_options
def show(ident: str, root: Path | None, as_json: bool) -> None:
    """Everything about the take ID; with --json its whole record too."""
    from engine.take import Take

    index, entry = meant(root, ident, trashed=None)
    take = Take.load(index.root / entry.place)
    children = [other for other in index.entries if other.listed.parent == entry.folder]
    if as_json:
        files = sorted(path.name for path in take.folder.iterdir())
        record = take.info.model_dump(mode="json")
        say_json({**told(index, entry), "children": _ids(children), "files": files, "record": record})
        return
    info, head = take.info, take.info.head
    parent = index.of_folder(entry.listed.parent)
    rows = {
        "take": f"{entry.number}  {title(entry)}  {summary(entry)}"
        + ("  in the trash" if entry.trashed else ""),
        "folder": str(take.folder),
        "goes on from": _origin(entry, parent, head.request.prime.path if head.request.prime else ""),
        "goes on in": ", ".join(other.name for other in children),
        "made": f"{head.created}, in {info.timings.total_seconds:.1f} s",
        "model": f"{head.request.model} {head.model_hash[:12]}, {head.runtime or 'runtime unknown'}",
        "engine": head.engine_version,
        "codes": ", ".join(
            f"level {level}: {count}" for level, count in sorted(info.tokens.items(), reverse=True)
        ),
        "metrics": ", ".join(f"{name} {_figure(value)}" for name, value in entry.listed.metrics.items()),
    }
    for name, value in rows.items():
        if value:
            click.echo(f"{name:<13}{value}")


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _ids(entries: list[Entry]) -> list[int]:
    return [entry.number for entry in entries]


def _origin(entry: Entry, parent: Entry | None, prime: str) -> str:
    if entry.listed.parent:
        return parent.name if parent is not None else f"{entry.listed.parent}, which is not here"
    return prime or "nothing"


@click.command()
@click.argument("ident", metavar="[ID]", required=False)
@shelf_options
def tree(ident: str | None, root: Path | None, as_json: bool) -> None:
    """Which take goes on from which; below the take ID only, where one is given."""
    index = meant(root, ident)[0] if ident else opened(root)
    below = _children(index)
    tops = [meant(root, ident)[1]] if ident else below.get("", [])
    tell_problems(index)
    if as_json:
        say_json([_nested(index, entry, below) for entry in tops])
        return
    if not tops:
        click.echo(f"no takes in {index.root}")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.tree import Tree

    drawn = Tree(escape(str(index.root)))
    for entry in tops:
        _draw(drawn, entry, below)
    Console(soft_wrap=True).print(drawn, highlight=False)


def _children(index: Index) -> dict[str, list[Entry]]:
    """Takes by the folder of the one before; under "" those of which that is not here. No take is lost in a circle."""
    here = {entry.folder: entry for entry in index.entries if entry.here}
    below: dict[str, list[Entry]] = {}
    for entry in here.values():
        below.setdefault(_above(entry, here), []).append(entry)
    return below


def _above(entry: Entry, here: dict[str, Entry]) -> str:
    seen, parent = {entry.folder}, entry.listed.parent
    while parent in here and parent not in seen:
        seen.add(parent)
        parent = here[parent].listed.parent
    return entry.listed.parent if entry.listed.parent in here and parent not in seen else ""


def _nested(index: Index, entry: Entry, below: dict[str, list[Entry]]) -> dict[str, Any]:
    children = [_nested(index, child, below) for child in below.get(entry.folder, [])]
    return {**told(index, entry), "children": children}


def _draw(tree: Tree, entry: Entry, below: dict[str, list[Entry]]) -> None:
    from rich.text import Text

    line = Text(f"{entry.number}  ")
    line.append(entry.name, style=f"bold {entry.listed.marks['color']}".strip())
    line.append(f"  {summary(entry)}")
    branch = tree.add(line)
    for child in below.get(entry.folder, []):
        _draw(branch, child, below)
