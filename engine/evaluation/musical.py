"""Does a continuation go on with its prime? Tempo, key, loudness, timbre, and whether it has gone dead."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.analysis.key import estimate_key
from engine.analysis.loudness import integrated_loudness
from engine.analysis.spectrum import mel_spectrogram
from engine.analysis.tempo import estimate_tempo
from engine.request import Frozen

TEMPO_TOLERANCE = 0.04  # of the prime's tempo, as in the field's tempo contests
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

    @property
    def collapsed(self) -> bool:
        """Whether more than half of the continuation is silent or stands still."""
        return self.silent + self.frozen > 0.5


def compare(prime: NDArray[np.float32], continuation: NDArray[np.float32], rate: int) -> Comparison:
    """Compares `continuation` [T] with `prime` [T], both mono at `rate` Hz and at least 3 s long.

    Raises TooShort below that.
    """
    wanted, found = estimate_tempo(prime, rate), estimate_tempo(continuation, rate)
    pulse = found.confidence > 0.0
    home, there = estimate_key(prime, rate), estimate_key(continuation, rate)
    difference = integrated_loudness(continuation, rate) - integrated_loudness(prime, rate)
    silent, frozen = dead_shares(continuation, rate)
    pitched = there.confidence > 0.0
    same = (home.tonic, home.mode) == (there.tonic, there.mode)
    key: Key = "same" if same else "relative" if home.agrees(there) else "other"
    return Comparison(
        prime_bpm=wanted.bpm,
        bpm=found.bpm if pulse else None,
        tempo_error_percent=100.0 * abs(found.bpm / wanted.bpm - 1.0) if pulse else None,
        tempo=tempo_verdict(wanted.bpm, found.bpm) if pulse else "none",
        prime_key=home.name,
        key_found=there.name if pitched else None,
        key=key if pitched else "none",
        loudness_difference=difference if math.isfinite(difference) else None,
        timbre_db=timbre_difference(prime, continuation, rate),
        silent=silent,
        frozen=frozen,
    )


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
