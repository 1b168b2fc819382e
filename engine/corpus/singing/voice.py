"""The singing voice: words of the bank on notes, as pulses and noise through the vowels' envelopes.

Every pulse is the minimum-phase answer of the envelope at its moment, set at a 64th of a sample; noise
goes through the same envelopes. The same words on the same notes are the same samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy import signal as sp

from engine.corpus.singing.bank import (
    FRAME_S,
    NOISE_CENTRES_HZ,
    RATE,
    Bank,
    Floats,
    Word,
    band_centres,
)
from engine.corpus.singing.singers import Singer
from engine.corpus.voices.signal import SAMPLE_RATE, Signal

_SIZE = 1024
_HOP = 110  # of the noise: 5 ms
_FRACTIONS = 64  # of a sample, to which pulses are set
_HELD = (0.35, 0.6)  # the part of a vowel that is held when it is stretched
_CONSONANT_SHARE = 0.45  # of the time between two syllables, at most
_GLIDE_S = 0.06
_VIBRATO_AFTER_S, _VIBRATO_RISE_S = 0.28, 0.3
_FADE_IN_S, _FADE_OUT_S = 0.004, 0.03

Array = npt.NDArray[np.float64]
Spectra = npt.NDArray[np.complex64]


@dataclass(frozen=True)
class SungWord:
    """A word on notes: it sounds from `start` to `end` (seconds), its vowels begin at `vowels` on MIDI notes
    `pitches`; `velocity` 0..1. `line` is the number of its line in the song.
    """

    text: str
    line: int
    start: float
    end: float
    vowels: tuple[float, ...]
    pitches: tuple[int, ...]
    velocity: float


def lead_in(word: Word) -> float:
    """Seconds of consonants before the first vowel of a word."""
    return word.vowels[0][0] * FRAME_S


def source_frames(word: Word, sung: SungWord) -> Array:
    """Which frame of the recording sounds at every 5 ms of the sung word: rising, shape (n,)."""
    here, there = [0.0], [0.0]
    length = sung.end - sung.start
    count = len(word.voiced)

    def add(moment: float, frame: float) -> None:
        if moment > here[-1] + 1e-6:
            here.append(moment)
            there.append(frame)

    onsets = [v - sung.start for v in sung.vowels]
    for number, (first, last) in enumerate(word.vowels):
        begin = onsets[number]
        add(begin, first)
        more = number + 1 < len(word.vowels)
        until = onsets[number + 1] if more else length
        after = (word.vowels[number + 1][0] if more else count) - last
        consonants = min(after * FRAME_S, _CONSONANT_SHARE * (until - begin))
        natural, room = (last - first) * FRAME_S, until - consonants - begin
        if room > natural:
            add(begin + _HELD[0] * natural, first + _HELD[0] * (last - first))
            add(begin + room - (1 - _HELD[1]) * natural, first + _HELD[1] * (last - first))
        add(begin + room, last)
    add(length, count - 1)
    moments = (np.arange(max(1, int(length / FRAME_S))) + 0.5) * FRAME_S
    return np.interp(moments, here, there)


def pitch_curve(sung: SungWord, before: float | None, singer: Singer, rng: np.random.Generator) -> Array:
    """The word's pitch in Hz at every sample at 22050 Hz: glides from note to note, a late vibrato, slow drift.

    `before` is the MIDI note that was sung just before, None after a rest: then the first note is scooped up to.
    """
    count = round((sung.end - sung.start) * RATE)
    t = np.arange(count) / RATE
    onsets = [v - sung.start for v in sung.vowels]
    notes = [float(p) for p in sung.pitches]
    first = notes[0] - singer.scoop_cents / 100 if before is None else before
    curve = np.full(count, first)
    vibrato = np.zeros(count)
    for number, (onset, note) in enumerate(zip(onsets, notes, strict=True)):
        previous = first if number == 0 else notes[number - 1]
        # The note is reached soon after the vowel began: consonants carry the way there.
        way = np.clip((t - onset + 0.5 * _GLIDE_S) / _GLIDE_S, 0, 1)
        curve += (note - previous) * (0.5 - 0.5 * np.cos(np.pi * way))
        until = onsets[number + 1] if number + 1 < len(onsets) else np.inf
        depth = np.clip((t - onset - _VIBRATO_AFTER_S) / _VIBRATO_RISE_S, 0, 1) * (t < until - 0.03)
        wave = np.sin(2 * np.pi * singer.vibrato_hz * (t - onset - _VIBRATO_AFTER_S))
        vibrato += singer.vibrato_cents / 100 * depth * wave
    corners = np.arange(0, count + RATE // 10, RATE // 10)
    drift = np.interp(np.arange(count), corners, 0.05 * np.clip(rng.standard_normal(len(corners)), -2, 2))
    hertz: Array = 440 * 2 ** ((curve + vibrato + drift - 69) / 12)
    return hertz


def _shaped(word: Word, places: Array, singer: Singer) -> tuple[Floats, Floats]:
    """Envelope in dB and share of noise in the singer's voice, both shape (n, 513), at fractional frames."""
    low = np.clip(places.astype(int), 0, len(word.voiced) - 1)
    high = np.minimum(low + 1, len(word.voiced) - 1)
    part = (places - low).astype(np.float32)[:, None]
    levels = word.envelope[low] * (1 - part) + word.envelope[high] * part
    shares = word.noise[low] * (1 - part) + word.noise[high] * part
    resonance, colour, air, spread = _shapes(singer)
    return levels @ resonance + colour, np.minimum(shares @ spread + air, 1)


