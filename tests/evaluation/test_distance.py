"""Features of signals that are made for it, and distances of Gaussians in closed form and by scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from engine.errors import TooShort
from engine.evaluation.features import BANDS, COLUMNS, FRAMES, second_features, swings
from engine.evaluation.frechet import distance_from, frechet_distance
from tests.analysis.synth import RATE, sine


def test_a_row_a_second_and_the_level_of_noise_in_it() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(6 * RATE).astype(np.float32)
    rows = second_features(noise, RATE)
    assert rows.shape == (5, COLUMNS) == (5, 64)
    halved = second_features(0.5 * noise, RATE)
    np.testing.assert_allclose(rows[:, :BANDS] - halved[:, :BANDS], 6.0206, atol=1e-3)
    np.testing.assert_allclose(rows[:, BANDS:], halved[:, BANDS:], atol=1e-3)
    with pytest.raises(TooShort, match=r"^features needs at least 2 s of audio, not 1\.00 s$"):
        second_features(noise[:RATE], RATE)


def test_a_swing_of_three_hertz_counts_its_root_mean_square_between_two_and_four() -> None:
    time = np.arange(2 * FRAMES) / FRAMES
    found = swings(np.stack([-30 + 6 * np.sin(2 * np.pi * 3 * time), np.full(time.size, -30.0)]))
    np.testing.assert_allclose(found[0], [0, 0, 6 / np.sqrt(2), 0, 0, 0], atol=0.05)
    np.testing.assert_allclose(found[1], 0.0, atol=1e-9)


def test_tremolo_is_a_swing_in_the_band_it_sounds_in() -> None:
    time = np.arange(8 * RATE) / RATE
    beating = sine(220.0, 8.0, amplitude=0.2) * (1.0 + 0.5 * np.sin(2 * np.pi * 5 * time))
    still = second_features(sine(220.0, 8.0, amplitude=0.2), RATE)[2, 40:].reshape(4, 6)
    row = second_features(beating.astype(np.float32), RATE)[2, 40:].reshape(4, 6)
    assert row.argmax() == 3 and row[0, 3] > 4 * still[0, 3]  # lowest quarter, 4 to 8 Hz


def test_distance_of_known_gaussians() -> None:
    rng = np.random.default_rng(0)
    one = rng.standard_normal((200_000, 1))
    # (3 - 0)^2 + (2 - 1)^2
    assert frechet_distance(one, 3.0 + 2.0 * rng.standard_normal((200_000, 1))) == pytest.approx(
        10.0, abs=0.1
    )
    assert frechet_distance(one, one) == pytest.approx(0.0, abs=1e-6)


def test_distance_by_scipys_matrix_root() -> None:
    rng = np.random.default_rng(1)
    one = rng.standard_normal((300, 6)) @ rng.standard_normal((6, 6))
    other = rng.standard_normal((200, 6)) @ rng.standard_normal((6, 6)) + 1.0
    first, second = np.cov(one.T), np.cov(other.T)
    means = one.mean(0) - other.mean(0)
    expected = means @ means + np.trace(first + second - 2 * linalg.sqrtm(first @ second).real)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-4)
    assert frechet_distance(other, one) == pytest.approx(expected, rel=1e-4)


def test_noise_lies_further_from_drums_than_drums_do() -> None:
    from tests.analysis.synth import drum_loop

    reference = np.concatenate([second_features(drum_loop(bpm, 8.0), RATE) for bpm in (90, 110, 130)])
    drums = distance_from(reference, [drum_loop(100, 8.0), drum_loop(120, 8.0)], RATE)
    noise = 0.1 * np.random.default_rng(0).standard_normal(8 * RATE).astype(np.float32)
    assert distance_from(reference, [noise, noise], RATE) > 10 * drums
