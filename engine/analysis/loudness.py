"""Loudness by ITU-R BS.1770-4, and sample peak."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import signal as sps

from engine.analysis.spectrum import checked

BLOCK_SECONDS = 0.4
OVERLAP = 4  # a block starts every quarter of a block
ABSOLUTE_GATE = -70.0
RELATIVE_GATE = -10.0
OFFSET = -0.691


def integrated_loudness(samples: ArrayLike, rate: int) -> float:
    """Gated loudness of mono `samples` [T] in LUFS; minus infinity when everything is below -70 LUFS.

    BS.1770-4 with its K-weighting redesigned for `rate`: blocks of 400 ms, gates at -70 LUFS and 10 LU below
    the mean. Raises TooShort below 0.4 s, BadFormat for more than one channel or samples that are not finite.
    """
    signal = checked(samples, rate, BLOCK_SECONDS, "loudness")
    weighted = _k_weighted(signal, rate)
    block = round(BLOCK_SECONDS * rate)
    starts = np.arange(0, signal.size - block + 1, block // OVERLAP)
    energy = np.concatenate([[0.0], np.cumsum(weighted**2)])
    power = np.maximum(energy[starts + block] - energy[starts], 0.0) / block
    power = power[power > _power(ABSOLUTE_GATE)]
    if power.size == 0:
        return -math.inf
    power = power[power > power.mean() * 10.0 ** (RELATIVE_GATE / 10.0)]
    return OFFSET + 10.0 * math.log10(power.mean())


def sample_peak(samples: ArrayLike) -> float:
    """Largest magnitude of `samples` in dBFS; minus infinity for digital silence or no samples."""
    peak = float(np.abs(np.asarray(samples, dtype=np.float32)).max(initial=0.0))
    return 20.0 * math.log10(peak) if peak > 0.0 else -math.inf


def _power(lufs: float) -> float:
    return float(10.0 ** ((lufs - OFFSET) / 10.0))


def _k_weighted(signal: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """The two filters of BS.1770-4, Annex 1: a shelf of +4 dB above 1.7 kHz, then a high-pass at 38 Hz.

    It tabulates coefficients for 48 kHz only; the analogue prototypes behind them give any rate.
    """
    shelf = _shelf(1681.974450955533, 3.999843853973347, 0.7071752369554196, rate)
    high_pass = _high_pass(38.13547087602444, 0.5003270373238773, rate)
    return sps.sosfilt(np.stack([shelf, high_pass]), signal.astype(np.float64))


def _shelf(hertz: float, gain_db: float, q: float, rate: int) -> NDArray[np.float64]:
    k = math.tan(math.pi * hertz / rate)
    high = 10.0 ** (gain_db / 20.0)
    band = high**0.4996667741545416
    a0 = 1.0 + k / q + k * k
    b = [high + band * k / q + k * k, 2.0 * (k * k - high), high - band * k / q + k * k]
    return np.array([*b, a0, 2.0 * (k * k - 1.0), 1.0 - k / q + k * k]) / a0


def _high_pass(hertz: float, q: float, rate: int) -> NDArray[np.float64]:
    k = math.tan(math.pi * hertz / rate)
    a0 = 1.0 + k / q + k * k
    # The numerator stays at 1, -2, 1 whatever the rate, as the 48 kHz table has it.
    return np.array([1.0, -2.0, 1.0, 1.0, 2.0 * (k * k - 1.0) / a0, (1.0 - k / q + k * k) / a0])
