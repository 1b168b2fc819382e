"""Beginning on the grid, to the sample."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest

from bridge.clock import InternalTransport, MidiClockFollower, StreamClock, capture_span, launch
from bridge.clock.launch import renewed
from engine.errors import OutOfRange
from presets.quantum import Quantum
from tests.clock.simulation import SECOND, Card, Daw

BAR = Quantum.model_validate("1 bar")


def exact_stream(rate: int = 44100) -> StreamClock:
    """Sample 0 is heard at second 0, without jitter."""
    stream = StreamClock(rate)
    for block in range(100):
        stream.update(block * rate // 100, round(block * SECOND / 100))
    return stream


def playing(bpm: float) -> InternalTransport:
    transport = InternalTransport(bpm)
    transport.play(0)
    return transport


def feed_until(daw: Daw, card: Card, second: float, follower: MidiClockFollower, stream: StreamClock) -> None:
    for at in daw.ticks(0, (second - daw.starts_at) * daw.bpm / 60):
        follower.feed(b"\xf8", at)
    for frame, at in card.blocks(second):
        stream.update(frame, at)


@pytest.mark.parametrize("bpm", [60.0, 120.0, 173.5])
def test_asked_in_bar_4_begins_on_the_downbeat_of_bar_5(bpm: float) -> None:
    """With 2 ms of jitter on the clock and on the stream: at most 1 ms beside the true sample of the stream."""
    worst = 0.0
    for seed in range(12):
        daw, card = Daw(bpm, seed), Card(44100, seed)
        asked = daw.when(12 + 4 * (0.02 + 0.9 * daw.random.random()))
        follower, stream = MidiClockFollower(), StreamClock(44100)
        follower.feed(b"\xfa", 0)
        feed_until(daw, card, asked, follower, stream)
        begin = launch(follower, stream, BAR, round(asked * SECOND))
        assert begin is not None
        assert (begin.bar, begin.beat) == (5, 16)
        away = begin.frame - card.sample_at(daw.when(16))
        worst = max(worst, abs(away) / 44.1)
    assert worst <= 1.0


def test_a_launch_gets_better_until_it_is_due() -> None:
    first, last = 0.0, 0.0
    for seed in range(12):
        daw, card = Daw(120.0, seed), Card(48000, seed)
        asked, due = daw.when(5), daw.when(16) - 0.1
        follower, stream = MidiClockFollower(), StreamClock(48000)
        follower.feed(b"\xfa", 0)
        feed_until(daw, card, asked, follower, stream)
        begin = launch(follower, stream, Quantum.model_validate("4 bars"), round(asked * SECOND))
        assert begin is not None
        later, stream = MidiClockFollower(), StreamClock(48000)
        later.feed(b"\xfa", 0)
        feed_until(daw, card, due, later, stream)
        again = renewed(begin, later, stream, round(due * SECOND))
        assert again is not None
        assert (again.bar, again.beat) == (5, 16)
        truth = card.sample_at(daw.when(16))
        first += (begin.frame - truth) ** 2
        last += (again.frame - truth) ** 2
        assert abs(again.frame - truth) <= 48
    assert last < first / 2


def test_exact_samples_without_jitter() -> None:
    """Bar 1000 at 173.5 bpm begins 999 * 4 * 60 / 173.5 s after the first: no error adds up."""
    stream = exact_stream()
    begin = launch(playing(173.5), stream, BAR, round(998.5 * 240 / 173.5 * SECOND))
    assert begin is not None
    assert begin.bar == 1000
    assert begin.frame == pytest.approx(999 * 240 * 44100 / 173.5, abs=0.6)
    assert begin.frame_in(22050, 44100) == round(begin.frame / 2)


@pytest.mark.parametrize(
    ("quantum", "asked_beat", "begins"),
    [
        ("1 bar", 12.0, 16),  # exactly on a downbeat: the bar it begins has begun
        ("1 bar", 15.99, 16),
        ("2 bars", 13.0, 16),
        ("4 bars", 17.0, 32),
        ("1 beat", 13.2, 14),
        ("1/2 beat", 13.2, Fraction(27, 2)),
        ("3 beats", 13.2, 15),
    ],
)
def test_grids(quantum: str, asked_beat: float, begins: Fraction | int) -> None:
    begin = launch(
        playing(120.0), exact_stream(), Quantum.model_validate(quantum), round(asked_beat * SECOND / 2)
    )
    assert begin is not None
    assert begin.beat == begins
    assert begin.frame == begins * 22050


def test_no_grid_begins_at_once() -> None:
    off = Quantum.model_validate("off")
    begin = launch(playing(120.0), exact_stream(), off, SECOND // 3, lead_ns=SECOND // 6)
    assert begin is not None
    assert begin.frame == 22050


def test_a_place_too_near_is_left_for_the_next() -> None:
    late = round(1.95 * SECOND)
    assert launch(playing(120.0), exact_stream(), BAR, late).beat == 4  # type: ignore[union-attr]
    assert launch(playing(120.0), exact_stream(), BAR, late, lead_ns=SECOND // 10).beat == 8  # type: ignore[union-attr]


def test_nothing_plays_no_launch() -> None:
    transport = InternalTransport(120.0)
    assert launch(transport, exact_stream(), BAR, SECOND) is None


def test_a_song_that_was_moved_or_stopped_has_no_launch_any_more() -> None:
    stream, transport = exact_stream(), playing(120.0)
    begin = launch(transport, stream, BAR, SECOND)
    assert begin is not None
    assert renewed(begin, transport, stream, SECOND) == begin
    transport.locate(64, round(1.2 * SECOND))
    assert renewed(begin, transport, stream, round(1.2 * SECOND)) is None
    transport.locate(Fraction(-20), round(1.2 * SECOND))
    assert renewed(begin, transport, stream, round(1.2 * SECOND)) is None
    transport.locate(3, round(1.5 * SECOND))
    transport.stop(round(1.6 * SECOND))
    assert renewed(begin, transport, stream, round(1.6 * SECOND)) is None


@pytest.mark.parametrize(
    ("beat", "span"),
    [
        (9.0, (0, 176400)),  # in bar 3: bars 1 and 2
        (15.0, (88200, 264600)),  # a whole beat before bar 5: bars 2 and 3
        (15.6, (176400, 352800)),  # struck a little before bar 5: bars 3 and 4, of which the end is to come
    ],
)
def test_capture_of_the_last_two_bars(beat: float, span: tuple[int, int]) -> None:
    found = capture_span(playing(120.0), exact_stream(), 2, round(beat * SECOND / 2))
    assert found == span


def test_no_tempo_no_bars_to_capture() -> None:
    assert capture_span(MidiClockFollower(), exact_stream(), 2, SECOND) is None


def test_the_streams_rate_is_found() -> None:
    """80 parts in a million fast, blocks of two sizes, 3 ms of jitter: the sample a second ahead within 0.6 ms."""
    for seed in range(10):
        card = Card(48000, seed, jitter_ms=3.0)
        stream = StreamClock(48000)
        place = 0
        while place < 48000 * 30:
            second = card.starts_at + place / card.rate
            stream.update(place, round((second + card.random.uniform(-0.003, 0.003)) * SECOND))
            place += card.random.choice((448, 512))
        ahead = second + 1.0
        assert float(stream.frame_at(round(ahead * SECOND))) == pytest.approx(card.sample_at(ahead), abs=29)
        assert float(stream.ns_at(stream.frame_at(10**12))) == pytest.approx(10**12, abs=1e-3)
        assert stream.actual_rate == pytest.approx(card.rate, rel=1.6e-4)  # three deviations of such a line


def test_callbacks_that_are_held_up_do_not_move_the_stream() -> None:
    """A busy machine runs them up to 4 ms late, for up to a second at a time; the truth stays within 0.7 ms."""
    for seed in range(10):
        card, stream, held = Card(48000, seed, jitter_ms=0.0), StreamClock(48000), 0
        for number, (frame, at) in enumerate(card.blocks(card.starts_at + 60, size=4800)):
            held = held - 1 if held else (10 if card.random.random() < 0.02 else 0)
            late = card.random.uniform(0.5, 4.0) if held else card.random.expovariate(20)
            stream.update(frame, at + round(late * 1e6))
            if number > 100:
                ahead = at / SECOND + 0.5
                away = float(stream.frame_at(round(ahead * SECOND))) - card.sample_at(ahead)
                assert abs(away) <= 0.7 * 48


def test_a_stream_that_loses_time_is_found_again() -> None:
    stream = exact_stream()
    for block in range(100, 160):  # 0.2 s were lost in between
        stream.update(block * 441, round(block * SECOND / 100) + SECOND // 5)
    assert float(stream.ns_at(44100)) == pytest.approx(1.2 * SECOND, abs=100_000)


def test_a_stream_that_begins_anew() -> None:
    stream = exact_stream()
    assert stream.ready
    stream.update(0, 5 * SECOND)
    assert not stream.ready
    assert float(stream.frame_at(6 * SECOND)) == pytest.approx(44100, abs=1)


def test_a_rate_that_is_none() -> None:
    with pytest.raises(OutOfRange, match="the rate of the stream is 0 Hz; it must be above 0, such as 44100"):
        StreamClock(0)


def test_the_monotonic_clock_is_large_enough_a_number() -> None:
    """A machine that has been up for years: nanoseconds beyond what a float can count."""
    up = 400 * 86400 * SECOND + time.monotonic_ns() % 1000
    stream = StreamClock(44100)
    for block in range(50):
        stream.update(block * 441, up + block * SECOND // 100)
    assert stream.frame_at(up + SECOND) == pytest.approx(44100, abs=0.01)
