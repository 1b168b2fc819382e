"""Takes by what somebody calls them: path, folder, name or number."""

from __future__ import annotations

from pathlib import Path

from engine.errors import NoTake, SegueError
from engine.take import Take
from engine.take.marks import read_marks
from engine.take.take import TAKE


def find_take(wanted: str, root: Path) -> Take:
    """A take by the path of its folder or of a file in it, or in ``root`` by folder, own name, A01 or number.

    Raises :class:`NoTake` where there is none, or more than one.
    """
    path = Path(wanted).expanduser()
    for folder in (path, path.parent, root / wanted):
        if (folder / TAKE).is_file():
            return Take.load(folder.resolve())
    found = [folder for folder in _folders(root) if wanted.casefold() in _names(folder)]
    if len(found) > 1:
        raise NoTake(
            f"there are {len(found)} takes '{wanted}' in '{root}'; name one by its folder, such as {found[-1].name}"
        )
    if not found:
        raise NoTake(
            f"there is no take '{wanted[:80]}' in '{root}'; give a name, a number or the path of its folder"
        )
    return Take.load(found[0])


def _folders(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.glob(f"*/{TAKE}")) if root.is_dir() else []


def _names(folder: Path) -> set[str]:
    """What a take may be called, in small letters."""
    usual = folder.name.rsplit("_", 1)[-1].casefold()
    try:
        own = read_marks(folder).name.casefold()
    except SegueError:
        own = ""
    return {usual, own, usual.removeprefix("a").lstrip("0")} - {""}
