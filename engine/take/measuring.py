"""Figures of a take's sound. They load nothing that takes long, since every take is measured when it is closed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.audio import AudioFile
from engine.audio.waveform import dbfs
from engine.errors import SegueError
from engine.take.take import PRIME, Metrics, TakeHead, TakeInfo

HEARD_SECONDS = 0.1  # of the prime, before the seam
MOST_PLACES = 64  # that are looked at

Samples = NDArray[np.float32]


def end_of_prime(folder: Path, head: TakeHead) -> Samples:
    """The last of the prime, float32 [frames]; empty without one, or where its file is broken."""
    frames = min(head.prime_frames, round(HEARD_SECONDS * head.rate))
    if not frames:
        return np.zeros(0, np.float32)
    try:
        with AudioFile(folder / PRIME) as file:
            blocks = list(file.blocks(head.prime_frames - frames, frames))
    except SegueError:
        return np.zeros(0, np.float32)
    return np.concatenate(blocks)[:, 0]


def measured(info: TakeInfo, audio: Samples, prime: Samples) -> Metrics:
    """The figures of ``audio``, float32 [frames], the continuation of what ends with ``prime``. ``info``: of the take,
    but for its metrics, of which the clipped samples are kept."""
    from engine.analysis.loudness import measure_loudness

    peak = float(np.max(np.abs(audio), initial=0.0))
    rms = math.sqrt(float(np.mean(np.square(audio, dtype=np.float64)))) if audio.size else 0.0
    loudness = measure_loudness(audio, info.head.rate)
    return Metrics(
        peak_dbfs=dbfs(peak) if peak else None,
        rms_dbfs=dbfs(rms) if rms else None,
        clipped=info.metrics.clipped,
        lufs=loudness.integrated,
        range_lu=loudness.range,
        true_peak_dbtp=loudness.true_peak,
        **_seams(info, audio, prime),
    )


def _seams(info: TakeInfo, audio: Samples, prime: Samples) -> dict[str, float | None]:
    """How much is heard where prime and continuation meet, and where windows do, beside elsewhere."""
    from engine.analysis.seams import SIDE_SECONDS, clicks, spectral_jumps

    rate = info.head.rate
    around = round(HEARD_SECONDS * rate)
    if audio.size + prime.size < 2 * SIDE_SECONDS * rate:
        return {}
    found: dict[str, float | None] = {}
    if prime.size and audio.size:
        there = np.concatenate([prime, audio[:around]])
        found["seam_jump_db"] = _mean(spectral_jumps(there, rate, [prime.size]))
        found["seam_click_db"] = _mean(clicks(there, rate, [prime.size]))
    if audio.size > 2 * around:
        starts = info.window_starts(min(info.tokens, default=0))
        elsewhere = np.linspace(around, audio.size - around, MOST_PLACES).astype(int)
        found["window_jump_db"] = _mean(spectral_jumps(audio, rate, _some(starts)))
        found["usual_jump_db"] = _mean(spectral_jumps(audio, rate, [int(place) for place in elsewhere]))
    return found


def _some(places: list[int]) -> list[int]:
    """All of them, or as many, evenly spread."""
    if len(places) <= MOST_PLACES:
        return places
    return [places[int(at)] for at in np.linspace(0, len(places) - 1, MOST_PLACES)]


def _mean(figures: NDArray[np.float64]) -> float | None:
    known = figures[np.isfinite(figures)]
    return float(known.mean()) if known.size else None
