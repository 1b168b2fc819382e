"""From a spoken word to what the bank keeps of it: envelope, noise, voicing and vowels; only to make the bank."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.corpus.singing.bank import FLOOR_DB, FRAME_S, Word, band_centres
from engine.corpus.singing.speaking import Spoken

Array = npt.NDArray[np.float64]

_BINS = 2048
_UNVOICED = frozenset(("p", "t", "k", "f", "s", "S", "T", "h", "tS", "t#", "?"))
_VOWEL_LETTERS = "aeiouAEIOU@03VQI"
# How much of each of the four bands is noise: in vowels and the like, and in voiced fricatives. A rule, not measured:
# the wavering pitch of the spoken voices would pass for noise.
_SOFT = (0.0, 0.05, 0.15, 0.35)
_HISSING = (0.15, 0.35, 0.8, 0.95)
_FRICATIVES = frozenset(("v", "D", "z", "Z", "dZ"))
# How an unvoiced sound is windowed: as if at this pitch.
_UNVOICED_HZ = 400.0
_QUIET_DB = -38.0


def is_vowel(phoneme: str) -> bool:
    """Whether a phoneme of espeak-ng's English is a vowel."""
    return phoneme[:1] in _VOWEL_LETTERS


def tone(samples: Array, rate: int, low: float = 60.0, high: float = 320.0) -> float:
    """The pitch in Hz of samples of one tone, from their autocorrelation."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 4 * len(samples))) ** 2
    lags = np.fft.irfft(spectrum)[: len(samples)]
    window = np.hanning(len(samples))
    taper = np.fft.irfft(np.abs(np.fft.rfft(window, 4 * len(samples))) ** 2)[: len(samples)]
    first, last = int(rate / high), int(rate / low)
    even = lags[: last + 2] / np.maximum(taper[: last + 2], 1e-9)
    # The first peak that is nearly the highest: later ones are multiples of the period.
    inner = even[first : last + 1]
    peaks = [i for i in range(first, last + 1) if even[i] >= even[i - 1] and even[i] > even[i + 1]] or [
        first + int(np.argmax(inner))
    ]
    best = max(even[i] for i in peaks)
    at = next(i for i in peaks if even[i] >= 0.9 * best)
    left, middle, right = even[at - 1 : at + 2]
    shift = 0.5 * (left - right) / (left - 2 * middle + right) if left + right != 2 * middle else 0.0
    return rate / (at + shift)


def _smooth(power: Array, width: float) -> Array:
    """The mean over `width` bins around every bin, mirrored at both ends; shape (bins,)."""
    edge = int(np.ceil(width)) + 1
    wide = np.concatenate([power[edge:0:-1], power, power[-2 : -edge - 2 : -1]])
    total = np.concatenate([[0.0], np.cumsum(wide)])
    at = np.arange(len(power)) + edge + 0.5
    grid = np.arange(len(total))
    return (np.interp(at + width / 2, grid, total) - np.interp(at - width / 2, grid, total)) / width


def envelope(samples: Array, rate: int, at: float, pitch: float) -> Array:
    """The power spectrum at second `at` without the harmonics of `pitch` Hz, in dB; shape (1025,).

    A window of three periods, a mean over two thirds of the distance of the harmonics, and a lifter that takes out
    what ripple is left (Morise's CheapTrick).
    """
    half = round(1.5 * rate / pitch)
    centre = round(at * rate)
    piece = np.zeros(2 * half + 1)
    low, high = max(0, centre - half), min(len(samples), centre + half + 1)
    piece[low - centre + half : high - centre + half] = samples[low:high]
    window = np.hanning(2 * half + 3)[1:-1]
    piece = piece * window
    piece -= window * piece.sum() / window.sum()
    power = np.abs(np.fft.rfft(piece / np.sqrt(np.sum(window**2)), _BINS)) ** 2
    step = rate / _BINS
    below = int(pitch / step)
    power[: below + 1] += power[below::-1]
    power = _smooth(power, pitch * 2 / 3 / step) + 1e-12
    quefrency = np.arange(_BINS) / rate
    quefrency = np.minimum(quefrency, _BINS / rate - quefrency)
    lifter = np.sinc(pitch * quefrency) * (1.3 - 0.3 * np.cos(2 * np.pi * pitch * quefrency))
    cepstrum = np.fft.irfft(np.log(power), _BINS) * lifter
    return 10 / np.log(10) * np.fft.rfft(cepstrum, _BINS).real


def hear(spoken: Spoken) -> Word:
    """What the bank keeps of a word; every vowel's level is 0 dB in all, so words are equally loud."""
    samples, rate = spoken.samples, spoken.rate
    names = [name for name, _ in spoken.phonemes]
    starts = [start for _, start in spoken.phonemes]
    end = next(start for name, start in spoken.phonemes if name.startswith("_"))
    spans = [
        (name, start, min(following, end))
        for name, start, following in zip(names, starts, [*starts[1:], end], strict=True)
        if not name.startswith("_")
    ]
    longest = max((s for s in spans if is_vowel(s[0])), key=lambda s: s[2] - s[1])
    middle = slice(round((longest[1] + 0.03) * rate), round((longest[2] - 0.04) * rate))
    pitch = tone(samples[middle], rate)
    begin = _first_sound(samples, rate, spans[0][1])
    count = int((end - begin) / FRAME_S)
    at = begin + (np.arange(count) + 0.5) * FRAME_S
    voiced = np.ones(count, bool)
    shares = np.tile(np.array(_SOFT, np.float32), (count, 1))
    vowels = []
    for name, start, stop in spans:
        first, last = (round((t - begin) / FRAME_S) for t in (start, stop))
        if is_vowel(name):
            vowels.append((max(first, 0), min(last, count)))
        elif name in _UNVOICED:
            voiced[max(first, 0) : last] = False
            shares[max(first, 0) : last] = 1.0
        elif name in _FRICATIVES:
            shares[max(first, 0) : last] = _HISSING
    rows = []
    centres = band_centres()
    hertz = np.arange(_BINS // 2 + 1) * rate / _BINS
    for moment, sounding in zip(at, voiced, strict=True):
        level = envelope(samples, rate, moment, pitch if sounding else _UNVOICED_HZ)
        rows.append(np.interp(centres, hertz, level))
    levels = np.array(rows)
    levels -= _loudness(levels, vowels)
    return Word(
        np.maximum(levels, FLOOR_DB).astype(np.float32),
        shares,
        voiced,
        tuple(vowels),
    )


def _first_sound(samples: Array, rate: int, stated: float) -> float:
    """When a word is first heard: not before its first phoneme, nor while it is 38 dB below its loudest."""
    hop = rate // 1000
    level = np.sqrt(np.convolve(samples**2, np.ones(3 * hop) / (3 * hop), "same"))[::hop]
    loud = np.flatnonzero(level > level.max() * 10 ** (_QUIET_DB / 20))
    return max(stated, float(loud[0]) / 1000 - 0.002)


def _loudness(levels: Array, vowels: list[tuple[int, int]]) -> float:
    """Power in dB of the vowels' middles, over all frequencies."""
    hertz = np.linspace(0, band_centres()[-1], 512)
    found = []
    for first, last in vowels:
        quarter = (last - first) // 4
        row = np.interp(hertz, band_centres(), levels[first + quarter : last - quarter].mean(axis=0))
        found.append(np.mean(10 ** (row / 10)))
    return float(10 * np.log10(np.max(found)))
