"""Changing takes: marks, the trash and back, undo. On disk first, then one line of the index tells it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.audio.durable import sync_folder, writing
from engine.errors import Busy, NoTake, NothingToUndo, OutOfRange, SegueError
from engine.shelf.files import TRASH
from engine.shelf.index import Index
from engine.shelf.lines import Change, Entry, usual_name
from engine.shelf.listed import stamp_of
from engine.take.marks import Marks, read_marks, write_marks

if TYPE_CHECKING:
    from pydantic import ValidationError


def change_marks(
    index: Index, folder: str, *, label: str = "mark", undoes: str = "", **marks: Any
) -> Change | None:
    """Changes the given marks of a take, leaves the others as they are on disk; None when nothing is new.

    ``folder``: its name; ``label``: what undoing it is called; ``undoes``: the change that this takes back. Raises
    :class:`NoTake` for a take that is gone, :class:`OutOfRange` for a mark that cannot be, and what writing raises.
    """
    with index.locked():
        entry = _known(index, folder)
        path = index.root / entry.place
        old = _marks_of(path)
        new = checked(old, **marks)
        if new == old and not undoes:
            return None
        if new.name != old.name:
            _check_name(index, entry, new.name)
        write_marks(path, new)
        was, now = old.model_dump(), new.model_dump()
        changed = [name for name in marks if was[name] != now[name]]
        return index.write(
            "marks",
            folder,
            marks={name: now[name] for name in changed},
            before={name: was[name] for name in changed},
            stamp=stamp_of(path),
            label=f"{label} {usual_name(entry.number)}",
            undoes=undoes,
        )


def checked(old: Marks, **marks: Any) -> Marks:
    """``old`` with other marks. Raises :class:`OutOfRange` in one sentence."""
    from pydantic import ValidationError

    try:
        return Marks.model_validate(old.model_dump() | marks)
    except ValidationError as error:
        raise OutOfRange(_sentence(error)) from error


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    return (
        f"the {first['loc'][0]} is {str(first['input'])[:40]!r}; {first['msg'][0].lower()}{first['msg'][1:]}"
    )


def _marks_of(path: Path) -> Marks:
    try:
        return read_marks(path)
    except SegueError:  # the sentence about it was told when the takes were looked at
        return Marks()


def _check_name(index: Index, entry: Entry, name: str) -> None:
    for other in index.entries:
        if name and other.here and other.folder != entry.folder and other.name.casefold() == name.casefold():
            raise OutOfRange(f"the name '{name}' is that of take {other.number} already; give another one")


def throw_away(index: Index, folder: str, *, undoes: str = "") -> Change:
    """Moves a take's folder to the trash beside it. Raises :class:`NoTake` when it is not there."""
    with index.locked():
        entry = _known(index, folder)
        if entry.trashed:
            raise NoTake(f"the take {entry.name} is in the trash already")
        source, trash = index.root / entry.place, index.root / TRASH
        target, number = trash / folder, 1
        with writing(source):
            trash.mkdir(exist_ok=True)
            while target.exists():
                number += 1
                target = trash / f"{folder}.{number}"
        _move(source, target)
        place, label = f"{TRASH}/{target.name}", f"trash {usual_name(entry.number)}"
        return index.write("trash", folder, place=place, label=label, undoes=undoes)


def bring_back(index: Index, folder: str, *, undoes: str = "") -> Change:
    """Moves a take's folder back from the trash. Raises :class:`Busy` when something else is in its place."""
    with index.locked():
        entry = _known(index, folder)
        if entry.here:
            raise NoTake(f"the take {entry.name} is not in the trash")
        source, target = index.root / entry.place, index.root / Path(folder).name
        if target.exists():
            raise Busy(
                f"'{target}' is there already, so the take stays in '{source}'; move one of them by hand"
            )
        _move(source, target)
        return index.write(
            "restore", folder, place=target.name, label=f"restore {usual_name(entry.number)}", undoes=undoes
        )


def undo(index: Index) -> Change:
    """Takes back the last change of marks or trash, whoever made it; returns it.

    Raises :class:`NothingToUndo`, and what the change back raises.
    """
    with index.locked():
        last = index.undoable()
        if last is None:
            raise NothingToUndo(
                "there is nothing to undo; the index tells of no change that is not undone already"
            )
        take_back(index, last)
        return last


def take_back(index: Index, change: Change) -> Change | None:
    """Takes one change back."""
    folder = change.entry.folder
    if change.do == "trash":
        return bring_back(index, folder, undoes=change.id)
    if change.do == "restore":
        return throw_away(index, folder, undoes=change.id)
    return change_marks(index, folder, label="undo", undoes=change.id, **(change.marks_before or {}))


def _known(index: Index, folder: str) -> Entry:
    """The take as the index has it, which is told of the folder when it does not know it."""
    entry = index.of_folder(folder)
    if entry is None or not (index.root / entry.place).is_dir():
        index.refresh()
        entry = index.of_folder(folder)
    if entry is None or not entry.place:
        raise NoTake(f"'{index.root / folder}' is not there any more; somebody has moved or removed it")
    return entry


def _move(source: Path, target: Path) -> None:
    with writing(target):
        source.rename(target)
        sync_folder(target.parent)
        sync_folder(source.parent)
