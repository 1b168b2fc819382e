"""``segue takes``: what is in a takes folder, and what can be done with it.

ID is a take's number, its name (``A07`` is number 7 unless it has another), its folder's name, or a path. Numbers are
those that a session uses for the same folder; they stay when other takes are thrown away.
"""

from __future__ import annotations

import click

from bridge.cli.root import LazyCommand, LazyGroup

_HERE = "bridge.cli.takes"

COMMANDS: dict[str, LazyCommand] = {
    "list": LazyCommand(f"{_HERE}.listing:list_", "All takes, or those in the trash."),
    "show": LazyCommand(f"{_HERE}.showing:show", "Everything about a take."),
    "tree": LazyCommand(f"{_HERE}.showing:tree", "Which take goes on from which."),
    "play": LazyCommand(f"{_HERE}.hearing:play", "Hear a take."),
    "recall": LazyCommand(f"{_HERE}.remaking:recall", "Make a take anew, and compare."),
    "retry": LazyCommand(f"{_HERE}.remaking:retry", "The same again with another seed."),
    "sheet": LazyCommand("export.sheet.cli:sheet", "All at a glance, as a page with players or a picture."),
    "rate": LazyCommand(f"{_HERE}.marking:rate", "0 (none) to 5 (best)."),
    "name": LazyCommand(f"{_HERE}.marking:name", "Give a take a name of its own."),
    "color": LazyCommand(f"{_HERE}.marking:color", "Give a take a colour."),
    "keep": LazyCommand(f"{_HERE}.marking:keep", "Keep a take, or no longer."),
    "trash": LazyCommand(f"{_HERE}.marking:trash", "Move takes to the trash."),
    "restore": LazyCommand(f"{_HERE}.marking:restore", "Bring takes back from the trash."),
    "undo": LazyCommand(f"{_HERE}.marking:undo", "Take back the last change of marks or trash."),
}


@click.command(cls=LazyGroup, table=COMMANDS)
def takes() -> None:
    """List, mark, hear, recall and tidy up takes.

    ID is a take's number, its name (A07 is number 7 unless it has another), its folder's name, or a path. A session
    that runs on the same folder has the same numbers, and sees what is done here.
    """
