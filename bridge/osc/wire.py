"""Strict parsing of OSC packets and encoding of replies (rules: facts/daw.md §1.1 and §1.2).

Parsing is our own because one packet can hang or confuse python-osc's parser; python-osc's builder encodes.
Time tags are read and never slept upon: every message of a bundle counts as due now.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pythonosc.osc_message_builder import OscMessageBuilder

MAX_PACKET_BYTES = 65_536
MAX_REPLY_TEXT_BYTES = 1_000  # keeps a reply under 1,400 bytes, so that it is never fragmented (§1.9)
MAX_DEPTH = 8
MAX_MESSAGES = 256
MAX_ARGUMENTS = 256
MAX_ADDRESS_BYTES = 256
MAX_WILDCARDS = 4
BUNDLE_HEADER = b"#bundle\0"
_WILDCARDS = frozenset("?*[{")
_FORBIDDEN = frozenset(" #,")

Value = int | float | str | bytes | bool | None


class MalformedPacket(Exception):
    """A packet that is not OSC; it is counted and dropped as a whole."""


@dataclass(frozen=True)
class Message:
    """One message. ``tags``: a type tag per value; arrays appear as the tags ``[`` and ``]`` with value None.

    ``problem`` is empty, or one sentence that says why the arguments could not be read (an unknown type tag, an
    address beyond the limits); such a message is answered with ``/segue/fail`` and not dispatched.
    """

    address: str
    tags: str = ""
    values: tuple[Value, ...] = ()
    problem: str = ""

    @property
    def is_pattern(self) -> bool:
        """Whether the address holds OSC wildcards."""
        return any(character in _WILDCARDS for character in self.address)


@dataclass
class _Cursor:
    """Reads big-endian items from one element and refuses to pass its end."""

    data: memoryview
    at: int = 0

    def take(self, count: int) -> memoryview:
        if count < 0 or self.at + count > len(self.data):
            raise MalformedPacket(f"{count} bytes wanted at {self.at} of {len(self.data)}")
        part = self.data[self.at : self.at + count]
        self.at += count
        return part

    def padded(self, count: int) -> bytes:
        """``count`` bytes, then NUL padding up to a multiple of four."""
        part = bytes(self.take(count))
        if any(self.take(-count % 4)):
            raise MalformedPacket("padding is not NUL")
        return part

    def text(self) -> str:
        """A NUL-terminated, padded string; bytes that are not UTF-8 become U+FFFD."""
        length = bytes(self.data[self.at :]).find(b"\0")
        if length < 0:
            raise MalformedPacket("a string without its end")
        raw = self.padded(length + 1)
        return raw[:-1].decode("utf-8", errors="replace")

    def number(self, form: str) -> int | float:
        value: int | float = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value


def parse_packet(data: bytes) -> list[Message]:
    """All messages of a packet in order, bundles flattened.

    Raises :class:`MalformedPacket` for anything that is not exactly an OSC packet; nothing of it is used then.
    """
    if not data or len(data) > MAX_PACKET_BYTES:
        raise MalformedPacket(f"a packet of {len(data)} bytes")
    messages: list[Message] = []
    for message in _elements(memoryview(data), depth=0):
        messages.append(message)
        if len(messages) > MAX_MESSAGES:
            raise MalformedPacket(f"more than {MAX_MESSAGES} messages in one packet")
    return messages


def _elements(data: memoryview, depth: int) -> Iterator[Message]:
    if len(data) % 4:
        raise MalformedPacket(f"an element of {len(data)} bytes, not a multiple of 4")
    if bytes(data[:8]) != BUNDLE_HEADER:
        yield _message(data)
        return
    if depth >= MAX_DEPTH:
        raise MalformedPacket(f"bundles nested deeper than {MAX_DEPTH}")
    cursor = _Cursor(data, at=8)
    cursor.take(8)  # the time tag
    while cursor.at < len(data):
        size = cursor.number(">i")
        if size <= 0:
            raise MalformedPacket(f"a bundle element of {size} bytes")
        yield from _elements(cursor.take(int(size)), depth + 1)


def _message(data: memoryview) -> Message:
    cursor = _Cursor(data)
    address = cursor.text()
    if not address.startswith("/"):
        raise MalformedPacket("neither an address nor a bundle")
    problem = _address_problem(address)
    if cursor.at == len(data):
        return Message(address[:MAX_ADDRESS_BYTES], problem=problem)  # old senders leave the tags out
    tags = cursor.text()
    if not tags.startswith(","):
        raise MalformedPacket("arguments without type tags")
    tags = tags[1:]
    if len(tags) > MAX_ARGUMENTS:
        problem = problem or f"the message has {len(tags)} arguments; at most {MAX_ARGUMENTS} are read"
    unknown = next((tag for tag in tags if tag not in _READERS), None)
    if unknown is not None:
        problem = problem or f"the type tag '{unknown}' is not known; send i, f, s, d, h, T or F"
    if problem:
        return Message(address[:MAX_ADDRESS_BYTES], problem=problem)
    values = tuple(_READERS[tag](cursor) for tag in tags)
    if cursor.at != len(data):
        raise MalformedPacket(f"{len(data) - cursor.at} bytes after the last argument")
    return Message(address, tags, values)


def _address_problem(address: str) -> str:
    if len(address.encode()) > MAX_ADDRESS_BYTES:
        return f"the address is longer than {MAX_ADDRESS_BYTES} bytes"
    if sum(character in _WILDCARDS for character in address) > MAX_WILDCARDS:
        return f"the address has more than {MAX_WILDCARDS} wildcards"
    if any(character in _FORBIDDEN or not character.isprintable() for character in address):
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
    "c": lambda cursor: bytes(cursor.take(4)),
    "r": lambda cursor: bytes(cursor.take(4)),
    "m": lambda cursor: bytes(cursor.take(4)),
    "T": lambda cursor: True,
    "F": lambda cursor: False,
    "N": lambda cursor: None,
    "I": lambda cursor: None,
    "[": lambda cursor: None,
    "]": lambda cursor: None,
}


def encode_message(address: str, *values: int | float | str) -> bytes:
    """One message as a datagram, with tags i, f and s only; booleans go as i (facts/daw.md §1.9 rule 3).

    Long texts are cut at :data:`MAX_REPLY_TEXT_BYTES`. Integers must fit 31 bits and a sign.
    """
    builder = OscMessageBuilder(address)
    for value in values:
        if isinstance(value, str):
            builder.add_arg(_short(value), OscMessageBuilder.ARG_TYPE_STRING)
        elif isinstance(value, float):
            builder.add_arg(value, OscMessageBuilder.ARG_TYPE_FLOAT)
        else:
            builder.add_arg(int(value), OscMessageBuilder.ARG_TYPE_INT)
    datagram: bytes = builder.build().dgram
    return datagram


def _short(text: str) -> str:
    raw = text.replace("\0", " ").encode("utf-8", errors="replace")
    if len(raw) <= MAX_REPLY_TEXT_BYTES:
        return raw.decode()
    return raw[: MAX_REPLY_TEXT_BYTES - 3].decode("utf-8", errors="ignore") + "…"
