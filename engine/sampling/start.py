"""What a take starts from, whatever its mode: codes that are known, and where the continuation begins in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.backends.protocol import Codes
from engine.errors import TooShort
from engine.request import Pulse, Request
from engine.sampling.plan import prime_context
from engine.store.config import ModelConfig

Audio = NDArray[np.float32] | Callable[[], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Start:
    """Position 0 is the beginning of what the model sees of the prime.

    ``codes``: int64 from position 0 of the levels that are known, the continuation included where that is known
    too (upsample, infill). ``prime_tokens``: top-level tokens of the prime. ``seam``: samples from position 0 to
    the beginning of the continuation, at most ``prime_tokens`` hops and less than one hop short of it: a take
    may go on in the middle of a token. ``before``: samples of prime before position 0. ``audio``: float32, the
    prime's samples from position 0 on, ``prime_tokens`` hops, for the levels that have to be encoded, or what waits
    for them. ``leads``: codes beside those of ``codes``, by level and by the token they begin at, see
    :class:`engine.events.LeadCodes`.
    ``fresh``: levels of which the prime gives nothing that their windows should see. ``pulse``: what an earlier take
    kept, as the request would state it.
    """

    prime_tokens: int = 0
    seam: int = 0
    before: int = 0
    codes: Mapping[int, Codes] = field(default_factory=dict)
    audio: Audio = field(default_factory=lambda: np.zeros(0, np.float32))
    leads: Mapping[int, Mapping[int, Codes]] = field(default_factory=dict)
    fresh: frozenset[int] = frozenset()
    pulse: Pulse | None = None


def primed_start(config: ModelConfig, request: Request, prime: NDArray[np.float32]) -> Start:
    """The end of the prime that is of use, a whole number of top tokens, ending where the prime ends.

    ``prime``: float32 [frames] at the model's rate. Raises TooShort for less than one token.
    """
    hop = config.hops[config.top]
    tokens = min(prime.size // hop, prime_context(config, request.sampling))
    if not tokens:
        raise TooShort(
            f"the prime holds {prime.size} samples; it needs at least {hop} ({hop / config.rate * 1000:.1f} ms)"
        )
    before = prime.size - tokens * hop
    used = np.ascontiguousarray(prime[before:], dtype=np.float32)
    return Start(tokens, used.size, before, audio=used)
