"""Strict parsing of OSC packets and encoding of replies (rules: facts/daw.md §1.1 and §1.2).

Both are our own: one packet can hang or confuse python-osc's parser, and its builder takes several times as long as
a bridge has that tells everything to everybody. Time tags are kept, and acted upon elsewhere (bridge/osc/timing.py).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bridge.osc.patterns import is_pattern, wildcards_in

MAX_PACKET_BYTES = 65_536  # in a datagram
MAX_STREAM_PACKET_BYTES = 1 << 20  # on a connection
MAX_REPLY_TEXT_BYTES = 1_000  # keeps a reply under 1,400 bytes, so that it is never fragmented (§1.9)
MAX_BUNDLE_BYTES = 1_400
MAX_DEPTH = 8
MAX_MESSAGES = 256
MAX_ARGUMENTS = 256
MAX_ADDRESS_BYTES = 256
MAX_WILDCARDS = 4
BUNDLE_HEADER = b"#bundle\0"
IMMEDIATELY = 1  # the time tag of what is due now
_FORBIDDEN = frozenset(" #")

Value = int | float | str | bytes | bool | None
Sendable = int | float | str


class MalformedPacket(Exception):
    """A packet that is not OSC; it is counted and dropped as a whole."""


@dataclass(frozen=True)
class Message:
    """One message. ``tags``: a type tag per value; arrays appear as the tags ``[`` and ``]`` with value None.

    ``problem`` is empty, or one sentence that says why the arguments could not be read (an unknown type tag, an
    address beyond the limits); such a message is answered with ``/segue/fail`` and not dispatched.
    ``due``: the time tag of its bundle (64-bit NTP), or of one around that if that is later.
    """

    address: str
    tags: str = ""
    values: tuple[Value, ...] = ()
    problem: str = ""
    due: int = IMMEDIATELY

    @property
    def is_pattern(self) -> bool:
        """Whether the address holds OSC wildcards."""
        return is_pattern(self.address)


@dataclass
class _Cursor:
    """Reads big-endian items from one element, which ends before ``end``, and refuses to pass that."""

    data: bytes
    at: int
    end: int

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > self.end:
            raise MalformedPacket(f"{count} bytes wanted at {self.at} of {self.end}")
        part = self.data[self.at : self.at + count]
        self.at += count
        return part

    def padded(self, count: int) -> bytes:
        """``count`` bytes, then NUL padding up to a multiple of four."""
        part = self.take(count)
        if any(self.take(-count % 4)):
            raise MalformedPacket("padding is not NUL")
        return part

    def text(self) -> str:
        """A NUL-terminated, padded string; bytes that are not UTF-8 become U+FFFD."""
        stop = self.data.find(b"\0", self.at, self.end)
        if stop < 0:
            raise MalformedPacket("a string without its end")
        raw = self.padded(stop - self.at + 1)
        return raw[:-1].decode("utf-8", errors="replace")

    def number(self, form: str) -> int | float:
        value: int | float = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value


def parse_packet(data: bytes, limit: int = MAX_PACKET_BYTES) -> list[Message]:
    """All messages of a packet in order, bundles flattened; ``limit`` in bytes.

    Raises :class:`MalformedPacket` for anything that is not exactly an OSC packet; nothing of it is used then.
    """
    if not data or len(data) > limit:
        raise MalformedPacket(f"a packet of {len(data)} bytes")
    messages: list[Message] = []
    for message in _elements(data, 0, len(data), depth=0, due=IMMEDIATELY):
        messages.append(message)
        if len(messages) > MAX_MESSAGES:
            raise MalformedPacket(f"more than {MAX_MESSAGES} messages in one packet")
    return messages


def _elements(data: bytes, start: int, end: int, depth: int, due: int) -> Iterator[Message]:
    if (end - start) % 4:
        raise MalformedPacket(f"an element of {end - start} bytes, not a multiple of 4")
    if data[start : min(end, start + 8)] != BUNDLE_HEADER:
        yield _message(data, start, end, due)
        return
    if depth >= MAX_DEPTH:
        raise MalformedPacket(f"bundles nested deeper than {MAX_DEPTH}")
    cursor = _Cursor(data, start + 8, end)
    # A bundle inside another is due no earlier than that (facts/daw.md §1.1); "immediately" is the least of all tags.
    due = max(due, int(cursor.number(">Q")))
    while cursor.at < end:
        size = int(cursor.number(">i"))
        if size <= 0:
            raise MalformedPacket(f"a bundle element of {size} bytes")
        if cursor.at + size > end:
            raise MalformedPacket(f"a bundle element of {size} bytes with {end - cursor.at} left")
        yield from _elements(data, cursor.at, cursor.at + size, depth + 1, due)
        cursor.at += size


def _message(data: bytes, start: int, end: int, due: int) -> Message:
    cursor = _Cursor(data, start, end)
    address = cursor.text()
    if not address.startswith("/"):
        raise MalformedPacket("neither an address nor a bundle")
    problem = address_problem(address)
    if cursor.at == end:
        return Message(
            address[:MAX_ADDRESS_BYTES], problem=problem, due=due
        )  # old senders leave the tags out
    tags = cursor.text()
    if not tags.startswith(","):
        raise MalformedPacket("arguments without type tags")
    tags = tags[1:]
    if len(tags) > MAX_ARGUMENTS:
        problem = problem or f"the message has {len(tags)} arguments; at most {MAX_ARGUMENTS} are read"
    unknown = next((tag for tag in tags[:MAX_ARGUMENTS] if tag not in _READERS), None)
    if unknown is not None:
        problem = problem or f"the type tag '{unknown}' is not known; send i, f, s, d, h, T or F"
    if problem:
        return Message(address[:MAX_ADDRESS_BYTES], problem=problem, due=due)
    values = tuple(_READERS[tag](cursor) for tag in tags)
    if cursor.at != end:
        raise MalformedPacket(f"{end - cursor.at} bytes after the last argument")
    return Message(address, tags, values, due=due)


def address_problem(address: str) -> str:
    """One sentence on what keeps an address from being looked at; "" for one that is usable."""
    if len(address) > MAX_ADDRESS_BYTES or len(address.encode()) > MAX_ADDRESS_BYTES:
        return f"the address is longer than {MAX_ADDRESS_BYTES} bytes"
    if wildcards_in(address) > MAX_WILDCARDS:
        return f"the address has more than {MAX_WILDCARDS} wildcards"
    comma = "," in address and "{" not in address  # in {one,other} it is part of a pattern
    if comma or not address.isprintable() or not _FORBIDDEN.isdisjoint(address):
        return "the address holds a space, '#', ',' or a control character; give arguments as OSC arguments"
    return ""


def _float32(cursor: _Cursor) -> float:
    # The shortest decimal that names this float32: a sender's 0.98 stays 0.98 in the recipe of a take.
    return float(str(np.float32(cursor.number(">f"))))


def _blob(cursor: _Cursor) -> bytes:
    return cursor.padded(int(cursor.number(">i")))


_READERS = {
    "i": lambda cursor: cursor.number(">i"),
    "h": lambda cursor: cursor.number(">q"),
    "f": _float32,
    "d": lambda cursor: cursor.number(">d"),
    "s": _Cursor.text,
    "S": _Cursor.text,
    "b": _blob,
    "t": lambda cursor: cursor.number(">Q"),
    "c": lambda cursor: cursor.take(4),
    "r": lambda cursor: cursor.take(4),
    "m": lambda cursor: cursor.take(4),
    "T": lambda cursor: True,
    "F": lambda cursor: False,
    "N": lambda cursor: None,
    "I": lambda cursor: None,
    "[": lambda cursor: None,
    "]": lambda cursor: None,
}


def encode_message(address: str, *values: Sendable) -> bytes:
    """One message, with tags i, f and s only; booleans go as i (facts/daw.md §1.9 rule 3).

    Long texts are cut at :data:`MAX_REPLY_TEXT_BYTES`. Integers must fit 31 bits and a sign; a number that float32
    does not reach goes as infinite.
    """
    tags, body = ",", []
    for value in values:
        if isinstance(value, str):
            tags += "s"
            body.append(_string(_short(value)))
        elif isinstance(value, float):
            tags += "f"
            body.append(_packed_float(value))
        else:
            tags += "i"
            body.append(struct.pack(">i", value))
    return _string(address.encode()) + _string(tags.encode()) + b"".join(body)


def encode_bundle(elements: Iterable[bytes], due: int = IMMEDIATELY) -> bytes:
    """A bundle of encoded messages."""
    sized = b"".join(struct.pack(">i", len(element)) + element for element in elements)
    return BUNDLE_HEADER + struct.pack(">Q", due) + sized


def encode_bundles(messages: Iterable[bytes]) -> Iterator[bytes]:
    """Messages in as few bundles as hold them in order with at most :data:`MAX_BUNDLE_BYTES` each."""
    held: list[bytes] = []
    size = 16
    for message in messages:
        if held and size + 4 + len(message) > MAX_BUNDLE_BYTES:
            yield encode_bundle(held)
            held, size = [], 16
        held.append(message)
        size += 4 + len(message)
    if held:
        yield encode_bundle(held)


def _string(raw: bytes) -> bytes:
    return raw + bytes(4 - len(raw) % 4)


def _packed_float(value: float) -> bytes:
    try:
        return struct.pack(">f", value)
    except OverflowError:
        return struct.pack(">f", float("inf") if value > 0 else float("-inf"))


def _short(text: str) -> bytes:
    raw = text.replace("\0", " ").encode("utf-8", errors="replace")
    if len(raw) <= MAX_REPLY_TEXT_BYTES:
        return raw
    return raw[: MAX_REPLY_TEXT_BYTES - 3].decode("utf-8", errors="ignore").encode() + "…".encode()
