from __future__ import annotations

import numpy as np
import pytest

from engine.analysis import KeyEstimate, estimate_key

from .synth import RATE, chords, drum_loop

MAJOR_I_IV_V_I = [(60, 64, 67), (65, 69, 72), (67, 71, 74), (60, 64, 67)]
MINOR_I_IV_V_I = [(57, 60, 64), (62, 65, 69), (64, 68, 71), (57, 60, 64)]


@pytest.mark.parametrize("up", range(12))
def test_cadences_in_every_key(up: int) -> None:
    major = estimate_key(chords([tuple(p + up for p in c) for c in MAJOR_I_IV_V_I], 1.0), RATE)
    minor = estimate_key(chords([tuple(p + up for p in c) for c in MINOR_I_IV_V_I], 1.0), RATE)
    assert (major.tonic, major.mode) == (up % 12, "major")
    assert (minor.tonic, minor.mode) == ((9 + up) % 12, "minor")


@pytest.mark.parametrize("cents", [-40, 35])
def test_a_piece_tuned_off_concert_pitch(cents: float) -> None:
    assert estimate_key(chords(MAJOR_I_IV_V_I, 1.0, cents=cents), RATE).name == "C major"


def test_drums_over_the_chords_do_not_hide_the_key() -> None:
    harmony = chords(MINOR_I_IV_V_I, 1.5)
    assert estimate_key(harmony + drum_loop(120, 6.0)[: harmony.size], RATE).name == "A minor"


def test_half_the_rate_gives_the_same_key() -> None:
    assert estimate_key(chords(MINOR_I_IV_V_I, 1.0, rate=22050), 22050).name == "A minor"


def test_relative_keys() -> None:
    c, a = KeyEstimate(0, "major", 0.5), KeyEstimate(9, "minor", 0.5)
    assert c.relative() == a and a.relative() == c
    assert c.agrees(a) and c.agrees(c) and not c.agrees(KeyEstimate(7, "major", 0.5))
    assert not c.agrees(KeyEstimate(0, "minor", 0.5))


def test_no_pitch_no_confidence() -> None:
    assert estimate_key(np.zeros(3 * RATE, np.float32), RATE).confidence == 0.0
    tonal = estimate_key(chords(MAJOR_I_IV_V_I, 1.0), RATE).confidence
    noise = np.random.default_rng(3).standard_normal(6 * RATE).astype(np.float32) * 0.1
    assert estimate_key(noise, RATE).confidence < 0.5 * tonal
