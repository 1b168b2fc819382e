"""From logits to a token: temperature, top-k or top-p, inverse transform of one uniform (facts/jukebox.md §5.3)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine.request import LevelSampling


def keep_top_k(logits: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Logits [bins] with all but the ``k`` largest at minus infinity (ties with the k-th stay)."""
    if k >= logits.size:
        return logits
    return np.where(logits >= np.partition(logits, -k)[-k], logits, -np.inf)


def keep_top_p(logits: NDArray[np.float64], p: float) -> NDArray[np.float64]:
    """Logits [bins] with only the likeliest tokens whose probability sums to ``p``; the one that crosses p stays."""
    order = np.argsort(-logits, kind="stable")
    weights = np.exp(logits[order] - logits[order[0]])
    before = np.cumsum(weights) - weights
    kept = order[before < p * weights.sum()]
    filtered = np.full_like(logits, -np.inf)
    filtered[kept] = logits[kept]
    return filtered


def draw(logits: NDArray[np.float32], uniform: float, settings: LevelSampling) -> int:
    """The token of one lane: the first whose cumulative probability exceeds ``uniform`` in [0, 1).

    Sums run in float64, so that backends that differ by float32 rounding draw the same token.
    """
    scaled = logits.astype(np.float64) / settings.temperature
    if settings.top_k is not None:
        scaled = keep_top_k(scaled, settings.top_k)
    elif settings.top_p is not None:
        scaled = keep_top_p(scaled, settings.top_p)
    cumulative = np.cumsum(np.exp(scaled - scaled.max()))
    return int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"))


def draw_lanes(
    logits: NDArray[np.float32], uniforms: NDArray[np.float64], settings: LevelSampling
) -> NDArray[np.int64]:
    """The tokens of all lanes, int64 [N], from logits [N, bins] and uniform numbers [N]; see :func:`draw`."""
    if settings.top_k is not None or settings.top_p is not None:
        pairs = zip(logits, uniforms, strict=True)
        return np.array([draw(row, float(uniform), settings) for row, uniform in pairs], np.int64)
    scaled = logits.astype(np.float64)
    scaled /= settings.temperature
    scaled -= scaled.max(1, keepdims=True)
    np.exp(scaled, out=scaled)
    np.cumsum(scaled, 1, out=scaled)
    sought = uniforms * scaled[:, -1]
    found = (row.searchsorted(value, side="right") for row, value in zip(scaled, sought, strict=True))
    return np.fromiter(found, np.int64, len(scaled))


def sample_here(
    step: Callable[[NDArray[np.int64] | None], NDArray[np.float32]],
    previous: NDArray[np.int64] | None,
    noise: NDArray[np.float64],
    settings: LevelSampling,
) -> NDArray[np.int64]:
    """Sampling on the processor, for runners whose ``step`` gives logits [N, bins] of the position after the one
    before it, int64 [N]: tokens int64 [N, count] for ``noise`` [N, count]."""
    codes = np.empty(noise.shape, np.int64)
    for place in range(noise.shape[1]):
        previous = codes[:, place] = draw_lanes(step(previous), noise[:, place], settings)
    return codes
