"""Time that is kept here, told over OSC, or shared by Link; and what they have in common."""

from __future__ import annotations

import random
import time
from fractions import Fraction
from types import SimpleNamespace

import pytest

from bridge.clock import (
    InternalTransport,
    Meter,
    OscTransport,
    Selector,
    StreamClock,
    Timeline,
    launch,
    timing_of,
)
from bridge.clock.link import LinkTransport, link_is_there
from engine.errors import NotReady, OutOfRange
from engine.request import PrimeRef, Request
from presets.quantum import Quantum

SECOND = 10**9
HOUR = 3600 * SECOND
BAR = Quantum.model_validate("1 bar")


def beat_of(transport: InternalTransport, second: float) -> float:
    line = transport.state(round(second * SECOND)).timeline
    assert line is not None
    return float(line.beat_at(round(second * SECOND)))


def test_an_hour_is_exact() -> None:
    transport = InternalTransport(173.5)
    transport.play(0)
    line = transport.state(HOUR).timeline
    assert line is not None
    assert line.beat_at(HOUR) == 173.5 * 60
    assert line.ns_at(10410) == HOUR


def test_play_stop_locate_and_tempo() -> None:
    transport = InternalTransport(120.0)
    assert beat_of(transport, 5) == 0
    transport.play(10 * SECOND)
    assert beat_of(transport, 12) == 4
    transport.set_tempo(60.0, 12 * SECOND)
    assert beat_of(transport, 14) == 6
    transport.play(13 * SECOND)  # it plays already
    transport.stop(14 * SECOND)
    assert beat_of(transport, 20) == 6
    assert not transport.state(20 * SECOND).playing
    transport.set_tempo(120.0, 20 * SECOND)
    transport.play(21 * SECOND)
    assert beat_of(transport, 22) == 8
    transport.locate(Fraction(1, 2), 22 * SECOND)
    assert beat_of(transport, 23) == 2.5


