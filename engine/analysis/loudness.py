"""Loudness by ITU-R BS.1770-4, its range by EBU Tech 3342, and peaks. Loads numpy and soxr only."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import ArrayLike, NDArray

from engine.analysis.spectrum import checked

BLOCK_SECONDS = 0.4
OVERLAP = 4  # a block starts every quarter of a block
SHORT_TERM_SECONDS = 3.0
SHORT_TERM_HOP_SECONDS = 0.1
ABSOLUTE_GATE = -70.0
RELATIVE_GATE = -10.0
RANGE_GATE = -20.0
RANGE_PERCENTILES = (10, 95)
OFFSET = -0.691
OVERSAMPLING = 4
_PIECE = 1 << 17  # samples that are filtered at a time: bounds memory, and stays in the processor's caches
_SETTLED_SECONDS = 0.15  # after which nothing of the filters' memory is left


@dataclass(frozen=True)
class Loudness:
    """Of one channel: ``integrated``, the loudest ``momentary`` (0.4 s) and ``short_term`` (3 s) loudness in LUFS,
    ``range`` in LU, ``true_peak`` in dBTP; None where there is too little audio to say, or nothing to hear."""

    integrated: float | None
    range: float | None
    momentary: float | None
    short_term: float | None
    true_peak: float | None


def measure_loudness(samples: ArrayLike, rate: int) -> Loudness:
    """All of it, of mono ``samples`` [T]. Raises BadFormat for more channels or samples that are not finite."""
    signal = checked(samples, rate, 0.0, "loudness")
    peak = true_peak(signal, rate)
    energy = _energy(signal, rate)
    momentary = _powers(energy, rate, BLOCK_SECONDS, BLOCK_SECONDS / OVERLAP)
    short_term = _powers(energy, rate, SHORT_TERM_SECONDS, SHORT_TERM_HOP_SECONDS)
    return Loudness(
        _known(_gated(momentary)),
        _range(short_term),
        _loudest(momentary),
        _loudest(short_term),
        _known(peak),
    )


def integrated_loudness(samples: ArrayLike, rate: int) -> float:
    """Gated loudness of mono `samples` [T] in LUFS; minus infinity when everything is below -70 LUFS.

    BS.1770-4 with its K-weighting redesigned for `rate`: blocks of 400 ms, gates at -70 LUFS and 10 LU below
    the mean. Raises TooShort below 0.4 s, BadFormat for more than one channel or samples that are not finite.
    """
    signal = checked(samples, rate, BLOCK_SECONDS, "loudness")
    return _gated(_powers(_energy(signal, rate), rate, BLOCK_SECONDS, BLOCK_SECONDS / OVERLAP))


def loudness_drift(samples: ArrayLike, rate: int) -> float | None:
    """How much louder mono `samples` [T] become from beginning to end, in LU: the slope of the loudness of 3 s, heard
    once a second, times their length. None where fewer than two of these are above -70 LUFS.

    Raises TooShort below 4 s, BadFormat as :func:`integrated_loudness`.
    """
    signal = checked(samples, rate, SHORT_TERM_SECONDS + 1.0, "loudness drift")
    power = _powers(_energy(signal, rate), rate, SHORT_TERM_SECONDS, 1.0)
    heard = power > _power(ABSOLUTE_GATE)
    if heard.sum() < 2:
        return None
    slope = np.polyfit(np.flatnonzero(heard), 10.0 * np.log10(power[heard]), 1)[0]  # LU a second
    return float(slope * signal.size / rate)


def sample_peak(samples: ArrayLike) -> float:
    """Largest magnitude of `samples` in dBFS; minus infinity for digital silence or no samples."""
    peak = float(np.abs(np.asarray(samples, dtype=np.float32)).max(initial=0.0))
    return 20.0 * math.log10(peak) if peak > 0.0 else -math.inf


def true_peak(samples: ArrayLike, rate: int) -> float:
    """Largest magnitude of the wave that mono `samples` [T] stand for, in dBTP; minus infinity for silence.

    The larger of the samples' own and of four times as many: either alone may miss it.
    """
    signal = np.asarray(samples, dtype=np.float32)
    return max(sample_peak(signal), sample_peak(oversampled(signal, rate)))


def oversampled(signal: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """The same wave in :data:`OVERSAMPLING` times as many samples."""
    if not signal.size:
        return signal
    return np.asarray(soxr.resample(signal, rate, OVERSAMPLING * rate, quality="HQ"), dtype=np.float32)


def _energy(signal: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """Energy of the weighted signal [T] up to each sample: float64 [T + 1]."""
    return np.concatenate([[0.0], np.cumsum(np.square(k_weighted(signal, rate)))])


def _powers(
    energy: NDArray[np.float64], rate: int, seconds: float, hop_seconds: float
) -> NDArray[np.float64]:
    """Mean square of every block; none where there is less audio than one."""
    block = round(seconds * rate)
    starts = np.arange(0, energy.size - block, round(hop_seconds * rate))
    return np.maximum(energy[starts + block] - energy[starts], 0.0) / block


def _gated(power: NDArray[np.float64]) -> float:
    power = power[power > _power(ABSOLUTE_GATE)]
    if power.size == 0:
        return -math.inf
    return _lufs(power[power > power.mean() * 10.0 ** (RELATIVE_GATE / 10.0)].mean())


def _range(power: NDArray[np.float64]) -> float | None:
    power = power[power > _power(ABSOLUTE_GATE)]
    if power.size == 0:
        return None
    kept = power[power > power.mean() * 10.0 ** (RANGE_GATE / 10.0)]
    low, high = np.percentile(10.0 * np.log10(kept), RANGE_PERCENTILES)
    return float(high - low)


def _loudest(power: NDArray[np.float64]) -> float | None:
    most = float(power.max(initial=0.0))
    return _lufs(most) if most > _power(ABSOLUTE_GATE) else None


def _known(figure: float) -> float | None:
    return figure if math.isfinite(figure) else None


def _lufs(power: float) -> float:
    return float(OFFSET + 10.0 * math.log10(power))


def _power(lufs: float) -> float:
    return float(10.0 ** ((lufs - OFFSET) / 10.0))


def k_weighted(signal: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """The two filters of BS.1770-4, Annex 1: a shelf of +4 dB above 1.7 kHz, then a high-pass at 38 Hz.

    It tabulates coefficients for 48 kHz only; the analogue prototypes behind them give any rate. Filtered by their
    frequency response, piece by piece: a recursion over samples would need more than numpy.
    """
    settled = round(_SETTLED_SECONDS * rate)
    most = max(_PIECE, 1 << (4 * settled).bit_length())
    length = min(most, 1 << (signal.size + 2 * settled).bit_length())
    step, response = length - 2 * settled, _response(rate, length)
    result = np.empty(signal.size)
    for start in range(0, signal.size, step):
        before = min(start, settled)
        piece = np.fft.rfft(signal[start - before : start + step].astype(np.float64), length)
        stop = min(start + step, signal.size)
        result[start:stop] = np.fft.irfft(piece * response, length)[before : before + stop - start]
    return result


@functools.lru_cache(maxsize=4)
def _response(rate: int, length: int) -> NDArray[np.complex128]:
    """Of both filters at the frequencies of ``length`` samples."""
    turn = np.exp(-2j * np.pi * np.arange(length // 2 + 1) / length)  # z^-1 on the unit circle
    response = np.ones(turn.size, np.complex128)
    shelf = _shelf(1681.974450955533, 3.999843853973347, 0.7071752369554196, rate)
    high_pass = _high_pass(38.13547087602444, 0.5003270373238773, rate)
    for section in (shelf, high_pass):
        b, a = section[:3], section[3:]
        response *= (b[0] + turn * (b[1] + turn * b[2])) / (a[0] + turn * (a[1] + turn * a[2]))
    return response


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
