"""Making a contact sheet: the takes of a folder or those that are named, as a page, a picture, or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from engine.audio.durable import writing
from engine.errors import BadArguments
from engine.take import Take
from export.projects.pieces import ROOM
from export.sheet.cards import Card, cards_of

PAGE, PICTURE = "sheet.html", "sheet.png"
KINDS = (".html", ".png")


def make_sheet(
    takes: Sequence[Take], path: Path, title: str, done: Callable[[str], None] = lambda name: None
) -> list[Card]:
    """The sheet of ``takes`` as ``path``, an ``.html`` or a ``.png``; what it shows is returned.

    ``done`` is told the name of every row. A sheet that was there is replaced when the new one is whole. Raises NoTake
    for no takes, BadArguments for another kind of file or without matplotlib for a PNG, :class:`DiskFull` and
    :class:`PathNotAllowed` of the folder.
    """
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise BadArguments(
            f"a contact sheet is a page or a picture, not '{path.name}'; end its name in .html or .png"
        )
    if kind == ".png":
        from export.sheet.picture import require_plotting, write_picture

        require_plotting()
        write = write_picture
    else:
        from export.sheet.page import write_page

        write = write_page
    with writing(path.parent, ROOM):
        path.parent.mkdir(parents=True, exist_ok=True)
    cards = cards_of(takes, done)
    write(cards, path, title)
    return cards
