"""A WAV's chunks, byte by byte: libsndfile writes neither bext with a time nor iXML, acid, or labels of cues."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

UNKNOWN_LOUDNESS = 0x7FFF  # EBU Tech 3285: this value is not stated
ONE_SHOT, ROOT_SET, STRETCH, ACIDIZER = 0x01, 0x02, 0x04, 0x10


def riff(chunks: Iterable[bytes]) -> bytes:
    """The file of these chunks."""
    body = b"WAVE" + b"".join(chunks)
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def chunk(name: bytes, content: bytes) -> bytes:
    """One chunk, of an even length in the file."""
    return struct.pack("<4sI", name, len(content)) + content + b"\0" * (len(content) % 2)


def format_chunks(rate: int, bits: int, frames: int, *, is_float: bool) -> bytes:
    """``fmt`` of one channel, and ``fact`` where a reader wants it."""
    size = bits // 8
    if not is_float:
        return chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, rate, rate * size, size, bits))
    head = struct.pack("<HHIIHHH", 3, 1, rate, rate * size, size, bits, 0)
    return chunk(b"fmt ", head) + chunk(b"fact", struct.pack("<I", frames))


@dataclass(frozen=True)
class Broadcast:
    """A ``bext`` chunk, version 2 (EBU Tech 3285). Texts are cut to their fields; ``date`` yyyy-mm-dd, ``time``
    hh:mm:ss; ``reference``: samples from the beginning of the time line; loudness in LUFS, LU, dBTP, None unknown."""

    description: str
    originator: str
    originator_reference: str
    date: str
    time: str
    reference: int
    history: str
    loudness: float | None = None
    range: float | None = None
    true_peak: float | None = None
    momentary: float | None = None
    short_term: float | None = None

    def chunk(self) -> bytes:
        """602 bytes, and the history."""
        figures = (self.loudness, self.range, self.true_peak, self.momentary, self.short_term)
        fixed = struct.pack(
            "<256s32s32s10s8sQH64s5h180s",
            *(
                _ascii(text)
                for text in (
                    self.description,
                    self.originator,
                    self.originator_reference,
                    self.date,
                    self.time,
                )
            ),
            self.reference,
            2,
            b"",
            *(UNKNOWN_LOUDNESS if figure is None else round(100 * figure) for figure in figures),
            b"",
        )
        return chunk(b"bext", fixed + _ascii(self.history))


def acid(
    beats: int, bpm: float, numerator: int, denominator: int, root: int | None, *, one_shot: bool
) -> bytes:
    """``root``: MIDI note; ``one_shot``: hosts leave its tempo alone. Layout as libsndfile reads it."""
    flags = (ONE_SHOT if one_shot else STRETCH | ACIDIZER) | (0 if root is None else ROOT_SET)
    content = struct.pack(
        "<IHHfIHHf", flags, 60 if root is None else root, 0x8000, 0.0, beats, denominator, numerator, bpm
    )
    return chunk(b"acid", content)


def sampler_loop(rate: int, frames: int, note: int) -> bytes:
    """``smpl`` with one loop over everything, forwards, for ever."""
    period = round(1e9 / rate)
    return chunk(b"smpl", struct.pack("<9I6I", 0, 0, period, note, 0, 0, 0, 1, 0, 1, 0, 0, frames - 1, 0, 0))


def cues(points: Sequence[tuple[int, str]]) -> bytes:
    """``cue`` points, (sample, label), with their labels."""
    listed = [
        struct.pack("<II4sIII", number, at, b"data", 0, 0, at) for number, (at, _) in enumerate(points, 1)
    ]
    labels = [
        chunk(b"labl", struct.pack("<I", number) + _ascii(label) + b"\0")
        for number, (_, label) in enumerate(points, 1)
    ]
    return chunk(b"cue ", struct.pack("<I", len(points)) + b"".join(listed)) + chunk(
        b"LIST", b"adtl" + b"".join(labels)
    )


def info(entries: dict[str, str]) -> bytes:
    """``LIST INFO``: texts by their four-letter names, those that are empty left out."""
    parts = [chunk(name.encode(), text.encode() + b"\0") for name, text in entries.items() if text]
    return chunk(b"LIST", b"INFO" + b"".join(parts))


def ixml(root: ElementTree.Element) -> bytes:
    """The document as a chunk."""
    return chunk(b"iXML", ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True))


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace")
