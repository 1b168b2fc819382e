"""Encoding a prime while it is still being played: what is there of it now need not be encoded when it is whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.codec.pieces import encoder_margin
from engine.request import Sampling

if TYPE_CHECKING:
    from engine.backends.protocol import Backend

Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Foreseen:
    """The beginning of a prime. ``samples`` of it, mono, are encoded to ``codes`` of the top level from ``first`` on,
    as they will be when there are ``frames`` in all."""

    samples: NDArray[np.float32]
    codes: Codes
    first: int
    frames: int
    model: str

    def codes_of(self, backend: Backend, samples: NDArray[np.float32]) -> Codes | None:
        """Codes of the whole prime from :attr:`first` on, of which only the end is encoded; None for another prime."""
        known = self.samples.size
        if (
            backend.hash != self.model
            or samples.size != self.frames
            or not np.array_equal(samples[:known], self.samples)
        ):
            return None
        hop = backend.config.hops[backend.config.top]
        used = samples[self.first :]
        again = max(0, self.codes.size - _margin(backend))
        rest = backend.encode(np.ascontiguousarray(used[again * hop :]), (backend.config.top,))
        return np.concatenate([self.codes, rest[backend.config.top][self.codes.size - again :]])


def _margin(backend: Backend) -> int:
    """Tokens of the top level on either side that one of them depends on."""
    config = backend.config
    return -(-encoder_margin(config.codec, config.top) // config.hops[config.top])


def used_frames(backend: Backend, frames: int) -> int:
    """Samples at the end of a prime of ``frames`` that sampling with its usual settings uses: whole tokens."""
    from engine.sampling.plan import prime_context

    config = backend.config
    hop = config.hops[config.top]
    return min(frames // hop, prime_context(config, Sampling())) * hop


def foresee(backend: Backend, samples: NDArray[np.float32], frames: int) -> Foreseen | None:
    """Encodes the beginning ``samples`` (mono, at the model's rate) of a prime that will have ``frames``; None while
    there is too little of it."""
    config = backend.config
    hop, first = config.hops[config.top], frames - used_frames(backend, frames)
    tokens = (min(samples.size, frames) - first) // hop
    kept = tokens - _margin(backend)
    if kept <= 0:
        return None
    used = np.ascontiguousarray(samples[first : first + tokens * hop])
    codes = backend.encode(used, (config.top,))[config.top][:kept]
    return Foreseen(samples[: first + kept * hop].copy(), codes, first, frames, backend.hash)