def test_a_signature_holds_from_its_bar_on() -> None:
    transport = InternalTransport(60.0)
    transport.play(0)
    transport.set_meter(Meter(3, 4), 9 * SECOND)  # in bar 3, which begins at beat 8
    line = transport.state(9 * SECOND).timeline
    assert line is not None
    assert [line.bar_at(beat) for beat in (8, 10, 11, 14)] == [3, 3, 4, 5]
    assert line.next_boundary(9, 3) == 11


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: InternalTransport(500.0), "the tempo is 500 bpm; it must be from 20 to 400"),
        (lambda: InternalTransport(float("nan")), "the tempo is nan bpm; it must be a number above 0"),
        (lambda: Meter(0, 4), "a bar has 0 counts; it must have from 1 to 64, such as 4 in 4/4"),
        (lambda: Meter(4, 5), "the signature's lower number is 5; it must be 1, 2, 4, 8, 16 or 32"),
        (lambda: OscTransport().beat(-1.0, 0), "the beat is -1; it must be a number from 0"),
        (lambda: OscTransport().beat(float("inf"), 0), "the beat is inf; it must be a number from 0"),
        (lambda: Selector({}).choose("midi"), "there is no clock source 'midi'; it must be one of none"),
        (
            lambda: Selector({"midi": OscTransport()}).choose("midy"),
            "there is no clock source 'midy'; did you mean 'midi'?",
        ),
    ],
)
def test_what_is_wrong_and_what_would_be_right(make, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(OutOfRange) as caught:
        make()
    assert str(caught.value) == sentence


def test_osc_tempo_and_beats() -> None:
    """The tempo as told; every beat comes up to 5 ms early or late, as over a network."""
    source, osc = random.Random(1), OscTransport()
    assert osc.state(0).timeline is None
    osc.set_tempo(128.0, 0)
    assert not osc.state(0).playing
    for beat in range(16, 49):
        osc.beat(beat, round((100 + beat * 60 / 128 + source.uniform(-0.005, 0.005)) * SECOND))
    line = osc.state(round((100 + 48 * 60 / 128) * SECOND)).timeline
    assert line is not None
    assert line.bpm == 128.0
    assert float(line.ns_at(52)) / SECOND == pytest.approx(100 + 52 * 60 / 128, abs=0.002)
    osc.beat(8, 200 * SECOND)  # the song was moved
    assert beat_of(osc, 200) == 8
    osc.stop(201 * SECOND)
    assert not osc.state(202 * SECOND).playing


def test_osc_beats_alone_tell_the_tempo() -> None:
    source, osc = random.Random(2), OscTransport()
    for beat in range(4, 37):
        at = round((50 + beat * 60 / 97 + source.uniform(-0.002, 0.002)) * SECOND)
        osc.beat(float(beat), at)
        assert osc.state(at).playing == (beat >= 7)
    line = osc.state(at).timeline
    assert line is not None
    assert line.bpm == pytest.approx(97.0, abs=0.05)
    assert float(line.ns_at(40)) / SECOND == pytest.approx(50 + 40 * 60 / 97, abs=0.002)


def test_the_chosen_source_is_followed() -> None:
    first, second = InternalTransport(100.0), InternalTransport(140.0)
    selector = Selector({"internal": first, "osc": second})
    assert selector.names == ("none", "internal", "osc")
    assert selector.state(0).timeline is None
    selector.choose("osc")
    line = selector.state(0).timeline
    assert selector.name == "osc"
    assert line is not None
    assert line.bpm == 140.0


class FakeSession:
    """What LinkPython answers when the session's beat 0 was at 7 s of Link's clock, at 125 bpm."""

    def __init__(self) -> None:
        self.bpm = 125.0
        self.plays = False

    def beatAtTime(self, micros: int, quantum: float) -> float:
        assert quantum == 4.0
        return (micros / 1e6 - 7.0) * self.bpm / 60

    def tempo(self) -> float:
        return self.bpm

    def isPlaying(self) -> bool:
        return self.plays

    def setTempo(self, bpm: float, micros: int) -> None:
        self.bpm = bpm


def fake_link(session: FakeSession) -> SimpleNamespace:
    clock = SimpleNamespace(micros=lambda: 20_000_000)
    return SimpleNamespace(
        captureSessionState=lambda: session,
        commitSessionState=lambda state: None,
        clock=lambda: clock,
        numPeers=lambda: 2,
        enabled=False,
        startStopSyncEnabled=False,
    )


def test_link_in_our_time() -> None:
    session = FakeSession()
    link = fake_link(session)
    transport = LinkTransport(open_link=lambda bpm: link, clock=lambda: 520 * SECOND, start_stop=True)
    assert (link.enabled, link.startStopSyncEnabled, transport.peers) == (True, True, 2)
    state = transport.state(522 * SECOND)  # Link's clock says 22 s then, 15 s after its beat 0
    assert state.timeline is not None
    assert float(state.timeline.beat_at(522 * SECOND)) == pytest.approx(15 * 125 / 60)
    assert float(state.timeline.ns_at(32)) / SECOND == pytest.approx(507 + 32 * 60 / 125)
    assert not state.playing
    session.plays = True
    assert transport.state(522 * SECOND).playing
    transport.set_tempo(90.0)
    assert session.bpm == 90.0
    transport.close()
    assert not link.enabled


def test_without_link_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.clock.link.link_is_there", lambda: False)
    with pytest.raises(NotReady, match="Ableton Link is not installed; install segue"):
        LinkTransport()


@pytest.mark.skipif(not link_is_there(), reason="needs the extra link")
def test_the_real_link_runs_at_its_tempo() -> None:
    transport = LinkTransport(bpm=120.0)
    try:
        now = time.monotonic_ns()
        line, later = transport.state(now).timeline, transport.state(now + 60 * SECOND).timeline
        assert line is not None
        assert later is not None
        assert line.bpm == 120.0
        assert float(later.beat_at(now + 60 * SECOND) - line.beat_at(now)) == pytest.approx(120.0, abs=0.001)
        assert float(line.ns_at(later.beat) - later.at_ns) == pytest.approx(0.0, abs=300_000)
    finally:
        transport.close()


def stream_at_zero() -> StreamClock:
    stream = StreamClock(44100)
    for block in range(20):
        stream.update(block * 441, block * SECOND // 100)
    return stream


def test_the_model_is_told_where_bars_begin() -> None:
    transport = InternalTransport(120.0)
    transport.play(0)
    on_bar = launch(transport, stream_at_zero(), BAR, 30 * SECOND)
    assert on_bar is not None
    assert on_bar.beat == 64
    timing = timing_of(on_bar, rate=44100, key="F# minor")
    assert timing.song is None
    assert timing.pulse is not None
    assert (timing.pulse.bpm, timing.pulse.downbeat_frame, timing.pulse.key) == (120.0, 0, "F# minor")
    on_beat = launch(transport, stream_at_zero(), Quantum.model_validate("1 beat"), round(30.1 * SECOND))
    assert on_beat is not None
    assert on_beat.beat == 61
    pulse = timing_of(on_beat, rate=44100).pulse
    assert pulse is not None
    assert pulse.downbeat_frame == 66150  # three beats of half a second


@pytest.mark.parametrize(
    ("asked", "heard", "prime_at"),
    [
        (30, 16.0, 24.0),  # begun at 32 s, 8 s of prime before it
        (2, 16.0, 0.0),  # at 4 s: the prime would have begun before the song
        (126, 16.0, 112.0),  # at the very end: 128 s long, of which 16 are heard
    ],
)
def test_the_model_is_told_where_in_the_song_it_is(asked: int, heard: float, prime_at: float) -> None:
    transport = InternalTransport(120.0)
    transport.play(0)
    begin = launch(transport, stream_at_zero(), Quantum.model_validate("2 bars"), asked * SECOND - 1)
    assert begin is not None
    timing = timing_of(begin, rate=44100, prime_seconds=8.0, heard_seconds=heard, song_bars=64)
    assert timing.song is not None
    assert timing.song.total_seconds == 128.0
    assert timing.song.prime_at_seconds == prime_at
    request = Request(prime=PrimeRef(path="riff.wav"), frames=352800).model_copy(update=timing.fields())
    assert (request.song, request.pulse) == (timing.song, timing.pulse)
    assert Request.model_validate_json(request.model_dump_json()) == request


def test_a_song_that_is_too_short_or_a_tempo_nobody_knows_is_left_out() -> None:
    transport = InternalTransport(120.0)
    transport.play(0)
    begin = launch(transport, stream_at_zero(), BAR, SECOND)
    assert begin is not None
    assert timing_of(begin, rate=44100, prime_seconds=8.0, heard_seconds=16.0, song_bars=6).song is None
    fast = Timeline.at_tempo(900, 0)
    line_only = type(begin)(Fraction(0), 1, 0, 0, fast)
    assert timing_of(line_only, rate=44100).fields() == {}
