"""OSC for the script: Live's Python has nothing but the standard library."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Union

MOST_PACKETS = 50  # that are looked at in one turn of Live's thread
Value = Union[int, float, str]  # noqa: UP007 (Live 11 has Python 3.7)


def encode(address: str, *values: Value) -> bytes:
    """One message; numbers with a point go as doubles."""
    tags, body = ",", b""
    for value in values:
        if isinstance(value, str):
            tags += "s"
            body += _text(value)
        elif isinstance(value, float):
            tags += "d"
            body += struct.pack(">d", value)
        else:
            tags += "i"
            body += struct.pack(">i", value)
    return _text(address) + _text(tags) + body


def _text(text: str) -> bytes:
    raw = text.encode("utf-8", errors="replace")
    return raw + bytes(4 - len(raw) % 4)


def decode(packet: bytes) -> Iterator[tuple[str, list[Value]]]:
    """The messages of a packet from Segue: address and values. What cannot be read is left out."""
    if packet[:8] == b"#bundle\0":
        at = 16
        while at + 4 <= len(packet):
            (size,) = struct.unpack_from(">i", packet, at)
            if size <= 0 or at + 4 + size > len(packet):
                return
            yield from decode(packet[at + 4 : at + 4 + size])
            at += 4 + size
        return
    try:
        yield _message(packet)
    except (ValueError, struct.error):
        return


def _message(packet: bytes) -> tuple[str, list[Value]]:
    address, at = _read_text(packet, 0)
    tags, at = _read_text(packet, at)
    values: list[Value] = []
    for tag in tags[1:]:
        if tag == "s":
            text, at = _read_text(packet, at)
            values.append(text)
            continue
        form = {"i": ">i", "f": ">f", "d": ">d", "h": ">q"}.get(tag)
        if form is None:
            raise ValueError(f"a value of type {tag}")
        values.append(struct.unpack_from(form, packet, at)[0])
        at += struct.calcsize(form)
    return address, values


def _read_text(packet: bytes, at: int) -> tuple[str, int]:
    end = packet.index(b"\0", at)
    return packet[at:end].decode("utf-8", errors="replace"), end + 4 - (end - at) % 4
