"""Key of a piece of audio: tuned chroma against profiles of scales, major and minor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import signal as sps

from engine.analysis.spectrum import checked, magnitude_blocks
from engine.request import NOTES

MIN_SECONDS = 1.0
LOWEST_HZ, HIGHEST_HZ = 55.0, 2200.0
SLOPE = 0.5  # nepers an octave
# The scale is decided first, by how well each note fits the major scale on C (and its relative minor): both tonics
# and the major third speak most for it, the flat seventh, the tritone and the flat sixth most against. Twelve weights,
# fitted on one half of 168 made songs by logistic regression; on the other half they name the key or its relative for
# 80 % of pieces of 6 s, 86 % of 8 s, 92 % of 16 s (the tonal profiles below alone: 69, 81 and 89 %), and two pieces
# that follow one another, of 6 and of 16 s, agree in 85 % (69 %).
SCALE = (1.5, -0.6, 0.1, -0.6, 1.3, -0.4, -1.4, 0.5, -1.1, 1.6, -1.6, 0.7)
SCALE_LOWEST_HZ, SCALE_SLOPE = 127.0, 0.25  # the bass and drums below say little of it; melodies do
# Then which of the two tonics, after Temperley (2001), harder on notes outside the scale. From the tonic upwards.
MAJOR = (5.0, 0.5, 3.0, 0.5, 4.0, 3.0, 0.8, 4.5, 0.5, 3.0, 0.8, 2.5)
MINOR = (5.0, 0.5, 3.0, 4.2, 0.5, 3.0, 0.5, 4.5, 2.0, 1.2, 3.0, 0.8)

EVEN = 0.5  # chroma whose deviation is below this share of its mean is discounted


@dataclass(frozen=True)
class KeyEstimate:
    """`tonic` 0 (C) to 11 (B), `mode`, and `confidence` 0..1: its lead over all but the relative key.

    Confidence 0 means that no pitch was heard; tonic and mode then say nothing.
    """

    tonic: int
    mode: Literal["major", "minor"]
    confidence: float

    @property
    def name(self) -> str:
        """Such as `F# minor`."""
        return f"{NOTES[self.tonic]} {self.mode}"

    def relative(self) -> KeyEstimate:
        """The relative key, which has the same notes: A minor for C major, and back."""
        if self.mode == "major":
            return KeyEstimate((self.tonic + 9) % 12, "minor", self.confidence)
        return KeyEstimate((self.tonic + 3) % 12, "major", self.confidence)

    def agrees(self, other: KeyEstimate) -> bool:
        """Whether `other` is the same key or the relative one."""
        mine = {(self.tonic, self.mode), (self.relative().tonic, self.relative().mode)}
        return (other.tonic, other.mode) in mine


def estimate_key(samples: ArrayLike, rate: int) -> KeyEstimate:
    """Key of mono `samples` [T] at `rate` Hz, by correlation with the profiles above.

    Raises TooShort below 1 s, BadFormat for more than one channel or samples that are not finite.
    """
    pitches = _pitches(samples, rate)
    whole, upper = _folded(pitches, LOWEST_HZ, SLOPE), _folded(pitches, SCALE_LOWEST_HZ, SCALE_SLOPE)
    if not whole.any():
        return KeyEstimate(0, "major", 0.0)
    shape = np.sqrt(upper if upper.any() else whole)
    scores = np.array([_correlation(shape, np.roll(SCALE, tonic)) for tonic in range(12)])
    scale = int(scores.argmax())
    lead = float(scores[scale] - np.delete(scores, scale).max())
    # Correlation looks at shape alone; the nearly even chroma of noise has a shape too, but no relief.
    relief = min(1.0, float(whole.std() / whole.mean() / EVEN)) ** 2
    major = KeyEstimate(scale, "major", float(np.clip(lead * relief, 0.0, 1.0)))
    minor = major.relative()
    lies = _correlation(whole, np.roll(MAJOR, scale)) >= _correlation(whole, np.roll(MINOR, minor.tonic))
    return major if lies else minor


def chroma(samples: ArrayLike, rate: int) -> NDArray[np.float64]:
    """Weight of the 12 pitch classes from C, float64 [12] summing to 1 (all zero without pitch).

    Spectral peaks from 55 to 2200 Hz, placed between the bins by a parabola, tuned to the piece's own
    concert pitch. Weighted by the root of the magnitude, so that loud moments do not decide alone, and less
    with height above middle C, where partials outnumber notes.
    """
    return _folded(_pitches(samples, rate), LOWEST_HZ, SLOPE)


def _pitches(samples: ArrayLike, rate: int) -> tuple[NDArray, NDArray]:
    """MIDI pitch and weight of all spectral peaks."""
    signal = checked(samples, rate, MIN_SECONDS, "key estimation")
    n_fft = 1 << round(np.log2(rate * 0.186))
    pitches, weights = [np.zeros(0)], [np.zeros(0)]
    for block in magnitude_blocks(signal, n_fft, n_fft // 4):
        # What lasts is tonal, what is broad is percussive: the median over time keeps the former.
        pitch, weight = _peaks(_sustained(block), rate, n_fft)
        pitches.append(pitch)
        weights.append(weight)
    return np.concatenate(pitches), np.concatenate(weights)


def _folded(peaks: tuple[NDArray, NDArray], lowest: float, slope: float) -> NDArray[np.float64]:
    """Pitch classes [12] of peaks from ``lowest`` Hz on, their weight falling by ``slope`` nepers an octave above
    middle C."""
    pitch, loud = peaks
    inside = pitch >= 69.0 + 12.0 * np.log2(lowest / 440.0)
    weight = loud * inside * np.exp(-slope * np.maximum(0.0, (pitch - 60.0) / 12.0))
    if weight.sum() <= 0.0:
        return np.zeros(12)
    tuning = np.angle((weight * np.exp(2j * np.pi * pitch)).sum()) / (2 * np.pi)
    classes = pitch - tuning
    nearest = np.round(classes)
    near = np.exp(-0.5 * ((classes - nearest) / 0.2) ** 2) * weight
    folded = np.bincount(np.mod(nearest, 12).astype(int), near, minlength=12)
    return folded / max(float(folded.sum()), 1e-12)


def _sustained(magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Magnitudes [frames, bins] less what a single frame holds alone, such as a drum hit."""
    if magnitudes.shape[0] < 3:
        return magnitudes
    return np.minimum(magnitudes, sps.medfilt2d(magnitudes, (3, 1)))


def _peaks(magnitudes: NDArray[np.float32], rate: int, n_fft: int) -> tuple[NDArray, NDArray]:
    """MIDI pitch and weight of the spectral peaks of frames [frames, bins], down to 40 dB below their top."""
    low, high = (int(hz * n_fft / rate) for hz in (LOWEST_HZ, HIGHEST_HZ))
    here, left, right = (magnitudes[:, low + s : high + s] for s in (0, -1, 1))
    ceiling = magnitudes[:, low:high].max(axis=1, keepdims=True)
    rows, columns = np.nonzero((here > left) & (here >= right) & (here > 0.01 * ceiling) & (here > 1e-6))
    a, b, c = (np.log(np.maximum(x[rows, columns], 1e-12)) for x in (left, here, right))
    shift = 0.5 * (a - c) / np.minimum(a - 2 * b + c, -1e-9)
    hertz = (columns + low + shift) * rate / n_fft
    pitch = 69.0 + 12.0 * np.log2(hertz / 440.0)
    return pitch, np.sqrt(here[rows, columns])


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))
