"""Onset strength: how much new sound begins at each moment (log-mel spectral flux)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import signal as sps

from engine.analysis.spectrum import checked, decibels, mel_spectrogram

FRAME_RATE = 100  # onset frames a second, nearly: the hop is a whole number of samples
MEL_BANDS = 40
SPAN_DB = 30.0  # what lies deeper below the maximum does not count: soft hats must not outweigh the beat


def onset_strength(samples: ArrayLike, rate: int) -> tuple[NDArray[np.float32], float]:
    """Onset strength float32 [frames] >= 0 of mono `samples` [T], and the frames a second (about 100).

    Mean rise of the log-mel bands, less its running mean over a second; all zero for silence.
    Raises TooShort below 0.1 s, BadFormat for more than one channel or samples that are not finite.
    """
    signal = checked(samples, rate, 0.1, "onset detection")
    hop = round(rate / FRAME_RATE)
    frame_rate = rate / hop
    n_fft = 1 << int(np.ceil(np.log2(rate * 0.04)))
    level = decibels(mel_spectrogram(signal, rate, n_fft, hop, MEL_BANDS, 30.0, 12000.0), SPAN_DB)
    # A rise is measured over two frames, as attacks are smeared over the analysis window.
    rises = np.maximum(0.0, level[:, 2:] - level[:, :-2])
    flux = np.zeros(level.shape[1], dtype=np.float32)
    flux[1:-1] = rises.mean(axis=0)
    width = min(int(frame_rate), flux.size)
    mean = np.convolve(flux, np.ones(width) / width, mode="same")
    return np.maximum(0.0, flux - mean).astype(np.float32), frame_rate


def onset_times(samples: ArrayLike, rate: int, threshold: float = 0.25) -> NDArray[np.float64]:
    """Seconds of the onsets of mono `samples` [T], ascending, at least 50 ms apart.

    An onset is a peak of the onset strength above `threshold` (0..1) of its 98th percentile.
    """
    strength, frame_rate = onset_strength(samples, rate)
    reference = float(np.percentile(strength[strength > 0], 98)) if (strength > 0).any() else 0.0
    if reference <= 0.0:
        return np.zeros(0)
    apart = max(1, round(0.05 * frame_rate))
    peaks, _ = sps.find_peaks(strength, height=threshold * reference, distance=apart)
    return peaks / frame_rate
