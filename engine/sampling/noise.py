"""Counter-based noise: one number per (seed, level, position), whatever the order of drawing (DESIGN.md §4.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WORDS = 4  # 64-bit words per Philox counter value


def uniforms(seed: int, level: int, start: int, stop: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) of positions ``start`` .. ``stop - 1``: float64 [stop - start].

    Philox 4x64 with key (seed, level) and the position as counter (Salmon et al. 2011), so any span can be
    drawn alone and a token's noise does not depend on batch, lane, window or process.
    """
    first = start // WORDS
    source = np.random.Philox(key=[seed, level], counter=[first, 0, 0, 0])
    words = source.random_raw(stop - first * WORDS)[start - first * WORDS :]
    return np.asarray((words >> np.uint64(11)) * 2.0**-53, dtype=np.float64)
