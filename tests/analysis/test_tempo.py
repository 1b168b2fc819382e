from __future__ import annotations

import numpy as np
import pytest

from engine.analysis import estimate_tempo, onset_times
from engine.errors import BadFormat, TooShort

from .synth import RATE, clicks, drum_loop


@pytest.mark.parametrize("bpm", [70, 84.5, 100, 117.3, 128, 140, 155])
@pytest.mark.parametrize("seconds", [4.0, 12.0])
def test_click_tracks_of_known_tempo(bpm: float, seconds: float) -> None:
    found = estimate_tempo(clicks(bpm, seconds), RATE)
    assert found.bpm == pytest.approx(bpm, rel=0.01)
    assert found.confidence > 0.5


def test_fast_clicks_may_be_taken_for_half_time_but_for_nothing_else() -> None:
    found = estimate_tempo(clicks(174, 8.0), RATE).bpm
    assert min(abs(found - 174), abs(found - 87)) < 1.0


@pytest.mark.parametrize("bpm", [82, 96, 120, 135, 150])
def test_drum_loops_with_eighth_hats_are_not_taken_for_double_time(bpm: float) -> None:
    assert estimate_tempo(drum_loop(bpm, 6.0), RATE).bpm == pytest.approx(bpm, rel=0.01)


def test_three_seconds_are_enough() -> None:
    assert estimate_tempo(drum_loop(120, 3.0), RATE).bpm == pytest.approx(120, rel=0.02)


@pytest.mark.parametrize("rate", [22050, 48000, 96000])
def test_the_rate_does_not_matter(rate: int) -> None:
    assert estimate_tempo(drum_loop(110, 6.0, rate), rate).bpm == pytest.approx(110, rel=0.01)


def test_level_does_not_matter() -> None:
    loop = drum_loop(124, 6.0)
    assert estimate_tempo(loop * 0.001, RATE).bpm == pytest.approx(estimate_tempo(loop, RATE).bpm, rel=1e-3)


def test_silence_and_noise_have_little_or_no_pulse() -> None:
    assert estimate_tempo(np.zeros(5 * RATE, np.float32), RATE).confidence == 0.0
    noise = np.random.default_rng(1).standard_normal(8 * RATE).astype(np.float32) * 0.1
    assert estimate_tempo(noise, RATE).confidence < 0.3 < estimate_tempo(drum_loop(124, 8.0), RATE).confidence


def test_onsets_fall_on_the_clicks() -> None:
    times = onset_times(clicks(120, 5.0), RATE)
    assert len(times) == 10
    np.testing.assert_allclose(times, 0.1 + 0.5 * np.arange(10), atol=0.03)


def test_too_short_and_broken_audio_is_refused_in_one_sentence() -> None:
    with pytest.raises(TooShort, match=r"^tempo estimation needs at least 3 s of audio, not 2\.00 s$"):
        estimate_tempo(np.zeros(2 * RATE, np.float32), RATE)
    with pytest.raises(BadFormat, match=r"holds NaN or infinity"):
        estimate_tempo(np.full(4 * RATE, np.nan, np.float32), RATE)
    with pytest.raises(BadFormat, match=r"needs one channel of samples, not an array of shape \(2, 10\)"):
        estimate_tempo(np.zeros((2, 10), np.float32), RATE)
