"""Where packets begin and end on a stream: a byte count before each (OSC 1.0) or SLIP (1.1), told by the first byte.

A packet under 16 MiB has 0 as the first byte of its count; SLIP begins with END, or, in the style of RFC 1055 with an
END behind each packet only, with the packet itself (facts/daw.md §1.1).
"""

from __future__ import annotations

import re
import struct
from typing import Protocol

from bridge.osc.wire import MAX_STREAM_PACKET_BYTES, MalformedPacket

END, ESC, ESC_END, ESC_ESC = b"\xc0", b"\xdb", b"\xdc", b"\xdd"
_ESCAPE = re.compile(rb"\xdb(.?)", re.DOTALL)
_UNESCAPED = {ESC_END: END, ESC_ESC: ESC}


class Framing(Protocol):
    """One way to frame packets; ``next`` takes from the front of what has been received."""

    def next(self, received: bytearray) -> bytes | None:
        """The first whole packet, taken out of ``received``; None until it is there.

        Raises :class:`MalformedPacket` for bytes that cannot be the beginning of a packet: the stream is lost then.
        """

    def wrap(self, packet: bytes) -> bytes:
        """A packet as it is sent."""


class SizePrefix:
    """A count of 32 bits, big-endian, before each packet."""

    def next(self, received: bytearray) -> bytes | None:
        """See :class:`Framing`."""
        if len(received) < 4:
            return None
        (size,) = struct.unpack_from(">i", received)
        if not 0 < size <= MAX_STREAM_PACKET_BYTES or size % 4:
            raise MalformedPacket(f"a packet of {size} bytes")
        if len(received) < 4 + size:
            return None
        packet = bytes(received[4 : 4 + size])
        del received[: 4 + size]
        return packet

    def wrap(self, packet: bytes) -> bytes:
        """See :class:`Framing`."""
        return struct.pack(">i", len(packet)) + packet


class Slip:
    """END before and behind each packet; one END between two is enough when reading."""

    def __init__(self) -> None:
        self._searched = 0  # bytes of what was received that hold no END

    def next(self, received: bytearray) -> bytes | None:
        """See :class:`Framing`."""
        while True:
            end = received.find(END, self._searched)
            if end < 0:
                self._searched = len(received)
                if self._searched > 2 * MAX_STREAM_PACKET_BYTES:
                    raise MalformedPacket(f"more than {2 * MAX_STREAM_PACKET_BYTES} bytes without an END")
                return None
            raw = bytes(received[:end])
            del received[: end + 1]
            self._searched = 0
            if raw:
                return _unescaped(raw)

    def wrap(self, packet: bytes) -> bytes:
        """See :class:`Framing`."""
        return END + packet.replace(ESC, ESC + ESC_ESC).replace(END, ESC + ESC_END) + END


def _unescaped(raw: bytes) -> bytes:
    def one(found: re.Match[bytes]) -> bytes:
        meant = _UNESCAPED.get(found[1])
        if meant is None:
            raise MalformedPacket(f"the escape {found[1].hex() or 'nothing'} is not SLIP's")
        return meant

    return _ESCAPE.sub(one, raw) if ESC in raw else raw


def detect(first: int) -> Framing:
    """The framing of a stream that begins with this byte. Raises :class:`MalformedPacket` for one that is not OSC."""
    if first == 0:
        return SizePrefix()
    if bytes([first]) in (END, b"/", b"#"):
        return Slip()
    raise MalformedPacket(f"a stream that begins with the byte {first:#04x} is not OSC")
