"""How much audio a WAV or AIFF header promises, to tell a truncated file from a whole one.

libsndfile silently shortens such a file to what is there, which would continue half a riff.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import RawIOBase

_UNKNOWN = 0xFFFFFFFF  # what recorders write before they know the length
_MAX_CHUNKS = 1000


@dataclass(frozen=True)
class DataChunk:
    """Bytes of audio that the header promises and bytes that are there."""

    promised: int
    present: int

    @property
    def truncated(self) -> bool:
        """Whether audio is missing at the end."""
        return self.present < self.promised


def find_data_chunk(file: RawIOBase, size: int) -> DataChunk | None:
    """The audio chunk of a RIFF, RF64, AIFF or AIFC file of ``size`` bytes; None where that is unknown.

    Reads chunk headers only, so it takes the same time for any length.
    """
    file.seek(0)
    head = file.read(12) or b""
    if len(head) < 12:
        return None
    form, kind = head[:4], head[8:]
    if form in (b"RIFF", b"RF64", b"BW64") and kind == b"WAVE":
        return _walk(file, size, "<4sI", b"data")
    if form == b"FORM" and kind in (b"AIFF", b"AIFC"):
        return _walk(file, size, ">4sI", b"SSND")
    return None


def _walk(file: RawIOBase, size: int, header: str, wanted: bytes) -> DataChunk | None:
    position, long_size = 12, None
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        raw = file.read(8) or b""
        if len(raw) < 8:
            return None
        name, length = struct.unpack(header, raw)
        if name == b"ds64":
            sizes = file.read(16) or b""
            long_size = struct.unpack("<QQ", sizes)[1] if len(sizes) == 16 else None
        if name == wanted:
            promised = long_size if length == _UNKNOWN else length
            return DataChunk(promised, size - position - 8) if promised else None
        position += 8 + length + length % 2
    return None
