"""The pulse of a piece of audio: tempo, where a bar begins, and the key, as a prior is told them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import signal as sps

from engine.analysis.key import KeyEstimate, chroma, estimate_key
from engine.analysis.onsets import onset_strength
from engine.analysis.spectrum import checked
from engine.analysis.tempo import MIN_SECONDS, estimate_tempo

BEATS = 4
STEPS_PER_BEAT = 96
BASS_HZ = 160.0
BASS_SHARE = 2.0  # weight of the bass's onsets beside those of everything
CHROMA_SECONDS = 1.0  # at least, on either side of a beat, to tell the harmony
BEFORE_SECONDS, AFTER_SECONDS = 8.0, 4.0  # of a seam, to hear whether the beat goes on
HEARD_SECONDS = 16.0  # of the end of the audio: what is played now counts


@dataclass(frozen=True)
class PulseEstimate:
    """`bpm`; `downbeat` in seconds from the beginning of the audio, the first of a bar, within [0, bar); `key` or
    None where no pitch was heard; `confidence` 0..1 of the tempo's."""

    bpm: float
    downbeat: float
    key: KeyEstimate | None
    confidence: float


def estimate_pulse(samples: ArrayLike, rate: int, bpm: float | None = None) -> PulseEstimate | None:
    """Pulse of the end of mono `samples` [T] at `rate` Hz; `bpm` where it is known. None where nothing can be told:
    under 3 s of audio, or silence.

    The beat's phase is where onsets, those of the bass above all, gather on the grid of the tempo; the bar begins
    on the beat that has the most bass and the most change of harmony. Raises BadFormat as :func:`estimate_tempo`.
    """
    signal = checked(samples, rate, 0.0, "hearing the pulse")
    skipped = max(0, signal.size - round(HEARD_SECONDS * rate))
    signal = signal[skipped:]
    if signal.size < MIN_SECONDS * rate:
        return None
    tempo = estimate_tempo(signal, rate)
    if tempo.confidence <= 0.0:
        return None
    pace = bpm or tempo.bpm
    key = estimate_key(signal, rate)
    beat = 60.0 / pace
    whole, bass, frames = _strengths(signal, rate)
    first = _beat_phase(whole + BASS_SHARE * bass, frames, beat)
    downbeat = first + beat * _bar_start(signal, rate, bass, frames, first, beat)
    bar = BEATS * beat
    return PulseEstimate(
        pace, (downbeat + skipped / rate) % bar, key if key.confidence > 0 else None, tempo.confidence
    )


def beat_offset(before: ArrayLike, after: ArrayLike, rate: int, bpm: float) -> float | None:
    """How far the beats of `after` lie behind those of `before` continued, in beats from -0.5 to 0.5, above 0: late.

    Both are mono [T] at `rate` Hz, one directly after the other; of `before` the last 8 s are heard, of `after` the
    first 4 s, at `bpm`. None where either has no onsets or less than two beats. Raises BadFormat as
    :func:`engine.analysis.tempo.estimate_tempo`.
    """
    first = checked(before, rate, 0.0, "hearing the beat")[-round(BEFORE_SECONDS * rate) :]
    second = checked(after, rate, 0.0, "hearing the beat")[: round(AFTER_SECONDS * rate)]
    beat = 60.0 / bpm
    if min(first.size, second.size) < 2 * beat * rate:
        return None
    # Heard in one go, so that nothing begins at the seam because the analysis does.
    whole, bass, frames = _strengths(np.concatenate([first, second]), rate)
    strength = whole + BASS_SHARE * bass
    seam = round(first.size / rate * frames)
    if not (strength[:seam].any() and strength[seam:].any()):
        return None
    was, found = (_beat_phase(part, frames, beat) for part in (strength[:seam], strength[seam:]))
    return float(((seam / frames + found - was) / beat + 0.5) % 1.0 - 0.5)


def _strengths(
    signal: NDArray[np.float32], rate: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Onset strength of everything and of the bass, each with mean 1, and the frames a second."""
    whole, frames = onset_strength(signal, rate)
    low = sps.sosfiltfilt(sps.butter(4, BASS_HZ, fs=rate, output="sos"), signal).astype(np.float32)
    bass, _ = onset_strength(low, rate)
    smooth = np.hanning(7)[1:-1] / 3.0
    parts = [np.convolve(part / max(float(part.mean()), 1e-9), smooth, mode="same") for part in (whole, bass)]
    return parts[0], parts[1], frames


def _at(strength: NDArray[np.float64], frames: float, seconds: NDArray[Any]) -> NDArray[np.float64]:
    return np.interp(seconds * frames, np.arange(strength.size), strength, left=0.0, right=0.0)


def _beat_phase(strength: NDArray[np.float64], frames: float, beat: float) -> float:
    phases = np.arange(STEPS_PER_BEAT) / STEPS_PER_BEAT * beat
    grid = phases[:, None] + np.arange(int(strength.size / frames / beat)) * beat  # [phases, beats]
    return float(phases[int(np.argmax(_at(strength, frames, grid).mean(axis=1)))])


def _bar_start(
    signal: NDArray[np.float32],
    rate: int,
    bass: NDArray[np.float64],
    frames: float,
    first: float,
    beat: float,
) -> int:
    """Which of the first four beats begins a bar."""
    count = int((signal.size / rate - first) / beat)
    times = first + np.arange(count) * beat
    weight = _at(bass, frames, times)
    change = np.zeros(count)
    span = round(max(2 * beat, CHROMA_SECONDS) * rate)
    for number, at in enumerate((times * rate).astype(int)):
        before, after = signal[max(0, at - span) : at], signal[at : at + span]
        if min(before.size, after.size) == span:
            change[number] = _distance(chroma(before, rate), chroma(after, rate))
    parts = [part / max(float(part.mean()), 1e-9) for part in (weight, change)]
    score = parts[0] + parts[1]
    return int(np.argmax([score[turn::BEATS].mean() if count > turn else 0.0 for turn in range(BEATS)]))


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return 0.0 if lengths <= 0 else 1.0 - float(one @ other) / lengths
