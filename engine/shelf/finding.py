"""Which take is meant: by number, name, folder or path."""

from __future__ import annotations

import difflib
import itertools
import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.errors import NoTake
from engine.shelf.files import TAKE
from engine.shelf.index import Index
from engine.shelf.lines import Entry, usual_name

_NEAR = 0.6  # of the letters are the same


def find(index: Index, text: str, *, trashed: bool | None = False) -> Entry:
    """The take that ``text`` means, in the root of ``index``: its number (``7``), its name or, without one of its own,
    ``A07``, its folder's name, or its folder's path. ``trashed``: in the trash (True), not (False), or either.

    Raises :class:`NoTake`, which names the nearest.
    """
    entries = [entry for entry in index.entries if trashed is None or entry.trashed is trashed]
    for entry in (*_meant(entries, text, index.root),):
        return entry
    where = " in the trash" if trashed else ""
    if trashed is not None:
        for entry in _meant(index.entries, text, index.root):
            other = (
                "is not in the trash" if trashed else "is in the trash; restore it first: segue takes restore"
            )
            raise NoTake(f"the take {entry.name} {other}" + ("" if trashed else f" {entry.number}"))
    raise NoTake(f"there is no take '{text[:60]}'{where}; {_offer(entries, text)}")


def _meant(entries: Sequence[Entry], text: str, root: Path) -> Iterable[Entry]:
    wanted = _plain(text)
    if wanted.isascii() and wanted.isdigit():
        yield from (entry for entry in entries if entry.number == int(wanted))
    yield from (entry for entry in entries if text in (entry.folder, entry.place))
    yield from (entry for entry in entries if _plain(entry.name) == wanted)
    yield from (entry for entry in entries if _plain(usual_name(entry.number)) == wanted)
    if os.sep in text or text.startswith("~"):
        path = _folder_of(Path(text))
        yield from (entry for entry in entries if root / entry.place == path)


def _folder_of(path: Path) -> Path:
    """The folder of a take of which a file, such as ``continuation.wav``, may be named."""
    path = path.expanduser().resolve()
    return path.parent if path.is_file() and (path.parent / TAKE).is_file() else path


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip().casefold()


def _offer(entries: Sequence[Entry], text: str) -> str:
    if not entries:
        return "there are none"
    if text.strip().isdigit():
        return f"the nearest is {min(entries, key=lambda entry: abs(entry.number - int(text))).number}"
    names = [name for entry in entries for name in (entry.name, usual_name(entry.number), entry.folder)]
    near = max(names, key=lambda name: _likeness(_plain(name), _plain(text)))
    if _likeness(_plain(near), _plain(text))[0] >= _NEAR:
        return f"did you mean '{near}'?"
    first, last = usual_name(entries[0].number), usual_name(entries[-1].number)
    return f"the takes are {first} to {last}" if first != last else f"the only take is {first}"


def _likeness(name: str, text: str) -> tuple[float, int]:
    """How like a name is to what was typed: most by the letters, then by how both begin."""
    alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(name, text, strict=False))
    return difflib.SequenceMatcher(None, name, text).ratio(), sum(1 for _ in alike)
