"""Codes to the continuation's samples, piece by piece as they come."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine.backends.protocol import Backend, Codes
from engine.events import AudioChunk


class Decoder:
    """Turns codes of one level into the continuation's samples, cut into chunks of one size.

    ``total``: tokens that there will be; ``seam``: samples of prime before the continuation; ``frames``: its length.
    """

    def __init__(
        self, backend: Backend, level: int, total: int, seam: int, frames: int, chunk_frames: int
    ) -> None:
        self.backend, self.level, self.frames, self.chunk = backend, level, frames, chunk_frames
        self.total, self.seam = total, seam
        self.hop = backend.config.hops[level]
        self.grid, self.margin = backend.decode_grid(level), backend.decode_margin(level)
        self.piece = seam // self.hop // self.grid
        self.sent = 0
        self.held = np.empty(0, dtype=np.float32)

    def take(self, codes: Codes, filled: int) -> Iterator[AudioChunk]:
        """Chunks that ``filled`` tokens suffice for and that were not handed on before."""
        while self.piece * self.grid < self.total and self.sent < self.frames:
            if filled < min(self.total, (self.piece + 1) * self.grid + self.margin):
                return
            samples = self.backend.decode_piece(codes[:filled], self.level, self.piece, self.total)
            skip = max(0, self.seam - self.piece * self.grid * self.hop)
            self.held = np.concatenate((self.held, np.clip(samples[skip:], -1.0, 1.0)))
            self.piece += 1
            yield from self._chunks()

    def _chunks(self) -> Iterator[AudioChunk]:
        while True:
            size = min(self.chunk, self.frames - self.sent)
            if size == 0 or self.held.size < size:
                return
            chunk, self.held = self.held[:size], self.held[size:]
            yield AudioChunk(self.sent, chunk.astype(np.float32))
            self.sent += size


def decode(backend: Backend, codes: Codes, level: int, seam: int, frames: int) -> NDArray[np.float32]:
    """``frames`` samples float32 from sample ``seam`` on, of codes int64 [tokens] of one level."""
    decoder = Decoder(backend, level, codes.size, seam, frames, max(1, frames))
    return np.concatenate([np.zeros(0, np.float32), *(c.samples for c in decoder.take(codes, codes.size))])
