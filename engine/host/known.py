"""What is known of a prime before a job begins, so that nothing is read or encoded twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.audio import Waveform
from engine.request import Request

if TYPE_CHECKING:
    from engine.sampling import Start
    from engine.store.config import ModelConfig

Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class KnownPrime:
    """A prime that was read, and perhaps encoded, ahead of the request.

    ``codes``: int64 [tokens] of each level for the end of the prime that sampling uses, empty when unknown, or of
    the upper levels only; ``start``: of a take that goes on from earlier takes, instead of codes; ``left_out``: frames
    that were heard before the waveform begins.
    """

    waveform: Waveform
    codes: dict[int, Codes] = field(default_factory=dict)
    start: Start | None = None
    left_out: int = 0

    def codes_for(self, config: ModelConfig, request: Request) -> dict[int, Codes]:
        """The codes, if they are of the span that sampling of ``request`` uses; else none."""
        known = self.codes.get(config.top)
        if known is None or known.size != used_tokens(config, request, self.waveform.frames):
            return {}
        return self.codes


def used_tokens(config: ModelConfig, request: Request, prime_frames: int) -> int:
    """Top-level tokens at the end of a prime of ``prime_frames`` that sampling of ``request`` uses."""
    from engine.sampling.plan import prime_context

    return min(prime_frames // config.hops[config.top], prime_context(config, request.sampling))
