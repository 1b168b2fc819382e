"""Takes on disk as a session takes them up: read at its start, thrown away and brought back. May block."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.audio.durable import sync_folder, writing
from engine.errors import Busy, NoTake, SegueError
from engine.take import Take, recover
from engine.take.marks import Marks, read_marks
from engine.take.take import JOURNAL, REQUEST, TAKE

TRASH = ".trash"
NEWEST = 500  # takes of a folder that a session takes up


@dataclass(frozen=True)
class Found:
    """A take that was there, and its marks."""

    take: Take
    marks: Marks


@dataclass(frozen=True)
class Shelf:
    """What a takes folder holds, the oldest first, and sentences about what cannot be read."""

    found: tuple[Found, ...] = ()
    problems: tuple[str, ...] = ()


def read_shelf(root: Path, newest: int = NEWEST) -> Shelf:
    """The newest takes of a folder. One that was interrupted, with whom nobody goes on, becomes a partial take."""
    found: list[Found] = []
    problems: list[str] = []
    for folder in _newest(root, newest):
        try:
            take = Take.load(folder) if (folder / TAKE).is_file() else recover(folder)
        except Busy:
            continue  # another session makes it just now
        except (SegueError, OSError, ValueError) as error:
            problems.append(f"the take in '{folder}' is left out: {error}")
            continue
        if not take.info.held:
            continue
        try:
            marks = read_marks(folder)
        except SegueError as error:
            problems.append(error.message)
            marks = Marks()
        found.append(Found(take, marks))
    return Shelf(tuple(found), tuple(problems))


def _newest(root: Path, count: int) -> list[Path]:
    """The folders of takes, by name and so by time; what is foreign in the folder is passed over."""
    return sorted(folder for folder in _folders(root) if _is_take(folder))[-count:]


def _folders(root: Path) -> Iterator[Path]:
    try:
        with os.scandir(root) as entries:
            yield from (Path(entry.path) for entry in entries if entry.is_dir() and entry.name[:1] != ".")
    except OSError:
        return  # nothing was made there yet


def _is_take(folder: Path) -> bool:
    return (folder / TAKE).is_file() or ((folder / REQUEST).is_file() and (folder / JOURNAL).is_file())


def throw_away(folder: Path) -> Path:
    """Moves a take's folder to the trash beside it; returns where it is. Raises :class:`NoTake` when it is gone."""
    trash = folder.parent / TRASH
    target, number = trash / folder.name, 1
    with writing(folder):
        trash.mkdir(exist_ok=True)
        while target.exists():
            number += 1
            target = trash / f"{folder.name}.{number}"
    return _moved(folder, target)


def bring_back(thrown: Path, folder: Path) -> Path:
    """Moves a take's folder back from the trash. Raises :class:`Busy` when something else is in its place."""
    if folder.exists():
        raise Busy(f"'{folder}' is there already, so the take stays in '{thrown}'; move one of them by hand")
    return _moved(thrown, folder)


def _moved(source: Path, target: Path) -> Path:
    if not source.is_dir():
        raise NoTake(f"'{source}' is not there any more; somebody has moved or removed it")
    with writing(target):
        source.rename(target)
        sync_folder(target.parent)
        sync_folder(source.parent)
    return target
