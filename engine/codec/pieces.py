"""In which pieces audio is encoded and codes are decoded, and how much of the surroundings each piece needs.

Plain arithmetic, shared by everything that runs the codec.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.codec.config import CodecConfig

ENCODE_CHUNK = 1 << 17  # samples of output per piece: bounds memory, a few megabytes at any length
DECODE_SPAN = 4096  # samples in one decoded piece of the bottom level; see decode_grid


@dataclass(frozen=True)
class Piece:
    """Feed ``[left, right)`` to the network and keep ``keep`` of its output (samples for codes, codes for samples)."""

    left: int
    right: int
    keep: slice


def encoder_margin(config: CodecConfig, level: int) -> int:
    """Samples of context on either side that one code of ``level`` depends on (an upper bound, within 2 hops)."""
    radius = 0
    spread = sum(config.dilations(level))
    for b in reversed(range(level + 1)):
        radius += 1  # projection, k 3
        for _ in range(config.downs[b]):
            radius += spread
            radius = radius * config.strides[b] + config.strides[b]  # strided convolution, k 2*stride
    return radius


def decoder_margin(config: CodecConfig, level: int) -> int:
    """Tokens of context on either side that the samples of one token of ``level`` depend on (an upper bound)."""
    radius = 1  # output convolution, k 3, in samples
    spread = sum(config.dilations(level))
    for b in range(level + 1):
        for _ in range(config.downs[b]):
            radius = -(
                -(radius + config.strides[b]) // config.strides[b]
            )  # transposed convolution, k 2*stride
            radius += spread
        radius += 1  # projection, k 3
    return radius


def encode_pieces(config: CodecConfig, level: int, total: int, chunk: int) -> Iterator[Piece]:
    """Pieces of ``total`` samples, a multiple of the hop, of ``chunk`` samples each; kept are codes."""
    hop = config.hops[level]
    step = max(hop, chunk // hop * hop)
    margin = -(-encoder_margin(config, level) // hop) * hop
    for start in range(0, total, step):
        stop = min(start + step, total)
        left, right = max(0, start - margin), min(total, stop + margin)
        yield Piece(left, right, slice((start - left) // hop, (stop - left) // hop))


def decode_grid(config: CodecConfig, level: int) -> int:
    """Tokens per decoded piece. Pieces lie on this absolute grid, whoever decodes and whenever.

    The same piece is always computed from the same tokens with the same shapes, so streamed and offline
    audio agree in every bit, not only up to rounding (DESIGN.md §4.2). Each level's pieces are twice as long
    as those below: its margin is about 80 tokens whatever the level, so short pieces at the top would cost
    several times their own length.
    """
    return max(1, (DECODE_SPAN << level) // config.hops[level])


def decode_span(config: CodecConfig, level: int, piece: int, total: int) -> Piece:
    """Piece ``piece`` of the grid over ``total`` tokens; kept are samples."""
    hop, grid, margin = config.hops[level], decode_grid(config, level), decoder_margin(config, level)
    start, stop = piece * grid, min((piece + 1) * grid, total)
    left, right = max(0, start - margin), min(total, stop + margin)
    return Piece(left, right, slice((start - left) * hop, (stop - left) * hop))
