"""What to do with a take that was interrupted: keep its finished windows, or remove it."""

from __future__ import annotations

import shutil
from pathlib import Path

from engine.shelf.index import announce
from engine.take.closing import close_take
from engine.take.journal import Journal
from engine.take.state import Growth
from engine.take.take import JOURNAL, REQUEST, TAKE, Take, TakeHead, read_record


def recover(folder: str | Path) -> Take:
    """Makes a usable take of an interrupted one: every finished window's codes and the audio made so far.

    Needs no model. The result has the state "partial" and can still be resumed; a complete take is returned
    as it is. Raises :class:`NoFile` where there is no take, :class:`Busy` while a process is writing it.
    """
    folder = Path(folder)
    if (folder / TAKE).is_file():
        take = Take.load(folder)
        if take.info.state == "complete":
            return take
    head = read_record(folder, REQUEST, TakeHead)
    journal = Journal(folder / JOURNAL)
    try:
        growth = Growth.of(journal.records)
        take = close_take(folder, head, growth, "partial")
    finally:
        journal.close()
    announce(folder)
    return take


def discard(folder: str | Path) -> None:
    """Removes an unfinished take (a cancelled one); a complete one is left alone."""
    folder = Path(folder)
    if (folder / TAKE).is_file() and Take.load(folder).info.state == "complete":
        return
    shutil.rmtree(folder, ignore_errors=True)
