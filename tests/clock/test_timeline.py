"""Arithmetic of musical time, for any numbers."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from bridge.clock import Meter, Timeline

beats = st.fractions(min_value=-1000, max_value=100_000, max_denominator=960)
steps = st.fractions(min_value=Fraction(1, 16), max_value=64, max_denominator=16)
tempi = st.decimals(min_value=20, max_value=400, places=3).map(Fraction)
moments = st.integers(min_value=0, max_value=10**18)
meters = st.builds(Meter, st.integers(1, 64), st.sampled_from([1, 2, 4, 8, 16, 32]))


@given(tempi, moments, beats, steps)
def test_the_next_boundary_is_the_nearest_behind(
    bpm: Fraction, at: int, beat: Fraction, step: Fraction
) -> None:
    found = Timeline.at_tempo(bpm, at).next_boundary(beat, step)
    assert beat < found <= beat + step
    assert (found / step).denominator == 1


@given(tempi, moments, beats, moments)
def test_there_and_back_is_exact(bpm: Fraction, at: int, beat: Fraction, other: int) -> None:
    line = Timeline.at_tempo(bpm, at, beat)
    assert line.beat_at(line.ns_at(beat + 7)) == beat + 7
    assert line.ns_at(line.beat_at(other)) == other
    assert line.moved(other).ns_at(beat) == at


@given(tempi, tempi, moments, moments)
def test_another_tempo_goes_on_from_the_same_beat(
    first: Fraction, second: Fraction, at: int, later: int
) -> None:
    line = Timeline.at_tempo(first, at)
    changed = line.with_tempo(second, later)
    assert changed.beat_at(later) == line.beat_at(later)
    assert changed.beat_at(later + 60 * 10**9) - changed.beat_at(later) == second


@given(meters, meters, beats)
def test_bars_follow_one_another(first: Meter, second: Meter, beat: Fraction) -> None:
    """Also where the signature changes: every bar begins where the one before it ends, and has its number."""
    line = Timeline.at_tempo(Fraction(120), 0).with_meter(first, 0)
    line = line.with_meter(second, round(line.ns_at(max(beat, Fraction(0)))))
    bar = line.bar_at(beat)
    assert line.bar_start(bar) <= beat < line.bar_start(bar + 1)
    assert line.bar_start(bar + 1) - line.bar_start(bar) == Fraction(4 * second.numerator, second.denominator)
