"""``index.jsonl``: read from where it was left, appended to in one durable write, shared by processes."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import re
import secrets
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.errors import Busy, SegueError
from engine.shelf.files import INDEX, LOCK
from engine.shelf.lines import VERSION, Change, Entry, Ledger, parse
from engine.shelf.listed import Listed, read_listed
from engine.shelf.looking import Seen, look

LOCK_SECONDS = 10.0  # another process holds the lock for milliseconds
_NUMBER = re.compile(r"_A(\d{1,9})$")
_OWN_NAME = re.compile(r"\d{4}-\d\d-\d\d_\d{6}_A\d+")  # as the take's writer gives them

Line = dict[str, Any]


class Index:
    """The index of one takes root. Thread-safe; any number of processes may have one each on the same folder.

    ``by``: who its lines are from. Reading needs no more than the right to read; every method that writes raises
    :class:`DiskFull`, :class:`PathNotAllowed` or :class:`NoFile` as :func:`engine.audio.durable.writing` does, and
    :class:`Busy` when another process does not give up the lock.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.by = f"{os.getpid()}.{secrets.token_hex(3)}"
        self.problems: tuple[str, ...] = ()
        self.unfinished: tuple[Path, ...] = ()
        self._ledger = Ledger()
        self._at = 0  # bytes of the file that were read
        self._file: tuple[int, int] | None = None  # which file that was
        self._threads = threading.RLock()
        self._held = False
        self._foreign: list[Change] | None = None  # None until somebody asks

    # -- reading ------------------------------------------------------------------------------------------------------

    @property
    def entries(self) -> list[Entry]:
        """All takes that are there or in the trash, by number, as last read."""
        with self._threads:
            known = [entry for entry in self._ledger.entries.values() if entry.place]
        return sorted(known, key=lambda entry: entry.number)

    def of_folder(self, folder: str) -> Entry | None:
        """The take whose folder has this name, as last read."""
        return self._ledger.entries.get(folder)

    def undoable(self) -> Change | None:
        """The last change that can be taken back, as last read."""
        with self._threads:
            return self._ledger.undoable()

    def news(self) -> list[Change]:
        """Reads on; what was new, oldest first, the own lines included."""
        with self._threads:
            try:
                with open(self.root / INDEX, "rb") as file:
                    status = os.fstat(file.fileno())
                    which = (status.st_dev, status.st_ino)
                    if which != self._file or status.st_size < self._at:
                        self._ledger, self._at, self._file = Ledger(), 0, which
                    file.seek(self._at)
                    data = file.read()
            except OSError:  # none yet, or deleted: the folders say what there is
                self._ledger, self._at, self._file = Ledger(), 0, None
                return []
            whole = data.rfind(b"\n") + 1
            self._at += whole
            news = [change for raw in parse(data[:whole]) if (change := self._ledger.add(raw)) is not None]
            if self._foreign is not None:
                self._foreign += [change for change in news if change.by != self.by]
            return news

    def foreign(self) -> list[Change]:
        """Reads on; what others have told since this was asked last, oldest first. Nothing the first time."""
        with self._threads:
            self.news()
            found, self._foreign = self._foreign or [], []
            return found

    def refresh(self) -> list[Entry]:
        """Reads on and looks at the folders; what the index lacks is appended to it.

        :attr:`problems` then are sentences about takes and marks that cannot be read, :attr:`unfinished` folders of
        takes that are being made or were interrupted. Where nothing may be written, it is remembered only.
        """
        with self._threads:
            self.news()
            seen = look(self.root)
            self.unfinished, self.problems = seen.unfinished, ()
            if self._outdated(seen):
                try:
                    with self.locked():
                        self._append(self._lacking(look(self.root)))
                except SegueError:
                    for line in self._lacking(seen):
                        self._ledger.add(line)
            return self.entries

    def _outdated(self, seen: Seen) -> bool:
        known = {entry.place: entry.listed.stamp for entry in self._ledger.entries.values() if entry.place}
        return known != seen.stamps

    def _lacking(self, seen: Seen) -> list[Line]:
        """Lines about takes that are new, changed, elsewhere or gone."""
        known = {entry.place: entry for entry in self._ledger.entries.values() if entry.place}
        lines, problems, told = [], [], set()
        numbers = {entry.number for entry in self._ledger.entries.values()}
        for place, stamp in seen.stamps.items():
            entry = known.get(place)
            if entry is not None and entry.listed.stamp == stamp:
                continue
            folder = seen.names[place] if entry is None else entry.folder
            try:
                line, problem = self._take_line(place, folder, numbers)
            except SegueError as error:
                problems.append(f"the take in '{self.root / place}' is left out: {error.message}")
                continue
            problems += [problem] if problem else []
            told.add(folder)
            if (
                entry is None or Listed.of_json(line) != entry.listed
            ):  # (broken marks are looked at every time)
                lines.append(line)
        for place, entry in known.items():
            if place not in seen.stamps and entry.folder not in told:
                lines.append(self._line("gone", folder=entry.folder))
        self.problems = tuple(problems)
        return lines

    def _take_line(self, place: str, folder: str, numbers: set[int]) -> tuple[Line, str]:
        listed, problem = read_listed(self.root / place, folder)
        entry = self._ledger.entries.get(folder)
        number = entry.number if entry is not None else free_number(folder, numbers)
        numbers.add(number)
        return self._line("take", number=number, place=place, **listed.to_json()), problem

    # -- writing ------------------------------------------------------------------------------------------------------

    def announce(self, folder: Path) -> Entry:
        """One line for a take that is complete on disk; returns it as the index has it."""
        with self.locked():
            if not self._ledger.entries:  # the first one may find others, made without an index
                self._append(self._lacking(look(self.root)))
            numbers = {entry.number for entry in self._ledger.entries.values()}
            line, _ = self._take_line(folder.name, folder.name, numbers)
            known = self._ledger.entries.get(folder.name)
            if known is None or not known.here or Listed.of_json(line) != known.listed:
                self._append([line])
            return self._ledger.entries[folder.name]

    def write(self, do: str, folder: str, **more: Any) -> Change:
        """Appends one line, which says something new; the lock must be held."""
        (change,) = self._append([self._line(do, folder=folder, **more)])
        return change

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """No other process writes meanwhile, and everything that was written before is known. May be nested."""
        from filelock import FileLock, Timeout

        from engine.audio.durable import writing

        with self._threads:
            if self._held:
                yield
                return
            lock = FileLock(self.root / LOCK, timeout=LOCK_SECONDS)
            try:
                with writing(self.root / LOCK):
                    lock.acquire()
            except Timeout as error:
                raise Busy(
                    f"another program keeps '{self.root / LOCK}' locked; end it and try again"
                ) from error
            self._held = True
            try:
                self.news()
                yield
            finally:
                self._held = False
                lock.release()

    def _line(self, do: str, **more: Any) -> Line:
        told = {"v": VERSION, "do": do, "id": secrets.token_hex(6), "by": self.by}
        return {**told, "at": datetime.now().astimezone().isoformat(timespec="milliseconds"), **more}

    def _append(self, lines: list[Line]) -> list[Change]:
        """One durable write. When it fails, nothing of it remains, and nothing of it is known."""
        from engine.audio.durable import sync_folder, writing

        if not lines:
            return []
        path = self.root / INDEX
        data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        with writing(path):
            file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                size = os.fstat(file).st_size
                if size and os.pread(file, 1, size - 1) != b"\n":
                    data = b"\n" + data  # what was torn becomes a line that is passed over
                try:
                    if os.write(file, data) < len(data):
                        raise OSError(errno.ENOSPC, "a part of it only")
                    os.fsync(file)
                except OSError:
                    with contextlib.suppress(OSError):
                        os.ftruncate(file, size)
                    raise
            finally:
                os.close(file)
            if not size:
                sync_folder(self.root)
        return self.news()


def free_number(folder: str, taken: set[int]) -> int:
    """The number that a folder's name ends with, or the one after all where that is taken or missing."""
    match = _NUMBER.search(folder)
    wanted = int(match[1]) if match else 0
    return wanted if wanted > 0 and wanted not in taken else max(taken, default=0) + 1


@functools.lru_cache(maxsize=8)
def index_of(root: Path) -> Index:
    """The index that this process appends to when it has made a take in ``root``."""
    return Index(root)


def announce(folder: Path) -> None:
    """Tells the index beside a take that it is complete, unless it was put into a folder of another's choosing.

    What keeps it from that costs nothing: the take is found by whoever looks at the folders next.
    """
    if _OWN_NAME.fullmatch(folder.name):
        with contextlib.suppress(SegueError, OSError):
            index_of(folder.parent).announce(folder)
