"""Musical time told over OSC: a tempo, and now and then the beat it is."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

from bridge.clock.internal import InternalTransport, checked_bpm
from bridge.clock.loop import DelayLockedLoop
from bridge.clock.timeline import MINUTE_NS, Timeline
from engine.errors import OutOfRange
from engine.request import MAX_BPM, MIN_BPM

MEMORY = 32  # beats
ENOUGH = 4  # beats before they tell a tempo
JUMP = Fraction(1, 4)  # of a beat: further off than that, the song has been moved
STALE_BEATS = 4  # without a beat for that long, the next ones begin a new count


class OscTransport(InternalTransport):
    """Runs by the tempo that was set; every beat that is told moves it a little towards where the sender is.

    Without a tempo, beats tell one from the fourth on. The first beat told begins to play.
    """

    name = "osc"

    def __init__(self) -> None:
        super().__init__(bpm=None)
        self._told: Fraction | None = None  # the tempo as set
        self._beats = DelayLockedLoop(MEMORY)
        self._heard = 0
        self._last_ns = 0

    def set_tempo(self, bpm: float | Fraction, at_ns: int) -> None:
        """See :meth:`InternalTransport.set_tempo`; beats correct the position from now on, not the tempo."""
        super().set_tempo(bpm, at_ns)
        self._told, self._heard = checked_bpm(bpm), 0

    def beat(self, beat: Fraction | float, at_ns: int) -> None:
        """It is ``beat`` (0: where the song begins) at ``at_ns``, give or take the network. Raises OutOfRange."""
        if not (math.isfinite(beat) and beat >= 0):
            raise OutOfRange(f"the beat is {float(beat):g}; it must be a number from 0")
        place = Fraction(beat).limit_denominator(960)
        if self._told is None:
            self._estimate(place, at_ns)
        line = self._line
        if line is None:
            self._stands = place
            return
        if self._playing and at_ns - self._last_ns > STALE_BEATS * line.beat_ns:
            self._heard = 0
        self._last_ns = at_ns
        away = place - line.beat_at(at_ns)
        if not self._playing or abs(away) > JUMP:
            self.locate(place, at_ns)
            self._playing, self._heard = True, 1
        elif self._told is not None:
            # The mean of all beats heard, then of the last ones: jitter averages out, a slow drift does not stay.
            self._heard = min(self._heard + 1, MEMORY)
            self._line = replace(line, beat=line.beat + away / self._heard)

    def _estimate(self, place: Fraction, at_ns: int) -> None:
        if place.denominator != 1 or (self._beats.count and place != self._beats.position + 1):
            self._beats.reset()
            if place.denominator != 1:
                return
        self._beats.update(int(place), at_ns)
        period = self._beats.period_ns
        if self._beats.count < ENOUGH or not MIN_BPM <= MINUTE_NS / period <= MAX_BPM:
            return
        origin, rest = self._beats.time_ns
        self._line = Timeline(
            place, Fraction(origin + round(rest)), Fraction(round(period * 1024), 1024), self._meter
        )
        self._playing = True

    def stop(self, at_ns: int) -> None:
        """See :meth:`InternalTransport.stop`."""
        super().stop(at_ns)
        self._heard = 0
        self._beats.reset()
