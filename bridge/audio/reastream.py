"""ReaStream's packets: audio from a track of a DAW over UDP (facts/daw.md §3.6). They carry neither a number nor a
time, so a lost one cannot be told.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from engine.errors import BadFormat
from engine.ring import Samples

PORT = 58_710
MAX_PACKET = 47 + 1_200
_HEAD = struct.Struct("<4si32sBih")  # magic, length, identifier, channels, rate, bytes of samples
_MAGIC, _MIDI = b"MRSR", b"mRSR"
_MAX_CHANNELS, _MAX_BYTES = 64, 1_200
_RATES = range(8_000, 384_001)


@dataclass(frozen=True)
class Packet:
    """One block of audio. ``samples``: shape [channels, frames], float32."""

    identifier: bytes
    rate: int
    samples: Samples

    def encode(self) -> bytes:
        """The packet as bytes."""
        body = np.ascontiguousarray(self.samples, "<f4").tobytes()
        size = _HEAD.size + len(body)
        return _HEAD.pack(_MAGIC, size, self.identifier, len(self.samples), self.rate, len(body)) + body


def decode(data: bytes | memoryview) -> Packet:
    """A packet of audio. Raises :class:`BadFormat` for anything that is not one to the last byte."""
    if len(data) < _HEAD.size:
        raise BadFormat(f"{len(data)} bytes are no ReaStream packet; one has at least {_HEAD.size}")
    magic, size, identifier, channels, rate, length = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        what = "MIDI" if magic == _MIDI else "no ReaStream packet"
        raise BadFormat(f"this is {what}; only ReaStream's audio is recorded")
    if not 1 <= channels <= _MAX_CHANNELS or rate not in _RATES:
        raise BadFormat(
            f"{channels} channels at {rate} Hz are impossible; {_MAX_CHANNELS} and 384000 Hz are the most"
        )
    if (
        not 0 < length <= _MAX_BYTES
        or length % (4 * channels)
        or not size == len(data) == _HEAD.size + length
    ):
        raise BadFormat(
            f"the packet's lengths do not agree: {size}, {length} and {len(data)} bytes; send whole blocks"
        )
    samples = np.frombuffer(data, "<f4", offset=_HEAD.size).reshape(channels, -1)
    if not np.isfinite(samples).all():
        raise BadFormat("the packet holds values that are no numbers; send finite samples")
    return Packet(bytes(identifier).rstrip(b"\0"), rate, samples.astype(np.float32, copy=False))
