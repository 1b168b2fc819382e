"""Where sounds meet: power, clicks and lengths, measured by other means than they are made."""

from __future__ import annotations

import numpy as np
import pytest

from export.tracks.joins import crossed, faded, joined, looped, ringing_on
from tests.tracks.made import RATE

FRAMES = 1323  # 30 ms
MUSIC = (196.0, 293.7, 440.0, 1174.7)  # Hz


def tones(frames: int, start: int = 0, phase: float = 0.0) -> np.ndarray:
    at = np.arange(start, start + frames) / RATE
    return np.asarray(sum(0.1 * np.sin(2 * np.pi * hertz * at + phase) for hertz in MUSIC))


def noise(seed: int, frames: int = RATE) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(frames) * 0.1


def jerk_at(samples: np.ndarray, place: int) -> float:
    """How much harder the wave turns within a millisecond of a place than anywhere in the music itself."""
    turns = np.abs(np.diff(samples, 2))
    return float(turns[place - 44 : place + 44].max() / np.abs(np.diff(tones(RATE), 2)).max())


def test_what_is_not_alike_keeps_its_power_and_what_is_keeps_its_height() -> None:
    power = np.mean([crossed(noise(2 * n, 2000), noise(2 * n + 1, 2000)) ** 2 for n in range(400)], axis=0)
    for part in np.split(power, 10):
        assert part.mean() == pytest.approx(0.01, rel=0.05)
    same = tones(2000)
    assert crossed(same, same) == pytest.approx(same, abs=1e-12)
    assert crossed(np.zeros(9), np.zeros(9)).tolist() == [0.0] * 9


def test_fades_begin_and_end_at_nothing_and_leave_the_middle() -> None:
    result = faded(np.ones(1000), 220)
    assert result[0] < 1e-4 and result[-1] < 1e-4 and np.all(result[220:780] == 1.0)
    assert np.all(np.diff(result[:220]) > 0) and result == pytest.approx(result[::-1])
    assert faded(np.ones(5), 220).size == 5


def test_tones_ring_on_in_their_own_pitch() -> None:
    went_on = ringing_on(tones(8000), RATE, 100)
    truth = tones(100, 8000)
    assert np.abs(went_on - truth).max() < 0.15 * np.abs(truth).max()
    assert np.abs(ringing_on(tones(8000), RATE, RATE)).max() < 0.5  # and never grow
    assert ringing_on(np.zeros(500), RATE, 10).tolist() == [0.0] * 10
    assert ringing_on(np.ones(1), RATE, 3).tolist() == [0.0] * 3


def test_a_seam_clicks_less_and_costs_no_sample() -> None:
    before, after = (
        tones(RATE),
        tones(RATE, RATE, phase=2.0),
    )  # as a codec leaves it: the same chord, another phase
    seamless = joined(before, after, RATE, 441)
    assert seamless.size == after.size and np.array_equal(seamless[441:], after[441:])
    raw = jerk_at(np.concatenate([before, after]), RATE)
    mended = jerk_at(np.concatenate([before, seamless]), RATE)
    assert raw > 10 and mended < 1.5
    assert np.array_equal(joined(np.zeros(0), after, RATE, 441), after)


@pytest.mark.parametrize("where", ["after", "before", "nowhere"])
def test_the_end_of_a_loop_meets_its_beginning(where: str) -> None:
    body = tones(50_000)  # no whole number of periods
    before = tones(RATE, -RATE) if where == "before" else np.zeros(0)
    after = tones(5000, 50_000) if where == "after" else np.zeros(0)
    loop = looped(before, body, after, RATE, FRAMES)
    assert loop.size == body.size and np.array_equal(loop[FRAMES:-FRAMES], body[FRAMES:-FRAMES])
    raw, mended = (jerk_at(np.concatenate([one, one]), 50_000) for one in (body, loop))
    assert raw > 10 and mended < 1.5


def test_a_loop_goes_from_its_end_into_what_was_made_behind_it() -> None:
    body, after = noise(1), noise(2)
    loop = looped(noise(3), body, after, RATE, FRAMES)
    assert loop[:20] == pytest.approx(after[:20], abs=0.01)  # what follows the end
    assert np.array_equal(loop[FRAMES:], body[FRAMES:])
    before = noise(3)
    loop = looped(before, body, np.zeros(0), RATE, FRAMES)
    assert loop[-20:] == pytest.approx(before[-20:], abs=0.01)  # what precedes the beginning
