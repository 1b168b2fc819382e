"""Loudness after ITU-R BS.1770-4 for one channel, and a look-ahead limiter."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy import signal as sp

from engine.corpus.voices.signal import SAMPLE_RATE, Signal

_BLOCK_S, _HOP_S = 0.4, 0.1


@lru_cache(maxsize=1)
def _weighting() -> npt.NDArray[np.float64]:
    """The K weighting at our rate: BS.1770's two filters, from their analogue parameters; shape (2, 6)."""
    k = np.tan(np.pi * 1681.974450955533 / SAMPLE_RATE)
    q, high = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    middle = high**0.4996667741545416
    scale = 1 + k / q + k * k
    shelf = [
        (high + middle * k / q + k * k) / scale,
        2 * (k * k - high) / scale,
        (high - middle * k / q + k * k) / scale,
        1.0,
        2 * (k * k - 1) / scale,
        (1 - k / q + k * k) / scale,
    ]
    k = np.tan(np.pi * 38.13547087602444 / SAMPLE_RATE)
    q = 0.5003270373238773
    scale = 1 + k / q + k * k
    low = [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale]
    return np.array([shelf, low])


def integrated_loudness(samples: Signal) -> float:
    """Gated integrated loudness of mono samples, shape (n,), in LUFS; -inf for silence or less than 0.4 s."""
    weighted = sp.sosfilt(_weighting().astype(np.float32), samples)
    block, hop = round(_BLOCK_S * SAMPLE_RATE), round(_HOP_S * SAMPLE_RATE)
    energy = np.concatenate([[0.0], np.cumsum(np.square(weighted, dtype=np.float64))])
    starts = np.arange(0, len(samples) - block + 1, hop)
    if len(starts) == 0:
        return float("-inf")
    power = np.maximum((energy[starts + block] - energy[starts]) / block, 1e-15)
    level = -0.691 + 10 * np.log10(power)
    audible = level > -70.0
    if not audible.any():
        return float("-inf")
    threshold = -0.691 + 10 * np.log10(power[audible].mean()) - 10.0
    return float(-0.691 + 10 * np.log10(power[audible & (level > threshold)].mean()))


def level_within(samples: Signal, spans: tuple[tuple[float, float], ...]) -> float:
    """Loudness in LUFS, without gating, of what lies in spans of seconds (start, end); -inf for silence."""
    weighted = sp.sosfilt(_weighting().astype(np.float32), samples)
    pieces = [weighted[round(a * SAMPLE_RATE) : round(b * SAMPLE_RATE)] for a, b in spans]
    energy = sum(float(np.sum(np.square(piece, dtype=np.float64))) for piece in pieces)
    count = sum(map(len, pieces))
    return -0.691 + 10 * float(np.log10(energy / count)) if energy > 0 else float("-inf")


def limit(samples: Signal, ceiling: float, window_s: float = 0.012) -> Signal:
    """The samples with no peak above `ceiling` (linear), same shape.

    The gain is the least that any sample within half a window needs, averaged over a window: so it never
    jumps, and never allows a peak through.
    """
    width = 2 * (round(window_s * SAMPLE_RATE) // 2) + 1
    peaks = ndimage.maximum_filter1d(np.abs(samples), width)
    gain = np.minimum(1.0, ceiling / np.maximum(peaks, 1e-9)).astype(np.float32)
    limited: Signal = np.clip(samples * ndimage.uniform_filter1d(gain, width), -ceiling, ceiling)
    return limited
