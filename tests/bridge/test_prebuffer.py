from __future__ import annotations

import pytest

from bridge.session.prebuffer import Pace, Prebuffer

TICK = 0.05


def underrun_and_start(total: float, curve, known: Pace | None = None) -> tuple[float, float]:
    """Simulate playback of a production curve (seconds made at a time): (seconds of silence inside, start)."""
    prebuffer = Prebuffer(total, 0.0, known)
    now, start, played, starved = 0.0, None, 0.0, 0.0
    while played < total - 1e-9:
        now += TICK
        made = min(total, curve(now))
        prebuffer.observe(now, made)
        if start is None:
            if prebuffer.may_start or made >= total:
                start = now
            continue
        step = min(TICK, made - played, total - played)
        played += step
        if step < TICK - 1e-9 and played < total - 1e-9:
            starved += TICK - step
    assert start is not None
    return starved, start


def steady(rate: float, first: float):
    return lambda t: max(0.0, (t - first) * rate)


def bursty(rate: float, first: float, portion: float):
    """A window of ``portion`` seconds at a time."""
    return lambda t: max(0.0, (t - first) * rate // portion * portion)


def test_a_fast_engine_that_is_known_starts_at_once():
    starved, start = underrun_and_start(8.0, steady(3.0, 0.5), Pace(2.6, 0.0))
    assert starved == 0.0 and start <= 0.5 + 0.15 / 3.0 + 2 * TICK


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.8, 0.95])
def test_a_slow_engine_does_not_run_dry_and_does_not_wait_for_everything(rate: float):
    starved, start = underrun_and_start(10.0, steady(rate, 0.5), Pace(rate, 0.0))
    assert starved == 0.0
    latest_useful = 0.5 + 10.0 / rate  # when all is made
    assert (
        start < latest_useful - 0.5 * 10.0
    )  # at least half of the music is heard while the rest is being made


@pytest.mark.parametrize("rate", [0.4, 0.9, 1.2, 2.0, 5.0])
@pytest.mark.parametrize("first", [0.3, 2.0])
@pytest.mark.parametrize("portion", [0.1, 1.5])
def test_an_engine_that_nobody_knows_does_not_run_dry(rate: float, first: float, portion: float):
    assert underrun_and_start(12.0, bursty(rate, first, portion))[0] == 0.0


def test_what_was_learnt_covers_bursts():
    curve = bursty(1.3, 0.4, 2.0)
    scout = Prebuffer(12.0, 0.0)
    now = 0.0
    while curve(now) < 12.0:
        now += TICK
        scout.observe(now, min(12.0, curve(now)))
    pace = scout.pace()
    assert pace.gap_seconds == pytest.approx(2.0 / 1.3, abs=2 * TICK)
    assert underrun_and_start(12.0, curve, pace)[0] == 0.0


def test_a_take_shorter_than_the_least_prebuffer_starts_when_it_is_made():
    assert underrun_and_start(0.1, steady(0.5, 0.2))[0] == 0.0
