"""How loud a track is: as loud as its prime, and never above the ceiling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from engine.analysis.loudness import BLOCK_SECONDS, OVERSAMPLING, integrated_loudness, oversampled, true_peak

Samples = npt.NDArray[np.float64]

CEILING_DBTP = -1.0
MOST_GAIN_DB = 12.0
MOST_LIMITED_DB = 6.0
LOOK_AHEAD_SECONDS = 0.005


@dataclass(frozen=True)
class Limited:
    """``samples`` after the ceiling; how far the limiter went down at most, for how long, and what was taken from the
    whole track besides."""

    samples: Samples
    limited_db: float = 0.0
    limited_seconds: float = 0.0
    lowered_db: float = 0.0


def loudness_of(samples: Samples, rate: int) -> float | None:
    """In LUFS; None for what is silent or shorter than a block of it."""
    if samples.size < BLOCK_SECONDS * rate:
        return None
    loudness = integrated_loudness(samples, rate)
    return loudness if math.isfinite(loudness) else None


def under_ceiling(samples: Samples, rate: int, *, loop: bool) -> Limited:
    """``samples`` with a true peak of :data:`CEILING_DBTP` at most; ``loop``: the end is heard before the beginning.

    A limiter that looks ahead, and not a lower level for the whole track: a single peak would cost the match with the
    prime, which is what is heard where the two meet. The gain is the least that is needed within 5 ms on either side,
    averaged over as much: so it is down in time, moves too slowly to be heard as distortion, and is one wherever
    nothing is too loud, where samples stay as they are. What it would have to take beyond :data:`MOST_LIMITED_DB`, at
    which it would change the sound, is taken from the whole track instead.
    """
    ceiling = 10.0 ** (CEILING_DBTP / 20.0)
    peak = true_peak(_around(samples, loop, rate), rate)
    lowered = max(0.0, peak - CEILING_DBTP - MOST_LIMITED_DB)
    if peak <= CEILING_DBTP:
        return Limited(samples)
    samples = samples * 10.0 ** (-lowered / 20.0)
    gain = _gain(samples, rate, ceiling, loop)
    limited = samples * gain
    # The wave between the samples may still stand out by what the gain moves there: hundredths of a dB.
    rest = true_peak(_around(limited, loop, rate), rate) - CEILING_DBTP
    if rest > 0:
        limited *= 10.0 ** (-(rest + 1e-4) / 20.0)
    return Limited(
        limited,
        -20.0 * math.log10(float(gain.min())),
        float(np.count_nonzero(gain < 0.999)) / rate,
        lowered + max(0.0, rest),
    )


def _gain(samples: Samples, rate: int, ceiling: float, loop: bool) -> Samples:
    """The gain of every sample."""
    mode = "wrap" if loop else "nearest"
    size = 2 * round(LOOK_AHEAD_SECONDS * rate) + 1
    least = minimum_filter1d(ceiling / np.maximum(_envelope(samples, rate, loop), ceiling), size, mode=mode)
    return np.asarray(np.minimum(1.0, uniform_filter1d(least, size, mode=mode)))


def _envelope(samples: Samples, rate: int, loop: bool) -> Samples:
    """The highest magnitude of the wave near each sample."""
    margin = _margin(rate)
    wave = np.abs(oversampled(_around(samples, loop, rate).astype(np.float32), rate))[
        : samples.size * OVERSAMPLING + 2 * margin * OVERSAMPLING
    ]
    wave = np.pad(wave, (0, (samples.size + 2 * margin) * OVERSAMPLING - wave.size))
    near = wave.reshape(-1, OVERSAMPLING).max(axis=1)[margin : margin + samples.size]
    return np.asarray(np.maximum(np.abs(samples), near), dtype=np.float64)


def _around(samples: Samples, loop: bool, rate: int) -> Samples:
    """With what is heard before and after it: silence, or itself."""
    margin = _margin(rate)
    if loop:
        return np.pad(samples, margin, mode="wrap")
    return np.pad(samples, margin)


def _margin(rate: int) -> int:
    return round(LOOK_AHEAD_SECONDS * rate)
