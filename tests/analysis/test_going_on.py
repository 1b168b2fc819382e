"""Whether beat and loudness go on after a seam: drums that are shifted, noise that fades, by known amounts."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis import beat_offset, loudness_drift
from engine.errors import TooShort

from .synth import RATE, drum_loop, sine


@pytest.mark.parametrize("late_ms", [0, 30, 100, -60])
def test_drums_that_go_on_late_or_early(late_ms: int) -> None:
    drums = 0.5 * drum_loop(120, 14.0)
    seam, shift = round(6.2 * RATE), round(late_ms / 1000 * RATE)  # not on a beat
    found = beat_offset(drums[:seam], drums[seam - shift : seam - shift + 5 * RATE], RATE, 120.0)
    assert found is not None
    assert found * 500 == pytest.approx(late_ms, abs=8)  # a beat is 500 ms; phases are told apart to 5


def test_half_a_beat_off_is_as_far_as_it_goes() -> None:
    drums = 0.5 * drum_loop(100, 14.0)
    seam = 6 * RATE
    found = beat_offset(drums[:seam], drums[seam - round(0.3 * RATE) :], RATE, 100.0)
    assert found is not None and abs(found) == pytest.approx(0.5, abs=0.02)


def test_no_beat_no_offset() -> None:
    drums = 0.5 * drum_loop(120, 6.0)
    assert beat_offset(drums, np.zeros(4 * RATE, np.float32), RATE, 120.0) is None
    assert beat_offset(drums, drums[: RATE // 2], RATE, 120.0) is None  # less than two beats


def test_a_fade_by_six_decibels_is_a_drift_of_six() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(60 * RATE)
    fade = 10.0 ** (np.linspace(0.0, -6.0, noise.size) / 20.0)
    assert loudness_drift((noise * fade).astype(np.float32), RATE) == pytest.approx(-6.0, abs=0.15)
    assert loudness_drift(noise.astype(np.float32), RATE) == pytest.approx(0.0, abs=0.15)


def test_silence_drifts_nowhere_and_little_audio_cannot_be_told() -> None:
    assert loudness_drift(np.zeros(10 * RATE, np.float32), RATE) is None
    with pytest.raises(TooShort, match=r"^loudness drift needs at least 4 s of audio, not 3\.00 s$"):
        loudness_drift(sine(440.0, 3.0), RATE)
