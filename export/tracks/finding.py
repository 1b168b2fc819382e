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


def all_takes(root: Path, *, kept: bool = False) -> tuple[list[Take], list[str]]:
    """The takes of a folder that have audio, or the ``kept`` ones of them; and sentences about what is left out.

    Raises :class:`NoTake` where that is none.
    """
    found: list[Take] = []
    problems: list[str] = []
    for folder in _folders(root):
        try:
            if kept and not read_marks(folder).kept:
                continue
            take = Take.load(folder)
        except SegueError as error:
            problems.append(f"the take in '{folder}' is left out: {error.message}")
            continue
        if take.info.frames and take.wav.is_file():
            found.append(take)
        else:
            problems.append(f"the take in '{folder}' is left out: it has no audio")
    if not found:
        raise NoTake(
            f"no take in '{root}' is kept; keep one first, or name the takes"
            if kept
            else f"there is no take with audio in '{root}'; make one first, or name another takes folder"
        )
    return found, problems


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
