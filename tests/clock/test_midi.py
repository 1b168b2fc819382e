"""Following MIDI clock: tempo, position, and what goes wrong with clocks."""

from __future__ import annotations

from fractions import Fraction

import pytest

from bridge.clock import Meter, MidiClockFollower
from tests.clock.simulation import SECOND, Daw, changing

TICK, START, CONTINUE, STOP = b"\xf8", b"\xfa", b"\xfb", b"\xfc"


def position(sixteenths: int) -> bytes:
    return bytes([0xF2, sixteenths & 0x7F, sixteenths >> 7])


def follow(
    daw: Daw, first: float, last: float, follower: MidiClockFollower | None = None
) -> MidiClockFollower:
    follower = follower or MidiClockFollower()
    for at in daw.ticks(first, last):
        follower.feed(TICK, at)
    return follower


def now(daw: Daw, beat: float) -> int:
    return round(daw.when(beat) * SECOND)


@pytest.mark.parametrize("bpm", [60.0, 120.0, 173.5])
def test_tempo_after_two_bars(bpm: float) -> None:
    """2 ms of jitter either way; 173.5 bpm leaves a straight line through all ticks a deviation of 0.018 bpm."""
    errors = [abs((follow(Daw(bpm, seed), 0, 8).bpm or 0) - bpm) for seed in range(60)]
    assert max(errors) <= 0.05
    assert (sum(e * e for e in errors) / 60) ** 0.5 <= 0.02


@pytest.mark.parametrize("bpm", [60.0, 120.0, 173.5])
def test_a_steady_clock_is_not_taken_for_a_changing_one(bpm: float) -> None:
    followers = [follow(Daw(bpm, seed), 0, 64) for seed in range(20)]
    for follower in followers:
        assert follower.changes == 0
        assert follower.bpm == pytest.approx(bpm, abs=0.02)
    jitter = sum(follower.jitter_ms for follower in followers) / 20
    assert jitter == pytest.approx(2 / 3**0.5, abs=0.12)  # uniform, 2 ms either way


def test_nothing_is_said_before_there_is_something_to_say() -> None:
    follower = MidiClockFollower()
    assert follower.state(0).timeline is None
    daw = Daw(120.0, 1)
    follow(daw, 0, 4 / 24, follower)  # 5 ticks
    assert follower.bpm is None
    assert follower.state(now(daw, 4 / 24)).timeline is None
    follow(daw, 5 / 24, 1, follower)
    assert not follower.state(now(daw, 1)).locked
    follow(daw, 25 / 24, 2, follower)
    assert follower.state(now(daw, 2)).locked


def test_clock_without_start_is_tempo_only() -> None:
    daw = Daw(96.0, 2)
    follower = follow(daw, 0, 8)
    state = follower.state(now(daw, 8))
    assert state.timeline is not None
    assert not state.playing
    assert follower.position == 0
    assert state.timeline.bpm == pytest.approx(96.0, abs=0.05)


def test_the_first_tick_after_start_is_the_downbeat() -> None:
    daw = Daw(120.0, 3)
    follower = follow(daw, -4, -1 / 24)
    follower.feed(START, now(daw, -0.01))
    assert not follower.state(now(daw, -0.01)).playing
    follow(daw, 0, 5, follower)
    assert follower.position == 5
    state = follower.state(now(daw, 5.25))
    assert state.playing
    assert state.timeline is not None
    assert float(state.timeline.beat_at(now(daw, 5.25))) == pytest.approx(5.25, abs=0.002)
    assert state.timeline.bar_at(state.timeline.beat_at(now(daw, 5.25))) == 2


def test_starting_in_the_middle_by_song_position() -> None:
    daw = Daw(90.0, 4)
    follower = MidiClockFollower()
    follower.feed(position(16 * 36), now(daw, -0.1))  # bar 37: the number needs both bytes
    assert follower.position == 144
    follower.feed(CONTINUE, now(daw, -0.05))
    follow(daw, 0, 3.5, follower)
    assert follower.position == Fraction(295, 2)
    state = follower.state(now(daw, 3.5))
    assert state.timeline is not None
    assert state.timeline.bar_at(follower.position) == 37
    assert float(state.timeline.ns_at(148)) / SECOND == pytest.approx(daw.when(4), abs=0.001)


def test_stop_holds_the_position_and_continue_goes_on() -> None:
    daw = Daw(120.0, 5)
    follower = MidiClockFollower()
    follower.feed(START, now(daw, 0))
    follow(daw, 0, 6, follower)
    follower.feed(STOP, now(daw, 6.01))
    follow(daw, 6 + 1 / 24, 9, follower)  # the DAW's clock goes on
    state = follower.state(now(daw, 9))
    assert (state.playing, follower.position) == (False, 6)
    follower.feed(CONTINUE, now(daw, 9.01))
    follow(daw, 9 + 1 / 24, 10 + 1 / 24, follower)
    assert follower.position == 7
    follower.feed(START, now(daw, 10.06))
    follow(daw, 10 + 2 / 24, 10 + 2 / 24, follower)
    assert follower.position == 0


def test_song_position_while_playing_is_ignored() -> None:
    daw = Daw(120.0, 6)
    follower = MidiClockFollower()
    follower.feed(START, now(daw, 0))
    follow(daw, 0, 2, follower)
    follower.feed(position(64), now(daw, 2))
    assert follower.position == 2