@lru_cache(maxsize=32)
def _shapes(singer: Singer) -> tuple[Floats, Floats, Floats, Floats]:
    """A singer's matrix from bands to bins (64, 513), colour in dB (513,) and air (513,), and the matrix of the
    noise's bands to bins (4, 513).
    """
    hertz = np.linspace(0, RATE / 2, _SIZE // 2 + 1)
    octaves = np.log2(np.maximum(hertz, 1000.0) / 1000.0)
    return (
        _interpolation(band_centres(), hertz / singer.formants),
        (singer.tilt_db * octaves).astype(np.float32),
        (singer.breath * np.clip((hertz - 800.0) / 3000.0, 0, 1)).astype(np.float32),
        _interpolation(np.array(NOISE_CENTRES_HZ), hertz),
    )


def _interpolation(points: Array, wanted: Array) -> Floats:
    """The matrix (points, wanted) that interpolates values at `points` linearly to those at `wanted`."""
    return np.array([np.interp(wanted, points, row) for row in np.eye(len(points))], dtype=np.float32)


def _answers(decibels: Floats) -> Spectra:
    """Minimum-phase spectra, shape (n, 513), of levels in dB."""
    cepstrum = fft.irfft(decibels * np.float32(np.log(10) / 20), axis=1)
    half = _SIZE // 2
    cepstrum[:, 1:half] *= 2
    cepstrum[:, half + 1 :] = 0
    logarithm = fft.rfft(cepstrum, axis=1)
    return _polar(np.exp(logarithm.real), logarithm.imag)


def _polar(size: Floats, angle: Floats) -> Spectra:
    out = np.empty(angle.shape, np.complex64)
    out.real = size * np.cos(angle)
    out.imag = size * np.sin(angle)
    return out


@lru_cache(maxsize=1)
def _delays() -> Spectra:
    """Spectra of delays by 0, 1/64, ... 63/64 of a sample, shape (64, 513)."""
    turn = np.linspace(0, np.pi, _SIZE // 2 + 1)
    angle = (-np.arange(_FRACTIONS)[:, None] / _FRACTIONS * turn).astype(np.float32)
    return _polar(np.float32(1) * np.ones_like(angle), angle)


def _add(out: Floats, pieces: Floats, starts: npt.NDArray[np.int64]) -> None:
    for piece, start in zip(pieces, starts, strict=True):
        out[start : start + len(piece)] += piece


def sing_word(
    word: Word, sung: SungWord, before: float | None, singer: Singer, rng: np.random.Generator
) -> Floats:
    """One word at 22050 Hz, shape (n,)."""
    places = source_frames(word, sung)
    hertz = pitch_curve(sung, before, singer, rng)
    count = len(hertz)
    levels, shares = _shaped(word, places, singer)
    voiced = word.voiced[np.clip(places.round().astype(int), 0, len(word.voiced) - 1)]
    spectra = _answers(levels)
    out = np.zeros(count + 2 * _SIZE, np.float32)
    _add_pulses(out, hertz, voiced, spectra, np.sqrt(1 - np.minimum(shares, 1) ** 2))
    _add_noise(out, count, spectra, np.where(voiced[:, None], shares, np.float32(1)), rng)
    return _edges(out, count)


def _frame_of(samples: Array, count: int) -> npt.NDArray[np.intp]:
    return np.minimum((samples / (RATE * FRAME_S)).astype(np.intp), count - 1)


def _add_pulses(
    out: Floats, hertz: Array, voiced: npt.NDArray[np.bool_], spectra: Spectra, share: Floats
) -> None:
    """Adds a pulse wherever the phase of the pitch completes a turn in a voiced frame."""
    phase = np.concatenate([[0.0], np.cumsum(hertz / RATE)])
    at = np.interp(np.arange(1, int(phase[-1]) + 1), phase, np.arange(len(phase)))
    at = at[voiced[_frame_of(at, len(voiced))]]
    if not len(at):
        return
    frame = _frame_of(at, len(voiced))
    ticks = np.round(at * _FRACTIONS).astype(np.intp)
    start = ticks // _FRACTIONS
    period = RATE / hertz[np.minimum(start, len(hertz) - 1)]
    size = share[frame] * np.sqrt(period).astype(np.float32)[:, None]
    pulses = fft.irfft(spectra[frame] * _delays()[ticks % _FRACTIONS] * size, axis=1)
    _add(out, pulses, start)


def _add_noise(out: Floats, count: int, spectra: Spectra, share: Floats, rng: np.random.Generator) -> None:
    """Adds white noise through the spectra, in windows of 10 ms around the middle of every 5 ms."""
    steps = np.arange(0, count, _HOP)
    frame = _frame_of((steps + _HOP / 2).astype(np.float64), len(spectra))
    source = rng.standard_normal(count + 3 * _HOP).astype(np.float32)
    window = np.hanning(2 * _HOP + 1)[:-1].astype(np.float32)
    pieces = source[steps[:, None] + np.arange(2 * _HOP)[None, :]] * window
    answers = fft.rfft(pieces, _SIZE, axis=1) * spectra[frame] * share[frame]
    # The first window begins half a step before the word.
    early = _HOP // 2
    noise = np.zeros(early + len(out) + _SIZE, np.float32)
    _add(noise, fft.irfft(answers, axis=1), steps)
    out += noise[early : early + len(out)]


def _edges(out: Floats, count: int) -> Floats:
    """The first `count` samples, with fades."""
    rise, fall = min(round(_FADE_IN_S * RATE), count), min(round(_FADE_OUT_S * RATE), count)
    word = out[:count].copy()
    word[:rise] *= np.linspace(0, 1, rise, dtype=np.float32)
    word[count - fall :] *= np.cos(np.linspace(0, np.pi / 2, fall, dtype=np.float32)) ** 2
    return word


def render_voice(
    words: tuple[SungWord, ...], singer: Singer, bank: Bank, count: int, entropy: tuple[int, ...]
) -> Signal:
    """The voice alone, mono at 44.1 kHz, shape (count,): silence where nobody sings.

    The words are in order of time; `entropy` seeds their noise. Raises BadFormat for a word that the bank lacks.
    """
    half = np.zeros(count // 2 + _SIZE + 2, np.float32)
    before, ended = None, -1.0
    for number, sung in enumerate(words):
        rng = np.random.Generator(np.random.PCG64([*entropy, number]))
        note = before if sung.start - ended < 0.12 else None
        piece = sing_word(bank.word(singer.voice, sung.text), sung, note, singer, rng)
        start = round(sung.start * RATE)
        end = min(len(half), start + len(piece))
        half[start:end] += np.float32(sung.velocity) * piece[: end - start]
        before, ended = float(sung.pitches[-1]), sung.end
    full = sp.resample_poly(half, 2, 1)[:count]
    assert SAMPLE_RATE == 2 * RATE
    out = np.zeros(count, np.float32)
    out[: len(full)] = full
    return out
