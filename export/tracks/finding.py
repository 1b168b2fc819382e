"""Takes by what somebody calls them: path, folder, name or number."""

from __future__ import annotations

from pathlib import Path

from engine.errors import NoTake, SegueError
from engine.shelf.finding import find
from engine.shelf.index import Index, index_of
from engine.shelf.lines import usual_name
from engine.take import Take
from engine.take.marks import Marks, read_marks
from engine.take.take import TAKE


def find_take(wanted: str, root: Path) -> Take:
    """A take by the path of its folder or of a file in it, wherever it lies, or in ``root`` by folder, name or number.

    Raises :class:`NoTake` where there is none, with the nearest.
    """
    path = Path(wanted).expanduser()
    for folder in (path, path.parent if path.is_file() else root / wanted):
        if (folder / TAKE).is_file():
            return Take.load(folder.resolve())
    index = Index(root)
    index.refresh()
    return Take.load(root / find(index, wanted).place)


def name_of(take: Take, marks: Marks) -> str:
    """What a take is called in lists: its own name, or A01 and the like by its number."""
    entry = None
    if not marks.name:
        index = index_of(take.folder.parent)
        index.news()
        entry = index.of_folder(take.folder.name)
    return marks.name or (take.info.head.name if entry is None else usual_name(entry.number))


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