def test_a_clock_that_stops_is_told_and_found_again() -> None:
    daw = Daw(120.0, 7)
    follower = MidiClockFollower()
    follower.feed(START, now(daw, 0))
    follow(daw, 0, 8, follower)
    gone = now(daw, 8) + 260_000_000
    assert follower.state(now(daw, 8) + 200_000_000).playing
    state = follower.state(gone)
    assert (state.playing, state.timeline) == (False, None)
    assert state.trouble == "the MIDI clock has stopped coming; start it again in the DAW"
    slower = Daw(80.0, 8)
    slower.starts_at = daw.when(8) + 3.0
    follow(slower, 0, 8, follower)
    assert follower.bpm == pytest.approx(80.0, abs=0.05)
    assert follower.state(now(slower, 8)).playing


@pytest.mark.parametrize(
    ("tempo", "what"),
    [
        (lambda beat: 120.0 if beat < 8 else 140.0, "jump"),
        (lambda beat: 80.0 if beat < 8 else 160.0, "double"),
        (lambda beat: 120.0 if beat < 8 else 60.0, "half"),
    ],
)
def test_another_tempo_is_found_within_two_beats(tempo, what: str) -> None:  # type: ignore[no-untyped-def]
    for seed in range(10):
        follower = MidiClockFollower()
        follower.feed(START, 0)
        for tick, (second, at) in enumerate(changing(tempo, 20, seed)):
            follower.feed(TICK, at)
            if tick in (240, 17 * 24):  # two beats, nine beats after the change
                line = follower.state(at).timeline
                assert line is not None, what
                assert float(line.ns_at(follower.position)) / SECOND == pytest.approx(second, abs=0.0015)
                within = 2.0 if tick == 240 else 0.2
                assert line.bpm == pytest.approx(tempo(tick / 24), abs=within)


def test_a_ramp_is_followed() -> None:
    """20 bpm up in 4 bars: nowhere more than 4 ms and 4 bpm off, and exact again afterwards."""
    follower = MidiClockFollower()
    follower.feed(START, 0)

    def tempo(beat: float) -> float:
        return 120 + min(20.0, max(0.0, beat - 8) * 20 / 16)

    for tick, (second, at) in enumerate(changing(tempo, 40, 3)):
        follower.feed(TICK, at)
        line = follower.state(at).timeline
        if tick > 4 * 24:
            assert line is not None
            assert float(line.ns_at(follower.position)) / SECOND == pytest.approx(second, abs=0.004)
            assert line.bpm == pytest.approx(tempo(tick / 24), abs=4.0)
    assert follower.bpm == pytest.approx(140.0, abs=0.1)


def test_one_late_tick_does_not_matter() -> None:
    daw = Daw(120.0, 9)
    follower = follow(daw, 0, 16)
    follower.feed(TICK, round((daw.when(16 + 1 / 24) + 0.06) * SECOND))
    follow(daw, 16 + 2 / 24, 18, follower)
    assert follower.changes == 0
    assert follower.bpm == pytest.approx(120.0, abs=0.05)


@pytest.mark.parametrize("held", [3, 5, 9])
def test_ticks_that_were_held_up_and_come_at_once(held: int) -> None:
    for seed in range(10):
        daw = Daw(120.0, seed)
        follower = follow(daw, 0, 16)
        until = daw.when(16 + (held + 1) / 24)
        for tick in range(held):
            follower.feed(TICK, round(until * SECOND) - 3_000_000 + tick * 50_000)
        worst = 0.0
        for at in daw.ticks(16 + (held + 1) / 24, 20):
            follower.feed(TICK, at)
            worst = max(worst, abs((follower.bpm or 0.0) - 120.0))
        assert worst < 1.0
        assert follower.bpm == pytest.approx(120.0, abs=0.1)


def test_a_tempo_ten_times_as_fast_is_believed_when_it_lasts() -> None:
    follower = MidiClockFollower()
    for _, at in changing(lambda beat: 30.0 if beat < 8 else 300.0, 16, 4):
        follower.feed(TICK, at)
    assert follower.bpm == pytest.approx(300.0, abs=1.0)


def test_ticks_that_come_in_the_sound_servers_periods() -> None:
    """A tick is heard at the next period of 256 at 48 kHz, as a sound server delivers it (facts/rig.md §3)."""
    period = 256 / 48000
    daw = Daw(112.0, 10, jitter_ms=0.0)
    follower = MidiClockFollower()
    for tick in range(24 * 8 + 1):
        second = (daw.when(tick / 24) // period + 1) * period
        follower.feed(TICK, round(second * SECOND))
    assert follower.bpm == pytest.approx(112.0, abs=0.05)


@pytest.mark.parametrize(
    ("bpm", "trouble"),
    [
        (480.0, "the MIDI clock runs at 480 bpm, outside 20 to 400; two programs may be sending it at once"),
        (12.0, "the MIDI clock runs at 12 bpm, outside 20 to 400; ticks may get lost on the way"),
    ],
)
def test_a_tempo_that_nobody_plays_is_told(bpm: float, trouble: str) -> None:
    daw = Daw(bpm, 11, jitter_ms=0.0)
    follower = follow(daw, 0, 4)
    state = follower.state(now(daw, 4))
    assert (state.timeline, state.trouble) == (None, trouble)


def test_other_messages_and_signatures() -> None:
    daw = Daw(120.0, 12)
    follower = MidiClockFollower(Meter(7, 8))
    follower.feed(b"", 0)
    follower.feed(b"\x90\x40\x7f", 0)
    follower.feed(b"\xf2\x01", 0)  # cut off
    follower.feed(START, 0)
    follow(daw, 0, 7, follower)
    line = follower.state(now(daw, 7)).timeline
    assert line is not None
    assert line.bar_at(7) == 3  # 7/8 is three and a half beats
    assert float(line.bar_ns) / SECOND == pytest.approx(1.75, abs=0.001)
