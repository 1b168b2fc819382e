"""What every voice needs: the rate, envelopes, wavetables with a sweepable filter, coloured noise."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import signal as sp

SAMPLE_RATE = 44_100
Signal = npt.NDArray[np.float32]

_TABLE = 2048
_CUTOFFS = 40
_CUTOFF_LOW, _CUTOFF_HIGH = 60.0, 18_000.0
_MAX_HARMONICS = 320


def frames(seconds: float) -> int:
    """Whole samples in a time in seconds."""
    return round(seconds * SAMPLE_RATE)


def times(count: int) -> npt.NDArray[np.float64]:
    """Times in seconds of `count` samples, shape (count,)."""
    return np.arange(count) / SAMPLE_RATE


def decay(count: int, seconds: float) -> Signal:
    """Exponential decay from 1, down to -60 dB after `seconds`; shape (count,)."""
    return np.exp(times(count) * (-6.9078 / seconds)).astype(np.float32)


def adsr(hold: int, attack: float, fall: float, sustain: float, release: float) -> Signal:
    """Amplitude envelope of a note held for `hold` samples; shape (hold + release samples,).

    Times in seconds, `fall` being the time constant of the exponential approach to `sustain` (0..1). Ends at
    zero.
    """
    rise = max(frames(attack), 16)
    tail = max(frames(release), 64)
    t = times(hold)
    body = sustain + (1.0 - sustain) * np.exp(-np.maximum(t - attack, 0.0) / max(fall, 1e-3))
    ramp = np.minimum(np.arange(hold) / rise, 1.0)
    body *= np.sin(ramp * (np.pi / 2)) ** 2
    last = body[-1] if hold else 0.0
    end = np.linspace(1.0, 0.0, tail) ** 2 * last
    return np.concatenate([body, end]).astype(np.float32)


def fade_edges(samples: Signal, start: int = 16, end: int = 256) -> Signal:
    """The samples with short raised-cosine fades at both ends, in place."""
    start, end = min(start, len(samples)), min(end, len(samples))
    samples[:start] *= np.sin(np.linspace(0, np.pi / 2, start, dtype=np.float32)) ** 2
    samples[len(samples) - end :] *= np.cos(np.linspace(0, np.pi / 2, end, dtype=np.float32)) ** 2
    return samples


def harmonics(shape: str, count: int) -> npt.NDArray[np.float64]:
    """Amplitudes of the first `count` harmonics of a wave shape, shape (count,).

    Shapes: `saw`, `square`, `pulse` (a quarter wide), `triangle`, `sine`, `organ`, `reed`.
    Raises KeyError for others.
    """
    k = np.arange(1, count + 1, dtype=np.float64)
    organ = np.zeros(count)
    for harmonic, level in ((1, 1.0), (2, 0.8), (3, 0.6), (4, 0.35), (6, 0.2), (8, 0.15)):
        if harmonic <= count:
            organ[harmonic - 1] = level
    shapes = {
        "saw": 1 / k,
        "square": np.where(k % 2 == 1, 1 / k, 0.0),
        "pulse": np.abs(np.sin(np.pi * k / 4)) / k,
        "triangle": np.where(k % 2 == 1, 1 / k**2, 0.0),
        "sine": np.where(k == 1, 1.0, 0.0),
        "organ": organ,
        "reed": np.where(k % 2 == 1, 1 / k**0.8, 0.25 / k),
    }
    return shapes[shape]


def formants(
    freq: float, count: int, peaks: tuple[tuple[float, float, float], ...]
) -> npt.NDArray[np.float64]:
    """Gains of harmonics 1..`count` of `freq` Hz under resonances (centre Hz, width Hz, level), shape
    (count,).
    """
    f = freq * np.arange(1, count + 1)
    total = np.full(count, 0.02)
    for centre, width, level in peaks:
        total += level / (1 + ((f - centre) / width) ** 2)
    return total


@lru_cache(maxsize=256)
def table(
    shape: str, freq: float, resonance: float, peaks: tuple[tuple[float, float, float], ...] = ()
) -> Signal:
    """Single cycles of a shape at `freq` Hz behind a lowpass at rising cutoffs, shape (40, 2049).

    Band-limited: no harmonic above 20 kHz. The cutoffs lie on a log scale from 60 Hz to 18 kHz; `resonance`
    (0..1) lifts the harmonics at the cutoff. The last column repeats the first, for interpolation.
    """
    count = int(min(_MAX_HARMONICS, max(1, 20_000 // freq)))
    amplitudes = harmonics(shape, count)
    if peaks:
        amplitudes = amplitudes * formants(freq, count, peaks)
    cutoffs = np.geomspace(_CUTOFF_LOW, _CUTOFF_HIGH, _CUTOFFS)[:, None]
    ratio = freq * np.arange(1, count + 1)[None, :] / cutoffs
    damping = 1.4 - 1.2 * resonance
    gain = 1 / np.sqrt((1 - ratio**2) ** 2 + (damping * ratio) ** 2)
    spectrum = np.zeros((_CUTOFFS, _TABLE // 2 + 1), np.complex128)
    spectrum[:, 1 : count + 1] = -1j * amplitudes * np.minimum(gain, 6.0) * (_TABLE / 2)
    cycles = np.fft.irfft(spectrum, axis=1)
    return np.concatenate([cycles, cycles[:, :1]], axis=1).astype(np.float32)


def sweep(cycles: Signal, phase: npt.NDArray[np.float64], cutoff: npt.NDArray[np.float64] | float) -> Signal:
    """Reads a `table` at phases in cycles, shape (n,), behind a lowpass at `cutoff` Hz, shape (n,) or one
    value.
    """
    place = (phase - np.floor(phase)) * _TABLE
    left = place.astype(np.int32)
    part = (place - left).astype(np.float32)
    span = np.log(_CUTOFF_HIGH / _CUTOFF_LOW)
    row = np.log(np.clip(cutoff, _CUTOFF_LOW, _CUTOFF_HIGH * 0.999) / _CUTOFF_LOW) * ((_CUTOFFS - 1) / span)
    if isinstance(row, np.ndarray):
        lower = row.astype(np.int32)
        blend = (row - lower).astype(np.float32)
        flat = cycles.reshape(-1)
        index = lower * (_TABLE + 1) + left
        low = flat[index] * (1 - part) + flat[index + 1] * part
        index += _TABLE + 1
        high = flat[index] * (1 - part) + flat[index + 1] * part
        result: Signal = low + blend * (high - low)
        return result
    base = int(row)
    mixed = cycles[base] + np.float32(row - base) * (cycles[base + 1] - cycles[base])
    still: Signal = mixed[left] * (1 - part) + mixed[left + 1] * part
    return still


@lru_cache(maxsize=64)
def _butter(order: int, kind: str, low: float, high: float) -> npt.NDArray[np.float64]:
    edges = [low, high] if kind == "bandpass" else low
    sos: npt.NDArray[np.float64] = sp.butter(order, edges, kind, fs=SAMPLE_RATE, output="sos")
    return sos


def lowpass(samples: Signal, hz: float, order: int = 2) -> Signal:
    """Butterworth lowpass, same shape."""
    return np.asarray(sp.sosfilt(_butter(order, "lowpass", hz, 0.0), samples), dtype=np.float32)


def highpass(samples: Signal, hz: float, order: int = 2) -> Signal:
    """Butterworth highpass, same shape."""
    return np.asarray(sp.sosfilt(_butter(order, "highpass", hz, 0.0), samples), dtype=np.float32)


def bandpass(samples: Signal, low: float, high: float, order: int = 1) -> Signal:
    """Butterworth bandpass from `low` to `high` Hz, same shape."""
    return np.asarray(sp.sosfilt(_butter(order, "bandpass", low, high), samples), dtype=np.float32)


def noise(count: int, seed: int) -> Signal:
    """White noise of unit variance from a seed, shape (count,)."""
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(count, dtype=np.float32)
