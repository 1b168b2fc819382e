"""Tempo of a piece of audio from the periodicity of its onsets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.analysis.onsets import onset_strength
from engine.analysis.spectrum import checked

MIN_SECONDS = 3.0
LOWEST_BPM, HIGHEST_BPM = 60.0, 190.0
PRIOR_BPM = 112.0
PRIOR_OCTAVES = 0.5  # standard deviation of the log-normal preference for middling tempi
STEPS_PER_OCTAVE = 240
COMB = (1.0, 0.8, 0.6, 0.8)  # weights of one, two, three and four beats' lag


@dataclass(frozen=True)
class TempoEstimate:
    """`bpm` in beats a minute, 60..190; `confidence` 0..1 is how strictly the onsets repeat at that beat.

    Confidence 0 means that nothing repeats (silence): `bpm` is then the prior's 112 and says nothing.
    """

    bpm: float
    confidence: float


def estimate_tempo(samples: ArrayLike, rate: int) -> TempoEstimate:
    """Tempo of mono `samples` [T] at `rate` Hz.

    Autocorrelation of the onset strength, summed over up to four beats (it favours slow multiples), times the
    spectrum of the onset strength (it favours fast ones), times a log-normal preference around 112 bpm.
    Raises TooShort below 3 s, BadFormat for more than one channel or samples that are not finite.
    """
    signal = checked(samples, rate, MIN_SECONDS, "tempo estimation")
    strength, frame_rate = onset_strength(signal, rate)
    if not strength.any():
        return TempoEstimate(PRIOR_BPM, 0.0)
    octaves = np.log2(HIGHEST_BPM / LOWEST_BPM)
    bpm = LOWEST_BPM * 2.0 ** np.linspace(0.0, octaves, int(STEPS_PER_OCTAVE * octaves) + 1)
    lags = 60.0 * frame_rate / bpm
    correlation = _autocorrelation(strength)
    repeats = _comb(correlation, lags)
    pulse = _pulse(strength, bpm, frame_rate)
    prior = np.exp(-0.5 * (np.log2(bpm / PRIOR_BPM) / PRIOR_OCTAVES) ** 2)
    score = np.maximum(repeats, 0.0) * pulse**0.25 * prior
    best = int(np.argmax(score))
    if score[best] <= 0.0:
        return TempoEstimate(PRIOR_BPM, 0.0)
    return TempoEstimate(_refined(bpm, score, best), float(np.clip(repeats[best], 0.0, 1.0)))


def _autocorrelation(strength: NDArray[np.float32]) -> NDArray[np.float64]:
    """Autocorrelation [lags], 1 at lag 0, free of the bias towards short lags."""
    centred = strength.astype(np.float64) - strength.mean()
    # Smoothed by 5 frames, so that playing loosely in time still correlates.
    centred = np.convolve(centred, np.hanning(7)[1:-1], mode="same")
    size = 1 << int(np.ceil(np.log2(2 * centred.size)))
    raw = np.fft.irfft(np.abs(np.fft.rfft(centred, size)) ** 2)[: centred.size]
    unbiased = raw / np.arange(centred.size, 0, -1)
    return unbiased / max(unbiased[0], 1e-12)


def _comb(correlation: NDArray[np.float64], lags: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted mean of the autocorrelation at 1 to 4 times each lag, while a third of the signal overlaps."""
    reach = correlation.size * 2.0 / 3.0
    total, weight = np.zeros_like(lags), np.zeros_like(lags)
    positions = np.arange(correlation.size)
    for beats, share in enumerate(COMB, start=1):
        inside = lags * beats <= reach
        total += np.where(inside, share * np.interp(lags * beats, positions, correlation), 0.0)
        weight += np.where(inside, share, 0.0)
    return total / np.maximum(weight, 1e-9)


def _pulse(strength: NDArray[np.float32], bpm: NDArray[np.float64], frame_rate: float) -> NDArray[np.float64]:
    """Share 0..1 of the onset strength's spectrum at each tempo, relative to the strongest one."""
    window = np.hanning(strength.size)
    signal = (strength - strength.mean()) * window
    times = np.arange(strength.size) / frame_rate
    spectrum = np.abs(np.exp(-2j * np.pi * np.outer(bpm / 60.0, times)) @ signal)
    return spectrum / max(float(spectrum.max()), 1e-12)


def _refined(bpm: NDArray[np.float64], score: NDArray[np.float64], best: int) -> float:
    """The maximum's tempo by a parabola through its neighbours, on the logarithmic grid."""
    if best in (0, bpm.size - 1):
        return float(bpm[best])
    left, middle, right = score[best - 1 : best + 2]
    curve = left - 2.0 * middle + right
    shift = 0.5 * (left - right) / curve if curve < 0 else 0.0
    return float(bpm[best] * (bpm[best + 1] / bpm[best]) ** shift)
