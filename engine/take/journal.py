"""The append-only journal of a growing take: one checksummed, fsynced record per finished window.

A record is a fixed header, the codes as little-endian 32-bit integers, and a CRC-32 of both. Reading stops at
the first record that is torn or does not match, so whatever a kill or a full disk leaves behind is harmless.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.audio.durable import writing
from engine.errors import Busy

_HEADER = struct.Struct("<4sBBIQIQddd")
_CRC = struct.Struct("<I")
_MAGIC = b"SGJ1"


# Less than fsync: times of change may be lost in a power cut, data and length may not.
sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class Kind(IntEnum):
    """What a record says. RUN: the take was opened; PRIME: ``index`` counts the levels still to come; KEPT: codes
    that an earlier take gave; LEAD: codes that stand beside those of the level (:class:`engine.events.LeadCodes`)."""

    PRIME = 0
    WINDOW = 1
    AUDIO = 2
    RUN = 3
    KEPT = 4
    LEAD = 5


@dataclass(frozen=True, eq=False)
class Record:
    """One entry.

    ``codes``: int64 [tokens], new tokens of ``level`` from token ``start`` (counted from the beginning of
    the prime; empty for AUDIO and RUN); ``seconds``: what they took; ``audio_frames``: frames of
    ``audio.part`` that were on disk before; ``elapsed``: seconds of work on the take so far, all runs
    together; ``first_audio_ms``: time to the first audio, NaN while there was none.
    """

    kind: Kind
    level: int
    index: int
    start: int
    codes: NDArray[np.int64]
    seconds: float
    audio_frames: int
    elapsed: float
    first_audio_ms: float

    def to_bytes(self) -> bytes:
        """The record as it stands in the file."""
        tokens = self.codes.astype("<u4")
        head = _HEADER.pack(
            _MAGIC,
            self.kind,
            self.level,
            self.index,
            self.start,
            tokens.size,
            self.audio_frames,
            self.seconds,
            self.elapsed,
            self.first_audio_ms,
        )
        body = head + tokens.tobytes()
        return body + _CRC.pack(zlib.crc32(body))


def parse(data: bytes) -> tuple[list[Record], int]:
    """The whole records at the beginning of ``data`` and the number of bytes they fill."""
    records: list[Record] = []
    position = 0
    while position + _HEADER.size + _CRC.size <= len(data):
        fields = _HEADER.unpack_from(data, position)
        magic, kind, level, index, start, count, audio_frames, seconds, elapsed, first_audio_ms = fields
        end = position + _HEADER.size + 4 * count
        if magic != _MAGIC or end + _CRC.size > len(data):
            break
        if zlib.crc32(data[position:end]) != _CRC.unpack_from(data, end)[0]:
            break
        codes = np.frombuffer(data, "<u4", count, position + _HEADER.size).astype(np.int64)
        records.append(
            Record(Kind(kind), level, index, start, codes, seconds, audio_frames, elapsed, first_audio_ms)
        )
        position = end + _CRC.size
    return records, position


class Journal:
    """The journal of one folder, open for appending and locked against a second writer.

    Raises :class:`Busy` when another process is writing this take; :class:`DiskFull` and the like as
    :func:`engine.audio.durable.writing` does.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(self._descriptor, path)
            self.records, self._size = parse(path.read_bytes())
            with writing(path):
                os.ftruncate(self._descriptor, self._size)
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, record: Record, *, sync: bool = True) -> None:
        """Writes one record and waits until it is on disk; nothing of it remains when that fails.

        ``sync`` False: a power cut may cost it, and nothing more, until the next record is written.
        """
        data = memoryview(record.to_bytes())
        with writing(self.path):
            try:
                _write_all(self._descriptor, data, self._size)
                if sync:
                    sync_data(self._descriptor)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, self._size)
                raise
        self._size += len(data)
        self.records.append(record)

    def close(self) -> None:
        """Closes the file and gives up the lock."""
        os.close(self._descriptor)


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def _lock(descriptor: int, path: Path) -> None:
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise Busy(
            f"the take '{path.parent}' is being written by another process; wait until it ends"
        ) from error
