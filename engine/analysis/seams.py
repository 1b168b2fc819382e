"""How much a seam is heard: the jump of the spectrum there, and clicks, against the same audio elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.analysis.spectrum import checked, mel_bank

SIDE_SECONDS = 0.02  # of sound that is compared on either side of a place
BANDS = 40
FLOOR_DB = -80.0  # below full scale; what is quieter is silence
CLICK_SECONDS = 0.0005
ORDER = 16  # of the linear prediction that a click breaks


def spectral_jumps(samples: NDArray[np.float32], rate: int, places: Sequence[int]) -> NDArray[np.float64]:
    """Mean difference in dB between the mel spectra of the 20 ms before and after each of ``places``: [places].

    ``samples`` float32 [T]. Places nearer than that to either end give NaN.
    """
    checked(samples, rate, 2 * SIDE_SECONDS, "a spectral jump")
    side = round(SIDE_SECONDS * rate)
    bank = mel_bank(rate, side, BANDS, 60.0, rate / 2)
    window = np.hanning(side + 1)[:-1]

    def spectrum(start: int) -> NDArray[np.float64]:
        power = np.abs(np.fft.rfft(samples[start : start + side] * window) / window.sum()) ** 2
        return np.asarray(10.0 * np.log10(np.maximum(bank @ power, 10.0 ** (FLOOR_DB / 10.0))))

    return np.array(
        [
            float(np.abs(spectrum(place) - spectrum(place - side)).mean())
            if side <= place <= samples.size - side
            else np.nan
            for place in places
        ]
    )


def clicks(samples: NDArray[np.float32], rate: int, places: Sequence[int]) -> NDArray[np.float64]:
    """Energy in dB of what linear prediction fails at within half a millisecond of each place, over its mean in the
    20 ms around: [places], 0 for a place like any other. Places too near to an end give NaN."""
    side, near = round(SIDE_SECONDS * rate), max(1, round(CLICK_SECONDS * rate))
    found = []
    for place in places:
        if not side <= place <= samples.size - side:
            found.append(np.nan)
            continue
        error = _prediction_error(samples[place - side : place + side].astype(np.float64)) ** 2
        middle = side - ORDER
        found.append(
            10.0 * np.log10((error[middle - near : middle + near].mean() + 1e-12) / (error.mean() + 1e-12))
        )
    return np.array(found)


def _prediction_error(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """What remains of a signal [n] after the best linear prediction from ``ORDER`` samples: [n - ORDER]."""
    past = np.lib.stride_tricks.sliding_window_view(signal, ORDER)[:-1]
    weights, *_ = np.linalg.lstsq(past, signal[ORDER:], rcond=1e-6)
    return np.asarray(signal[ORDER:] - past @ weights)
