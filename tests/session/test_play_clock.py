"""What a session says of its clocks: two ports at once, a tempo that doubles, a song that jumps; time by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bridge.midi import ClockMessage
from bridge.osc.endpoint import OscEndpoint
from bridge.osc.subscribers import Subscribers
from bridge.session.clocks import Follows
from bridge.session.notices import Notices
from bridge.session.properties import Properties
from bridge.session.transport import MusicalTime
from presets import Quantum

SECOND = 10**9


class Rig:
    def __init__(self, source: str) -> None:
        self.now = 1000 * SECOND
        self.said: list[str] = []
        self.told: list[tuple[str, tuple[object, ...]]] = []
        subscribers = Subscribers()
        notices = Notices(OscEndpoint(lambda messages, peer: None, subscribers.gone), subscribers)
        notices.taps.append(lambda address, values: self.told.append((address, values)))
        properties = Properties(notices)
        self.time = MusicalTime(notices, properties, self.said.append, source=source, now=lambda: self.now)
        self.time.show_grid(Quantum)
        self.moves = 0
        self.time.on_move.append(self._moved)

    def _moved(self) -> None:
        self.moves += 1

    def clock(
        self, beats: float, bpm: float, port: str = "DAW", each: Callable[[], None] | None = None
    ) -> None:
        for _ in range(round(beats * 24)):
            self.time.midi_clock(ClockMessage("clock", port, self.now, b"\xf8"))
            if each:
                each()
            self.now += round(60 * SECOND / bpm / 24)
            self.time._look()

    def send(self, kind: str, data: bytes, port: str = "DAW") -> None:
        self.time.midi_clock(ClockMessage(kind, port, self.now, data))

    def beats(self) -> list[int]:
        return [int(str(values[0])) for address, values in self.told if address == "/segue/beat"]


def test_every_beat_is_told_once() -> None:
    rig = Rig("midi")
    rig.send("start", b"\xfa")
    rig.clock(20, 120.0)
    assert rig.beats() == list(range(21))
    assert ("/segue/sync/locked", (1,)) in rig.told
    assert rig.said == []
    assert rig.time.bpm == pytest.approx(120.0, abs=0.01)
    with pytest.raises(Follows, match="the tempo follows the MIDI clock"):
        rig.time.set_tempo(100)


def test_a_second_port_is_said_once_and_taken_up_when_the_first_is_silent() -> None:
    rig = Rig("midi")
    rig.send("start", b"\xfa")

    def other() -> None:
        rig.time.midi_clock(ClockMessage("clock", "Keys", rig.now + 3_000_000, b"\xf8"))

    rig.clock(8, 120.0, each=other)
    assert rig.said == [
        "the MIDI ports 'DAW' and 'Keys' both send clock; 'DAW' is followed, so switch one of them off"
    ]
    assert rig.time.bpm == pytest.approx(120.0, abs=0.05)
    rig.now += 2 * SECOND
    rig.send("start", b"\xfa", "Keys")
    rig.clock(8, 90.0, "Keys")
    assert rig.time.bpm == pytest.approx(90.0, abs=0.1)


def test_a_clock_that_doubles_is_said_and_followed() -> None:
    rig = Rig("midi")
    rig.send("start", b"\xfa")
    rig.clock(16, 100.0)
    rig.clock(16, 200.0)
    assert len(rig.said) == 1
    assert rig.said[0].startswith("the clock went from 100.0 to 200.0 bpm; if that was not meant")
    assert rig.time.bpm == pytest.approx(200.0, abs=0.1)


def test_a_clock_that_stops_is_said_once_and_comes_back() -> None:
    rig = Rig("midi")
    rig.send("start", b"\xfa")
    rig.clock(8, 120.0)
    moves = rig.moves
    for _ in range(10):
        rig.now += SECOND
        rig.time._look()
    assert rig.said == ["the MIDI clock has stopped coming; start it again in the DAW"]
    assert rig.moves == moves + 1
    assert rig.told[-1] != ("/segue/transport/playing", (1,))
    rig.send("continue", b"\xfb")
    rig.clock(8, 120.0)
    assert rig.time.state.playing
    assert len(rig.said) == 1


def test_a_song_that_jumps_is_said() -> None:
    rig = Rig("midi")
    rig.send("start", b"\xfa")
    rig.clock(8, 120.0)
    rig.send("start", b"\xfa")
    rig.clock(2, 120.0)
    assert len(rig.said) == 1
    assert rig.said[0].startswith("the clock jumped from bar 3 to bar 1;")
    assert rig.beats()[-3:] == [0, 1, 2]


def test_the_next_bar_of_the_stream() -> None:
    rig = Rig("internal")
    rig.time.set_tempo(120.0)
    bar = Quantum()
    assert rig.time.launch(bar) is None  # nothing plays
    rig.time.start()
    assert rig.time.launch(bar) is None  # and no stream
    began = rig.now - 2 * SECOND
    for block in range(20):
        rig.time.output_heard(44_100, 4410 * block, began + block * SECOND // 10)
    rig.now += SECOND // 4
    place = rig.time.launch(bar)
    assert place is not None
    assert (place.bar, place.beat) == (2, 4)
    assert place.frame == pytest.approx(4 * 44_100, abs=2)
    assert rig.time.renewed(place) == place
    for block in range(30, 33):
        assert rig.time.renewed(place) == place  # a block that comes late is no lost time
        rig.time.output_heard(44_100, 4410 * block, began + (block + 1) * SECOND // 10)
    moved = rig.time.renewed(place)
    assert moved is not None
    assert moved.frame == pytest.approx(place.frame - 4410, abs=2)  # 0.1 s were lost
    rig.time.stop()
    assert rig.time.renewed(place) is None
