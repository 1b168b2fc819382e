"""The ring between processes: single producer, single consumer, mono float32, in shared memory.

The producer advances ``written``, the consumer advances ``read``; both count frames since the ring was made
and never wrap, so a process that was killed leaves a position from which its successor goes on
(facts/daw.md §3.4). Neither side ever waits for the other.

Ordering: samples are copied before the counter that publishes them is stored, with a fence between the two on
machines that reorder stores (x86-64 does not). The counters are aligned 8-byte words, which x86-64 and arm64
store in one piece.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt

from engine.errors import BadArguments, BadFormat, Busy, DiskFull, NoFile, OutOfRange

Samples = npt.NDArray[np.float32]

VERSION = 1
MAX_CAPACITY = 1 << 28
_MAGIC = int.from_bytes(b"SegueRng", "little")
_HEADER_BYTES = 256
# Words of the header. Each side's words share no cache line with the other's.
_MAGIC_AT, _VERSION_AT, _CAPACITY_AT, _RATE_AT, _PID_AT, _BIRTH_AT = range(6)
_WRITTEN_AT, _PRODUCER_BEAT_AT, _FINISHED_AT, _PROMISED_AT = 8, 9, 10, 11
_READ_AT, _CONSUMER_BEAT_AT = 16, 17

_NAME = re.compile(r"segue-(\d+)-[A-Za-z0-9_.-]+")
_NAME_LIMIT = 30  # macOS allows 31 characters with the leading slash
SEGMENTS = Path("/dev/shm")  # where Linux lists segments; other systems cannot list them
_X86 = platform.machine().lower() in {"x86_64", "amd64", "i686", "x86"}
_TRACKER_GUARD = threading.Lock()


def ring_name(label: str) -> str:
    """The name of a ring of this process: ``segue-<pid>-<label>``, at most 30 characters.

    Raises :class:`OutOfRange` if the label holds anything but letters, digits, ``_ . -`` or is too long.
    """
    name = f"segue-{os.getpid()}-{label}"
    _check_name(name)
    return name


def stale_rings() -> list[Path]:
    """The rings whose owner is dead (only Linux can list them)."""
    found = sorted(SEGMENTS.glob("segue-*")) if SEGMENTS.is_dir() else []
    matches = {path: _NAME.fullmatch(path.name) for path in found}
    return [path for path, match in matches.items() if match and not _alive(int(match[1]), _birth_in(path))]


def sweep_stale() -> list[str]:
    """Remove the rings whose owner is dead and return their names (only Linux can list them)."""
    removed = []
    for path in stale_rings():
        with contextlib.suppress(FileNotFoundError, PermissionError):
            path.unlink()
            removed.append(path.name)
    return removed


class Ring:
    """``capacity`` mono float32 frames at ``rate`` Hz, by :meth:`create`, :meth:`attach` or :meth:`local`."""

    def __init__(self, buffer: memoryview, name: str, memory: SharedMemory | None, owner: bool) -> None:
        self.name = name
        self._memory = memory
        self._owner = owner
        self._head: memoryview | None = buffer[:_HEADER_BYTES].cast("q")
        self.capacity = int(self._head[_CAPACITY_AT])
        self.rate = int(self._head[_RATE_AT])
        self._data: Samples | None = np.frombuffer(buffer, np.float32, self.capacity, _HEADER_BYTES)
        self._fence: Callable[[], None] = (lambda: None) if _X86 else _Fence()

    @classmethod
    def create(cls, name: str, capacity: int, rate: int = 44_100) -> Self:
        """Make a ring in shared memory; the caller owns it and must :meth:`unlink` it.

        ``name`` comes from :func:`ring_name`; ``capacity`` is a power of two of frames, 2 to 2**28. A ring of
        that name left by a dead process is replaced. Raises :class:`Busy` if a running process owns it,
        :class:`OutOfRange` for a bad name, capacity or rate, :class:`DiskFull` if there is no room.
        """
        _check_name(name)
        _check_shape(capacity, rate)
        memory = _create_segment(name, _HEADER_BYTES + 4 * capacity)
        _write_header(_view(memory), capacity, rate)
        return cls(_view(memory), name, memory, owner=True)

    @classmethod
    def attach(cls, name: str) -> Self:
        """Open a ring that another process made; it stays when this process ends, however it ends.

        Raises :class:`NoFile` if there is none of that name, :class:`BadFormat` if it is not a ring of this
        version.
        """
        try:
            memory = _attach_segment(name)
        except (FileNotFoundError, ValueError):
            raise NoFile(f"there is no ring named '{name}'; its owner must create it first") from None
        head = bytes(_view(memory)[:_HEADER_BYTES])
        words = np.frombuffer(head, np.int64) if len(head) == _HEADER_BYTES else np.zeros(32, np.int64)
        size_fits = memory.size >= _HEADER_BYTES + 4 * int(words[_CAPACITY_AT])
        if words[_MAGIC_AT] != _MAGIC or words[_VERSION_AT] != VERSION or not size_fits:
            memory.close()
            raise BadFormat(f"'{name}' is not a ring of version {VERSION}; both sides need the same Segue")
        return cls(_view(memory), name, memory, owner=False)

    @classmethod
    def local(cls, capacity: int, rate: int = 44_100) -> Self:
        """A ring between two threads of this process, without shared memory."""
        _check_shape(capacity, rate)
        buffer = memoryview(bytearray(_HEADER_BYTES + 4 * capacity))
        _write_header(buffer, capacity, rate)
        return cls(buffer, "", None, owner=False)

    def write(self, samples: npt.ArrayLike) -> int:
        """Append as many of ``samples`` (shape [frames], float32) as fit and return how many; never waits."""
        source = np.asarray(samples, np.float32)
        if source.ndim != 1:
            raise BadArguments(f"the samples have shape {list(source.shape)}; a ring takes shape [frames]")
        head, data = self._open_views()
        written = head[_WRITTEN_AT]
        count = min(len(source), self.capacity - (written - head[_READ_AT]))
        at = written & (self.capacity - 1)
        first = min(count, self.capacity - at)
        data[at : at + first] = source[:first]
        data[: count - first] = source[first:count]
        self._fence()
        head[_WRITTEN_AT] = written + count
        head[_PRODUCER_BEAT_AT] = time.monotonic_ns()
        return count

    def promise(self, frames: int) -> None:
        """Say that so many frames (as :attr:`written` counts) could be there now: some may be held back as drafts."""
        self._open_views()[0][_PROMISED_AT] = frames

    def finish(self) -> None:
        """Say that nothing more will be written."""
        self._open_views()[0][_FINISHED_AT] = 1

    def read_into(self, out: Samples) -> int:
        """Move the oldest frames into ``out`` (shape [frames]); returns how many there were; never waits."""
        count = self.peek_into(out)
        self.advance(count)
        return count

    def peek_into(self, out: Samples, ahead: int = 0) -> int:
        """Copy frames into ``out`` from ``ahead`` frames after the next unread one on, without moving on."""
        head, data = self._open_views()
        start = head[_READ_AT] + ahead
        count = max(0, min(len(out), head[_WRITTEN_AT] - start))
        self._fence()
        at = start & (self.capacity - 1)
        first = min(count, self.capacity - at)
        out[:first] = data[at : at + first]
        out[first:count] = data[: count - first]
        return count

    def advance(self, frames: int) -> None:
        """Give the oldest ``frames`` back to the producer (at most :attr:`fill`)."""
        head, _ = self._open_views()
        self._fence()
        head[_READ_AT] += min(frames, head[_WRITTEN_AT] - head[_READ_AT])
        head[_CONSUMER_BEAT_AT] = time.monotonic_ns()

    def drain(self) -> None:
        """Skip everything that has been written so far (consumer side)."""
        self.advance(self.fill)

    @property
    def written(self) -> int:
        """Frames written since the ring was made."""
        return self._open_views()[0][_WRITTEN_AT]

    @property
    def promised(self) -> int:
        """Frames that the producer has written or could write at once."""
        head = self._open_views()[0]
        return max(head[_PROMISED_AT], head[_WRITTEN_AT])

    @property
    def read(self) -> int:
        """Frames read since the ring was made."""
        return self._open_views()[0][_READ_AT]

    @property
    def fill(self) -> int:
        """Frames that are waiting to be read."""
        head = self._open_views()[0]
        read = head[_READ_AT]  # first: the other order could see more read than written
        return head[_WRITTEN_AT] - read

    @property
    def finished(self) -> bool:
        """Whether the producer said that nothing more comes."""
        return bool(self._open_views()[0][_FINISHED_AT])

    @property
    def owner_pid(self) -> int:
        """The process that made the ring."""
        return self._open_views()[0][_PID_AT]

    @property
    def producer_beat_ns(self) -> int:
        """``time.monotonic_ns()`` of the last write, 0 before the first."""
        return self._open_views()[0][_PRODUCER_BEAT_AT]

    @property
    def consumer_beat_ns(self) -> int:
        """``time.monotonic_ns()`` of the last read, 0 before the first."""
        return self._open_views()[0][_CONSUMER_BEAT_AT]

    def close(self) -> None:
        """Let go of the memory; the ring itself stays until its owner unlinks it. May be called twice."""
        if self._head is not None:
            self._head.release()
        self._head = self._data = None
        if self._memory is not None:
            self._memory.close()

    def unlink(self) -> None:
        """Remove the ring from the system. Only its creator does; for everybody else nothing happens."""
        if not self._owner or self._memory is None:
            return
        self._owner = False
        try:
            self._memory.unlink()
        except FileNotFoundError:  # swept by somebody else: the tracker must forget it too
            resource_tracker.unregister(f"/{self.name}", "shared_memory")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self.unlink()

    def __del__(self) -> None:
        if getattr(self, "_head", None) is not None:
            self.close()

    def _open_views(self) -> tuple[memoryview, Samples]:
        if self._head is None or self._data is None:
            raise NoFile(f"the ring '{self.name}' has been closed; attach to it again")
        return self._head, self._data


class _Fence:
    """Orders memory accesses: two uncontended locks, taken one after the other, are a full barrier."""

    def __init__(self) -> None:
        self._first, self._second = threading.Lock(), threading.Lock()

    def __call__(self) -> None:
        with self._first:
            pass
        with self._second:
            pass


def _view(memory: SharedMemory) -> memoryview:
    return cast(memoryview, memory.buf)


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None or len(name) > _NAME_LIMIT:
        raise OutOfRange(
            f"'{name}' cannot name a ring; it must be 'segue-<pid>-<label>', at most {_NAME_LIMIT} "
            "characters, with letters, digits, '_', '.' and '-' (use ring_name)"
        )


def _check_shape(capacity: int, rate: int) -> None:
    if not 2 <= capacity <= MAX_CAPACITY or capacity & (capacity - 1):
        best = 1 << max(1, min(28, (max(capacity, 2) - 1).bit_length()))
        raise OutOfRange(f"a ring cannot hold {capacity} frames; it holds a power of two such as {best}")
    if not 1_000 <= rate <= 768_000:
        raise OutOfRange(f"a rate of {rate} Hz is impossible; it must lie between 1000 and 768000")


def _write_header(buffer: memoryview, capacity: int, rate: int) -> None:
    pid = os.getpid()
    with buffer[:_HEADER_BYTES].cast("q") as head:
        head[_VERSION_AT], head[_CAPACITY_AT], head[_RATE_AT] = VERSION, capacity, rate
        head[_PID_AT], head[_BIRTH_AT] = pid, _birth(pid)
        head[_MAGIC_AT] = _MAGIC  # last: a ring without it was never completed


def _create_segment(name: str, size: int) -> SharedMemory:
    for _ in range(2):
        try:
            memory = SharedMemory(name, create=True, size=size)
        except FileExistsError:
            _replace_stale(name)
            continue
        _reserve(memory, name, size)
        return memory
    raise Busy(f"the ring '{name}' keeps coming back; another process makes rings under this name")


def _reserve(memory: SharedMemory, name: str, size: int) -> None:
    """Claim the pages now: a full ``/dev/shm`` would otherwise kill the first process that touches them."""
    if not SEGMENTS.is_dir():
        return
    file = os.open(SEGMENTS / name, os.O_RDWR)
    try:
        os.posix_fallocate(file, 0, size)
    except OSError:
        memory.close()
        memory.unlink()
        raise DiskFull(f"there is no room for a ring of {size} bytes in {SEGMENTS}; free some") from None
    finally:
        os.close(file)


def _replace_stale(name: str) -> None:
    """Unlink an existing segment, unless its owner runs."""
    pid = int(cast("re.Match[str]", _NAME.fullmatch(name))[1])
    if os.name != "posix" or _alive(pid, _birth_in(SEGMENTS / name)):
        raise Busy(f"the ring '{name}' belongs to the running process {pid}; choose another label")
    with contextlib.suppress(FileNotFoundError):
        stale = _attach_segment(name)
        resource_tracker.register(f"/{name}", "shared_memory")  # unlink() unregisters what attaching left out
        stale.close()
        stale.unlink()


def _attach_segment(name: str) -> SharedMemory:
    """Open a segment without telling the resource tracker, which would unlink it when this process dies."""
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    with _TRACKER_GUARD:
        register = resource_tracker.register

        def register_others(tracked: Any, rtype: str) -> None:
            if (tracked, rtype) != (f"/{name}", "shared_memory"):
                register(tracked, rtype)

        resource_tracker.register = register_others  # type: ignore[assignment]
        try:
            return SharedMemory(name)
        finally:
            resource_tracker.register = register


def _stat_fields(pid: int) -> list[str]:
    """Fields of ``/proc/<pid>/stat`` from the state on; empty if there is no such process or no ``/proc``."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _birth(pid: int) -> int:
    """When the process started, in ticks since boot (0: unknown); tells it from a later one with its id."""
    fields = _stat_fields(pid)
    return int(fields[19]) if len(fields) > 19 else 0


def _birth_in(path: Path) -> int:
    """The owner's start as the ring's header has it; 0 if the header was never completed."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
    except OSError:
        return 0
    if len(head) < _HEADER_BYTES:
        return 0
    words = np.frombuffer(head, np.int64)
    return int(words[_BIRTH_AT]) if words[_MAGIC_AT] == _MAGIC else 0


def _alive(pid: int, birth: int) -> bool:
    """Whether the process that owns a ring still runs (a zombie does not)."""
    fields = _stat_fields(pid)
    if fields:
        return fields[0] not in "ZX" and (birth == 0 or int(fields[19]) == birth)
    if Path("/proc/self/stat").exists():
        return False
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True
