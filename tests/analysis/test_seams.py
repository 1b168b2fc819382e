"""Seams of known size."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.seams import clicks, spectral_jumps

RATE = 44100


def test_a_step_of_level_is_as_many_decibels() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, 2 * RATE).astype(np.float32)
    noise[RATE:] *= 10.0 ** (12.0 / 20.0)
    places = range(4000, 2 * RATE - 4000, 1009)
    elsewhere = float(
        np.mean(
            [
                j
                for p, j in zip(places, spectral_jumps(noise, RATE, places), strict=True)
                if abs(p - RATE) > 2000
            ]
        )
    )
    (at,) = spectral_jumps(noise, RATE, [RATE])
    assert at == pytest.approx(12.0, abs=2.0)
    assert elsewhere < 4.0


def test_a_click_stands_out_and_a_smooth_place_does_not() -> None:
    time = np.arange(RATE) / RATE
    sound = (0.3 * np.sin(2 * np.pi * 220 * time)).astype(np.float32)
    sound += np.random.default_rng(1).normal(0, 1e-4, RATE).astype(np.float32)
    broken = sound.copy()
    broken[20000:] = np.roll(sound, 57)[20000:]
    smooth, jump = clicks(sound, RATE, [20000])[0], clicks(broken, RATE, [20000])[0]
    assert abs(smooth) < 4.0
    assert jump > 10.0


def test_places_at_the_ends_have_no_figure() -> None:
    assert np.isnan(spectral_jumps(np.zeros(RATE, np.float32), RATE, [0, RATE])).all()
    assert np.isnan(clicks(np.zeros(RATE, np.float32), RATE, [10])).all()
