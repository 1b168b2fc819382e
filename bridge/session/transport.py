"""Musical time in a session: the source that is followed, what it says, and what is told of it.

Sources are those of :mod:`bridge.clock`. Where nothing is followed (``none``) there is no grid, and a tempo that was
set is only a number that lengths in bars are counted with.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from bridge.clock import (
    InternalTransport,
    Launch,
    Meter,
    MidiClockFollower,
    OscTransport,
    Selector,
    State,
    StreamClock,
    capture_span,
    launch,
)
from bridge.clock.internal import checked_bpm
from bridge.clock.launch import GRACE_BEATS, renewed
from bridge.clock.selector import NONE
from bridge.midi import ClockMessage
from bridge.osc.peer import Peer
from bridge.session.clocks import Follows, Heard, Link, place_in_song
from bridge.session.notices import Notices
from bridge.session.properties import Properties
from presets import Quantum

USUAL_BPM = 120.0
IDLE_SECONDS = 0.25  # how often a source that does not play is looked at
LOST_PORT_NS = 1_000_000_000  # without a tick for that long, another port's clock is followed
TEMPO_STEP = 0.05  # bpm: smaller changes are not told
JUMP_BEATS = Fraction(1, 2)
LEAST_LEAD_NS = 20_000_000


class MusicalTime:
    """The clock sources of a session and the one that is followed. ``now`` gives monotonic nanoseconds.

    ``tell`` gets sentences for people; ``on_move`` is called when the song has started, stopped or jumped, or its
    tempo has changed.
    """

    def __init__(
        self,
        notices: Notices,
        properties: Properties,
        tell: Callable[[str], None],
        *,
        source: str = NONE,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.meter = Meter()
        self.key = ""
        self.song_bars = 0.0  # length of the song; 0: unknown
        self.on_move: list[Callable[[], None]] = []
        self._output, self._input = Heard(), Heard()
        self._notices, self._properties, self._tell, self._now = notices, properties, tell, now
        self._internal, self._midi, self._osc, self._link = (
            InternalTransport(bpm=None),
            MidiClockFollower(),
            OscTransport(),
            Link(),
        )
        sources = (self._internal, self._midi, self._osc, self._link)
        self._selector = Selector({one.name: one for one in sources}, source)
        self._set_bpm: Fraction | None = None
        self._midi_port: tuple[str, int] = ("", 0)
        self._rival = ""
        self._timer: asyncio.TimerHandle | None = None
        self._told = State()
        self._told_bpm = 0.0
        self._told_beat = -1
        self._foreseen: tuple[Fraction, int] | None = None  # a beat and when it was expected
        for address, read in (
            ("/segue/sync/source", lambda: (self._selector.name,)),
            ("/segue/sync/locked", lambda: (int(self._told.locked),)),
            ("/segue/tempo", lambda: (round(self.bpm or 0.0, 3),)),
            ("/segue/signature", lambda: (self.meter.numerator, self.meter.denominator)),
            ("/segue/key", lambda: (self.key,)),
            ("/segue/song/bars", lambda: (float(self.song_bars),)),
            ("/segue/transport/playing", lambda: (int(self._told.playing),)),
        ):
            properties.add(address, read)

    def show_grid(self, quantum: Callable[[], Quantum]) -> None:
        """There are properties of the grid that was chosen."""
        beats = lambda: float(quantum().beats(self.meter.bar_beats))  # noqa: E731
        self._properties.add("/segue/quantum", lambda: (beats(),))
        self._properties.add("/segue/quantum/bars", lambda: (beats() / float(self.meter.bar_beats),))

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def output(self) -> StreamClock | None:
        """Which frame of the output is heard when; None before any was."""
        return self._output.clock

    @property
    def input(self) -> StreamClock | None:
        """Which frame of the input was recorded when; None before any was."""
        return self._input.clock

    @property
    def sources(self) -> tuple[str, ...]:
        """What can be followed."""
        return self._selector.names

    @property
    def state(self) -> State:
        """Musical time now."""
        return self._selector.state(self._now())

    @property
    def source(self) -> str:
        """The one that is followed."""
        return self._selector.name

    @property
    def bpm(self) -> float | None:
        """The tempo of the source, else the one that was set, else None."""
        line = self.state.timeline
        if line is not None:
            return line.bpm
        return None if self._set_bpm is None else float(self._set_bpm)

    @property
    def known_key(self) -> str | None:
        """The key that was set, as requests take it."""
        return self.key or None

    # -- what is set ----------------------------------------------------------------------------------------------

    def follow(self, name: str, also: Peer | None = None) -> None:
        """Follow another source. Raises OutOfRange for one that there is not, NotReady for Link without Link."""
        if name == self._link.name:
            self._link.join(float(self._set_bpm or USUAL_BPM), self.meter)
        self._selector.choose(name)
        if name != self._link.name:
            self._link.leave()
        if name == self._internal.name and self._set_bpm is None:
            self._apply_tempo(checked_bpm(USUAL_BPM))
        self._told, self._told_bpm, self._told_beat, self._foreseen = State(), 0.0, -1, None
        self._properties.publish("/segue/sync/source", also)
        self.poke()

    def set_tempo(self, bpm: float, also: Peer | None = None) -> None:
        """Raises :class:`Follows` when the tempo is that of a MIDI clock, OutOfRange outside 20 to 400."""
        if self._selector.name == self._midi.name and self._midi.bpm is not None:
            raise Follows(
                "the tempo follows the MIDI clock; change it in the DAW, or choose another /segue/sync/source"
            )
        self._apply_tempo(checked_bpm(bpm))
        self._told_bpm = self.bpm or 0.0
        self._properties.publish("/segue/tempo", also)
        self.poke()

    def _apply_tempo(self, bpm: Fraction) -> None:
        self._set_bpm = bpm
        now = self._now()
        self._internal.set_tempo(bpm, now)
        self._osc.set_tempo(bpm, now)
        if self._link.open is not None:
            self._link.open.set_tempo(float(bpm))

    def set_meter(self, numerator: int, denominator: int, also: Peer | None = None) -> None:
        """Raises OutOfRange for what is no signature."""
        meter = Meter(numerator, denominator)
        now, self.meter = self._now(), meter
        for transport in (self._internal, self._osc):
            transport.set_meter(meter, now)
        self._midi.meter = meter
        if self._link.open is not None:
            self._link.open.meter = meter
        self._properties.publish("/segue/signature", also)
        self._properties.publish("/segue/quantum")
        self._moved()

    def set_key(self, key: str, also: Peer | None = None) -> None:
        """``""``: no key is known; otherwise as :data:`engine.request.KEYS` writes them, checked by the table."""
        self.key = key
        self._properties.publish("/segue/key", also)

    def set_song_bars(self, bars: float, also: Peer | None = None) -> None:
        """How long the song is, for models that hear where in a song they are; 0: unknown."""
        self.song_bars = bars
        self._properties.publish("/segue/song/bars", also)

    def start(self) -> None:
        """The song plays, from where it stands. Raises :class:`Follows` for other clocks."""
        self._own().play(self._now())
        self.poke()

    def stop(self) -> None:
        """The song stands. Raises :class:`Follows` for other clocks."""
        self._own().stop(self._now())
        self.poke()

    def locate(self, beat: float) -> None:
        """The song goes to ``beat``. Raises :class:`Follows` for other clocks."""
        self._own().locate(place_in_song(beat), self._now())
        self._foreseen, self._told_beat = None, -1
        self._moved()
        self.poke()

    def _own(self) -> InternalTransport:
        """The source that can be told what to do."""
        name = self._selector.name
        if name == self._internal.name:
            return self._internal
        if name == self._osc.name:
            return self._osc
        right = (
            "send /segue/sync/source internal first" if name == NONE else f"start and stop the {name} clock"
        )
        raise Follows(f"the session follows {'no clock' if name == NONE else name}; {right}")

    # -- what arrives ---------------------------------------------------------------------------------------------

    def midi_clock(self, message: ClockMessage) -> None:
        """A clock message of a MIDI port. One port is followed; that another sends clock too is said once."""
        port, heard = self._midi_port
        if message.port != port:
            if message.at_ns - heard < LOST_PORT_NS:
                if message.port != self._rival and message.kind == "clock":
                    self._rival = message.port
                    self._tell(
                        f"the MIDI ports '{port}' and '{message.port}' both send clock; '{port}' is followed, "
                        "so switch one of them off"
                    )
                return
            if message.kind == "clock" or not port:
                self._midi_port, self._rival = (message.port, message.at_ns), ""
        else:
            self._midi_port = (port, message.at_ns)
        self._midi.feed(message.data, message.at_ns)
        if self._selector.name == self._midi.name and message.kind != "clock":
            self.poke()

    def osc_beat(self, beat: float) -> None:
        """A DAW says which beat it is now. Raises OutOfRange for what is none."""
        self._osc.beat(beat, self._now())
        if self._selector.name == self._osc.name and not self._told.playing:
            self.poke()

    def output_heard(self, rate: int, frame: int, at_ns: int) -> None:
        """Frame ``frame`` of the output stream is heard at ``at_ns``."""
        self._output.update(rate, frame, at_ns)

    def input_heard(self, rate: int, frame: int, at_ns: int) -> None:
        """Frame ``frame`` of the input stream was recorded at ``at_ns``."""
        self._input.update(rate, frame, at_ns)

    def input_lost(self) -> None:
        """The input was opened anew."""
        self._input.lose()

    def output_lost(self) -> None:
        """The output was opened anew: its frames are counted from nought."""
        self._output.lose()

    # -- where something begins -----------------------------------------------------------------------------------

    def launch(self, quantum: Quantum, lead_seconds: float = 0.0) -> Launch | None:
        """The next place on the grid that is at least ``lead_seconds`` away; None when there is no grid."""
        if self.output is None or not self.output.seen or quantum.amount == 0:
            return None
        lead = max(LEAST_LEAD_NS, round(lead_seconds * 1e9))
        return launch(self._selector, self.output, quantum, self._now(), lead_ns=lead)

    def capture_span(self, bars: Fraction) -> tuple[int, int] | None:
        """The frames of the input that hold the last whole bars; None where the source knows no bars."""
        return self._span(bars, self._now(), GRACE_BEATS)

    def coming_span(self, bars: Fraction) -> tuple[float, tuple[int, int]] | None:
        """Seconds to the next downbeat, and the frames of the whole bars before it; None while nothing plays."""
        now, state = self._now(), self.state
        if not state.playing or state.timeline is None:
            return None
        line = state.timeline
        downbeat = line.ns_at(line.bar_start(line.bar_at(line.beat_at(now)) + 1))
        span = self._span(bars, round(downbeat) + 1_000_000, Fraction(0))
        return None if span is None else (float(downbeat - now) / 1e9, span)

    def _span(self, bars: Fraction, at_ns: int, grace: Fraction) -> tuple[int, int] | None:
        if self.input is None or not self.input.seen:
            return None
        return capture_span(self._selector, self.input, bars, at_ns, grace=grace)

    def renewed(self, before: Launch) -> Launch | None:
        """The same beat by what is known now; None when the song has stopped or was moved."""
        if self.output is None or not self.output.seen:
            return None
        return renewed(before, self._selector, self.output, self._now())

    # -- what is told ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Begin to tell beats and changes, in the running loop."""
        self.poke()

    def close(self) -> None:
        """Tell nothing any more, leave Link."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._link.leave()

    def poke(self) -> None:
        """Look at the source now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # not started yet
        wait = self._look()
        if self._selector.name != NONE:
            self._timer = loop.call_later(wait, self.poke)

    def _look(self) -> float:
        """Tell what has changed; returns the seconds until the next look."""
        now = self._now()
        before, state = self._told, self._selector.state(now)
        self._told = replace(state, timeline=None)
        if state.trouble and state.trouble != before.trouble:
            self._tell(state.trouble)
        if state.locked != before.locked:
            self._properties.publish("/segue/sync/locked")
        if state.playing != before.playing:
            self._properties.publish("/segue/transport/playing")
            self._foreseen = None
        bpm = self.bpm or 0.0
        if abs(bpm - self._told_bpm) >= TEMPO_STEP:
            self._tempo_changed(self._told_bpm, bpm, state.playing)
        jumped = self._watch_position(state, now)
        if state.playing != before.playing or jumped:
            self._moved()
        if not state.playing or state.timeline is None:
            self._told_beat = -1
            return IDLE_SECONDS
        return self._tell_beat(state, now)

    def _tell_beat(self, state: State, now: int) -> float:
        assert state.timeline is not None
        beat = int(state.timeline.beat_at(now))
        if beat > self._told_beat or beat < self._told_beat - 1:
            self._told_beat = beat
            self._notices.publish("/segue/beat", beat)
        coming = (state.timeline.ns_at(self._told_beat + 1) - now) / 10**9
        return min(IDLE_SECONDS, max(0.001, float(coming) + 0.0005))

    def _tempo_changed(self, before: float, bpm: float, playing: bool) -> None:
        self._told_bpm = bpm
        self._properties.publish("/segue/tempo")
        doubled = before and bpm and playing and not 0.67 < bpm / before < 1.5
        if doubled and self._selector.name != self._internal.name:
            self._tell(
                f"the clock went from {before:.1f} to {bpm:.1f} bpm; if that was not meant, "
                "see that one program only sends it"
            )

    def _watch_position(self, state: State, now: int) -> bool:
        """Whether the song is elsewhere than it must be by now, which is told."""
        foreseen, line = self._foreseen, state.timeline
        self._foreseen = None if line is None or not state.playing else (line.beat_at(now), now)
        if foreseen is None or line is None or not state.playing:
            return False
        beat, at = foreseen
        expected = beat + (now - at) / line.beat_ns
        if abs(line.beat_at(now) - expected) <= JUMP_BEATS:
            return False
        bars = line.bar_at(expected), line.bar_at(line.beat_at(now))
        self._tell(
            f"the clock jumped from bar {bars[0]} to bar {bars[1]}; what is armed begins on the next bar there"
        )
        return True

    def _moved(self) -> None:
        for call in self.on_move:
            call()
