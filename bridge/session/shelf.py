"""Takes on disk as a session takes them up when it starts. May block."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import Busy, SegueError
from engine.shelf.index import Index
from engine.shelf.lines import Entry


@dataclass(frozen=True)
class Shelf:
    """What a takes folder holds, by number, and sentences about what cannot be read."""

    found: tuple[Entry, ...] = ()
    problems: tuple[str, ...] = ()


def read_shelf(index: Index) -> Shelf:
    """The takes of a folder. One that was interrupted, with whom nobody goes on, becomes a partial take.

    From here on the index remembers what others tell it.
    """
    index.foreign()
    index.refresh()
    problems: list[str] = list(index.problems)
    for folder in index.unfinished:
        try:
            _recover(folder)
        except Busy:
            continue  # another session makes it just now
        except (SegueError, OSError, ValueError) as error:
            problems.append(f"the take in '{folder}' is left out: {error}")
    entries = index.refresh() if index.unfinished else index.entries
    return Shelf(tuple(entry for entry in entries if entry.here and entry.listed.held), tuple(problems))


def _recover(folder: Path) -> None:
    from engine.take import recover

    recover(folder)
