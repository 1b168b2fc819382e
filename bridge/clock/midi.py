"""Following MIDI clock: 24 ticks a beat, start, continue, stop, song position (facts/daw.md §2.4)."""

from __future__ import annotations

from fractions import Fraction

from bridge.clock.loop import DelayLockedLoop
from bridge.clock.timeline import MINUTE_NS, Meter, Timeline
from bridge.clock.transport import State
from engine.request import MAX_BPM, MIN_BPM

TICK, START, CONTINUE, STOP, POSITION = 0xF8, 0xFA, 0xFB, 0xFC, 0xF2
TICKS_PER_BEAT = 24
TICKS_PER_SIXTEENTH = 6  # the unit of a song position pointer
TIMEOUT_NS = 250_000_000
MEMORY = 16 * TICKS_PER_BEAT
FIRST_TICKS = 6  # before that many there is no tempo to speak of
LOCKED_TICKS = 2 * TICKS_PER_BEAT
FINE = 1024  # parts of a nanosecond that a beat's length is rounded to


class MidiClockFollower:
    """A transport that follows the ticks of one MIDI port.

    The position is counted in ticks and therefore exact; only when a tick happened is estimated. A tick that comes
    while the song is stopped tells the tempo only. The first tick after a start or continue *is* the position that
    was given. A song position that comes while the song plays is ignored, as Ardour does.
    """

    name = "midi"

    def __init__(self, meter: Meter | None = None) -> None:
        self.meter = meter or Meter()
        self._loop = DelayLockedLoop(MEMORY)
        self._last_ns: int | None = None
        self._running = False
        self._waiting = False  # started, and the tick that begins it has not come
        self._ticks = 0  # position in the song of the last tick, or the one to go on from

    @property
    def bpm(self) -> float | None:
        """The tempo as estimated, or None."""
        period = self._loop.period_ns
        return MINUTE_NS / (TICKS_PER_BEAT * period) if self._usable and period > 0 else None

    @property
    def position(self) -> Fraction:
        """Beat of the last tick, or the one at which the song stands."""
        return Fraction(self._ticks, TICKS_PER_BEAT)

    @property
    def jitter_ms(self) -> float:
        """Standard deviation of the ticks around the tempo; below half a millisecond it is not told apart."""
        return self._loop.jitter_ns / 1e6

    @property
    def changes(self) -> int:
        """How often the tempo turned out to have changed since the clock was last lost."""
        return self._loop.changes

    @property
    def _usable(self) -> bool:
        return self._loop.count >= FIRST_TICKS

    def feed(self, message: bytes, at_ns: int) -> None:
        """A message of the port and when it arrived (monotonic); what is not about the clock is ignored."""
        status = message[0] if message else 0
        if status == TICK:
            self._tick(at_ns)
        elif status == START:
            self._start(0)
        elif status == CONTINUE:
            self._start(self._ticks)
        elif status == STOP:
            self._running = self._waiting = False
        elif status == POSITION and len(message) == 3 and not self._running:
            self._ticks = TICKS_PER_SIXTEENTH * (message[1] & 0x7F | (message[2] & 0x7F) << 7)

    def _start(self, ticks: int) -> None:
        self._ticks, self._running, self._waiting = ticks, True, True

    def _tick(self, at_ns: int) -> None:
        if self._last_ns is not None and at_ns - self._last_ns > TIMEOUT_NS:
            self._loop.reset()
        self._last_ns = at_ns
        self._loop.update(self._loop.position + 1, at_ns)
        if self._waiting:
            self._waiting = False
        elif self._running:
            self._ticks += 1

    def state(self, at_ns: int) -> State:
        """See :class:`~bridge.clock.transport.Transport`. Without a tick for 0.25 s nothing plays."""
        if self._last_ns is None or at_ns - self._last_ns > TIMEOUT_NS:
            lost = self._last_ns is not None and self._running
            return State(
                trouble="the MIDI clock has stopped coming; start it again in the DAW" if lost else ""
            )
        bpm = self.bpm
        if bpm is None:
            return State()
        if not MIN_BPM <= bpm <= MAX_BPM:
            hint = (
                "two programs may be sending it at once" if bpm > MAX_BPM else "ticks may get lost on the way"
            )
            return State(
                trouble=f"the MIDI clock runs at {bpm:.0f} bpm, outside {MIN_BPM:g} to {MAX_BPM:g}; {hint}"
            )
        playing = self._running and not self._waiting
        return State(self._timeline(), playing, self._loop.count >= LOCKED_TICKS)

    def _timeline(self) -> Timeline:
        origin, rest = self._loop.time_ns
        beat_ns = Fraction(round(TICKS_PER_BEAT * self._loop.period_ns * FINE), FINE)
        return Timeline(self.position, Fraction(origin + round(rest)), beat_ns, self.meter)
