"""Does a continuation go on with its prime? Tempo, beat, key, loudness, timbre, the seam, and whether it is dead."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.analysis.key import KeyEstimate, estimate_key
from engine.analysis.loudness import SHORT_TERM_SECONDS, integrated_loudness, loudness_drift
from engine.analysis.pulse import beat_offset
from engine.analysis.seams import SIDE_SECONDS, clicks, spectral_jumps
from engine.analysis.spectrum import mel_spectrogram
from engine.analysis.tempo import estimate_tempo
from engine.evaluation.truth import Truth
from engine.request import Frozen

TEMPO_TOLERANCE = 0.04  # of the prime's tempo, as in the field's tempo contests
CLOSE = 0.02  # and what is close enough for a DAW's grid to hold a continuation
USUAL_PLACES = 200  # of the prime, whose median jump says what is usual in this music
OCTAVES = (2.0, 3.0, 0.5, 1.0 / 3.0)
SILENT_DBFS = -60.0  # RMS of a tenth of a second
FROZEN_DB = (
    0.5  # mean change of the spectrum from one tenth of a second to the next, under which nothing happens
)
SPECTRUM_FLOOR_DB = -60.0  # under the loudest band of the prime

Tempo = Literal["same", "octave", "other", "none"]
Key = Literal["same", "relative", "other", "none"]


class Comparison(Frozen):
    """One continuation against its prime.

    ``tempo``: within 4 % of the prime's ("same"), of its half, third, double or triple ("octave"), neither
    ("other"), or no pulse at all ("none"); ``tempo_error_percent`` is unsigned, None without a pulse.
    ``key``: estimated from the audio of both. ``loudness_difference``: LU, positive when louder than the
    prime, None when silent. ``timbre_db``: mean difference of the long-term mel spectra. ``silent``,
    ``frozen``: shares 0..1 of the time below -60 dBFS, and of the sounding time in which the spectrum stands
    still.

    ``true_bpm``, ``true_key``: what the song's metadata says, None without; ``tempo_true_error_percent`` is that of
    the continuation from it, ``key_true`` its key's agreement with it. ``beat_offset``: how late the beat goes on after
    the seam, in beats from -0.5 to 0.5 at the true tempo, else the prime's; ``beat_offset_ms`` the same in time; None
    without onsets. ``loudness_drift``: LU from the continuation's beginning to its end. ``seam_db``: jump of the mel
    spectrum at the seam, ``usual_db`` the median one at places of the prime; ``seam_click_db``: 0 without a click.
    """

    prime_bpm: float
    bpm: float | None
    tempo_error_percent: float | None
    tempo: Tempo
    prime_key: str
    key_found: str | None
    key: Key
    loudness_difference: float | None
    timbre_db: float
    silent: float
    frozen: float
    true_bpm: float | None = None
    true_key: str | None = None
    tempo_true_error_percent: float | None = None
    key_true: Key | None = None
    beat_offset: float | None = None
    beat_offset_ms: float | None = None
    loudness_drift: float | None = None
    seam_db: float | None = None
    usual_db: float | None = None
    seam_click_db: float | None = None

    @property
    def collapsed(self) -> bool:
        """Whether more than half of the continuation is silent or stands still."""
        return self.silent + self.frozen > 0.5


def compare(
    prime: NDArray[np.float32], continuation: NDArray[np.float32], rate: int, truth: Truth | None = None
) -> Comparison:
    """Compares `continuation` [T] with `prime` [T], both mono at `rate` Hz and at least 3 s long; `truth`: what the
    metadata says of their song.

    Raises TooShort below that.
    """
    wanted, found = estimate_tempo(prime, rate), estimate_tempo(continuation, rate)
    pulse = found.confidence > 0.0
    home, there = estimate_key(prime, rate), estimate_key(continuation, rate)
    difference = integrated_loudness(continuation, rate) - integrated_loudness(prime, rate)
    silent, frozen = dead_shares(continuation, rate)
    pitched = there.confidence > 0.0
    pace = truth.bpm if truth else wanted.bpm
    offset = beat_offset(prime, continuation, rate, pace)
    seam, usual, click = seam_figures(prime, continuation, rate)
    long = continuation.size >= (SHORT_TERM_SECONDS + 1.0) * rate
    return Comparison(
        prime_bpm=wanted.bpm,
        bpm=found.bpm if pulse else None,
        tempo_error_percent=100.0 * abs(found.bpm / wanted.bpm - 1.0) if pulse else None,
        tempo=tempo_verdict(wanted.bpm, found.bpm) if pulse else "none",
        prime_key=home.name,
        key_found=there.name if pitched else None,
        key=key_verdict(home, there) if pitched else "none",
        loudness_difference=difference if math.isfinite(difference) else None,
        timbre_db=timbre_difference(prime, continuation, rate),
        silent=silent,
        frozen=frozen,
        true_bpm=truth.bpm if truth else None,
        true_key=truth.key.name if truth else None,
        tempo_true_error_percent=100.0 * abs(found.bpm / truth.bpm - 1.0) if truth and pulse else None,
        key_true=(key_verdict(truth.key, there) if pitched else "none") if truth else None,
        beat_offset=offset,
        beat_offset_ms=None if offset is None else 60_000.0 * offset / pace,
        loudness_drift=loudness_drift(continuation, rate) if long else None,
        seam_db=seam,
        usual_db=usual,
        seam_click_db=click,
    )


def key_verdict(wanted: KeyEstimate, found: KeyEstimate) -> Key:
    """How the key `found` relates to the one `wanted`."""
    if (wanted.tonic, wanted.mode) == (found.tonic, found.mode):
        return "same"
    return "relative" if wanted.agrees(found) else "other"


def seam_figures(
    prime: NDArray[np.float32], continuation: NDArray[np.float32], rate: int
) -> tuple[float, float, float]:
    """Jump of the spectrum at the seam in dB, the median jump at places of the prime, and the click at the seam in dB
    (:mod:`engine.analysis.seams`)."""
    joined = np.concatenate([prime, continuation])
    side = round(SIDE_SECONDS * rate)
    places = np.linspace(side, prime.size - side, USUAL_PLACES).astype(int).tolist()
    jumps = spectral_jumps(joined, rate, [prime.size, *places])
    click = clicks(joined, rate, [prime.size])
    return float(jumps[0]), float(np.median(jumps[1:])), float(click[0])


def tempo_verdict(wanted: float, found: float) -> Tempo:
    """How `found` bpm relates to `wanted` bpm, with a tolerance of 4 %."""
    if abs(found / wanted - 1.0) <= TEMPO_TOLERANCE:
        return "same"
    return "octave" if any(abs(found / (wanted * o) - 1.0) <= TEMPO_TOLERANCE for o in OCTAVES) else "other"


def timbre_difference(prime: NDArray[np.float32], continuation: NDArray[np.float32], rate: int) -> float:
    """Mean absolute difference in dB of the two long-term spectra over 40 mel bands, each at its own level.

    Bands 60 dB below the loudest one count as that. 0 is the same balance of the spectrum.
    """
    balance = []
    for signal in (prime, continuation):
        power = mel_spectrogram(signal, rate, 2048, 1024, 40, 30.0, 16000.0).mean(axis=1)
        level = 10.0 * np.log10(np.maximum(power, 1e-20))
        balance.append(np.maximum(level - level.max(), SPECTRUM_FLOOR_DB))
    return float(np.abs(balance[0] - balance[1]).mean())


def dead_shares(signal: NDArray[np.float32], rate: int) -> tuple[float, float]:
    """Shares 0..1 of the tenths of a second of `signal` [T] that are silent, and that sound but do not
    change.
    """
    step = round(0.1 * rate)
    pieces = signal[: signal.size // step * step].reshape(-1, step)
    rms = np.sqrt((pieces.astype(np.float64) ** 2).mean(axis=1))
    silent = rms < 10.0 ** (SILENT_DBFS / 20.0)
    power = mel_spectrogram(signal, rate, 4096, step, 40, 30.0, 16000.0)[:, : len(pieces)]
    level = 10.0 * np.log10(np.maximum(power, max(float(power.max()), 1e-20) * 1e-6))
    change = np.abs(np.diff(level, axis=1)).mean(axis=0)
    frozen = np.zeros(len(pieces), dtype=bool)
    frozen[1:] = change < FROZEN_DB
    return float(silent.mean()), float((frozen & ~silent).mean())
