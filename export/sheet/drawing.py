"""Small pictures without a library: a PNG with a palette, an outline as SVG."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

# From night to flame, evenly brighter all the way: readable in print and for those who see few colours.
_STOPS = ("#0b0a1e", "#2a1150", "#5b187b", "#8e2a7b", "#c13d6b", "#ea5f54", "#fb9251", "#fdc874", "#fcfdc0")


def palette() -> NDArray[np.uint8]:
    """256 colours for loudness, uint8 [256, 3]."""
    stops = np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in _STOPS], dtype=np.float64)
    at = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(at, np.arange(len(stops)), stops[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def png(image: NDArray[np.uint8]) -> bytes:
    """A picture of palette numbers, uint8 [height, width], the top row first, as a PNG."""
    height, width = image.shape
    rows = np.zeros((height, width + 1), np.uint8)  # every row begins with its filter: 0, none
    rows[:, 1:] = image
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _part(kind, data)
        for kind, data in (
            (b"IHDR", head),
            (b"PLTE", palette().tobytes()),
            (b"IDAT", zlib.compress(rows.tobytes(), 9)),
            (b"IEND", b""),
        )
    )


def _part(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def outline(envelope: NDArray[np.float32], height: int, columns: int) -> str:
    """The path of a filled waveform in a box of ``columns`` by ``height``, its loudest sample at the edge."""
    peak = max(float(np.abs(envelope).max(initial=0.0)), 1e-4)
    group = -(-len(envelope) // columns)
    padded = np.pad(envelope, ((0, group * columns - len(envelope)), (0, 0)), mode="edge")
    grouped = padded.reshape(columns, group, 2)
    low, high = grouped[..., 0].min(axis=1), grouped[..., 1].max(axis=1)
    middle = height / 2
    above = np.minimum(middle - high / peak * (middle - 1), middle - 0.5)
    below = np.maximum(middle - low / peak * (middle - 1), middle + 0.5)
    forth = " ".join(f"{x},{y:.1f}" for x, y in enumerate(above))
    back = " ".join(f"{columns - 1 - x},{y:.1f}" for x, y in enumerate(below[::-1]))
    return f"M{forth} L{back}Z"
