"""Openly defined features of sound, 64 a second, that distances and the style classifier rest on. numpy only.

Every second of audio gives a row, heard over the two seconds around it, from log-mel levels of 20 bands between 40 Hz
and 16 kHz (Hann windows of 2,048 samples, a hundredth of a second apart, floored 80 dB below full scale):

- columns 0 to 19: mean level of every band, dB;
- columns 20 to 39: its standard deviation, dB;
- columns 40 to 63: how strongly the level swings, dB: for each quarter of the bands (5, from the lowest up) the root
  mean square of its mean level's swings of 0.5 to 1, 1 to 2, 2 to 4, 4 to 8, 8 to 16 and 16 to 32 Hz.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.analysis.spectrum import checked, mel_spectrogram

BANDS, LOW_HZ, HIGH_HZ = 20, 40.0, 16000.0
N_FFT = 2048
FRAMES = 100  # a second
FLOOR_DB = -80.0
HEARD_SECONDS = 2.0
GROUPS = 4
SWINGS_HZ = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
COLUMNS = 2 * BANDS + GROUPS * (len(SWINGS_HZ) - 1)

Features = NDArray[np.float64]


def second_features(samples: NDArray[np.float32], rate: int) -> Features:
    """Features float64 [seconds, 64] of mono ``samples`` [T] at ``rate`` Hz; seconds = whole seconds less one.

    Raises TooShort below 2 s, BadFormat for more than one channel or samples that are not finite.
    """
    signal = checked(samples, rate, HEARD_SECONDS, "features")
    power = mel_spectrogram(signal, rate, N_FFT, round(rate / FRAMES), BANDS, LOW_HZ, HIGH_HZ)
    level = 10.0 * np.log10(np.maximum(power.astype(np.float64), 10.0 ** (FLOOR_DB / 10.0)))
    width = round(HEARD_SECONDS * FRAMES)
    starts = range(0, signal.size * FRAMES // rate - width + 1, FRAMES)
    return np.stack([_row(level[:, start : start + width]) for start in starts])


def _row(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """One row from levels [BANDS, frames]."""
    groups = level.reshape(GROUPS, BANDS // GROUPS, -1).mean(axis=1)
    return np.concatenate([level.mean(axis=1), level.std(axis=1), swings(groups).reshape(-1)])


def swings(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root mean square of the swings of ``levels`` [n, frames] in each range of SWINGS_HZ: [n, 6].

    A sine swing of amplitude a dB counts a / sqrt(2) in its range.
    """
    frames = levels.shape[1]
    window = np.hanning(frames + 1)[:-1]
    centred = levels - levels.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(centred * window, axis=1)) ** 2
    power *= 2.0 / (frames * (window**2).sum())  # Parseval: the sum over all frequencies is the variance
    hertz = np.fft.rfftfreq(frames, 1.0 / FRAMES)
    parts = [power[:, (hertz >= low) & (hertz < high)].sum(axis=1) for low, high in pairwise(SWINGS_HZ)]
    return np.sqrt(np.stack(parts, axis=1))
