"""Ableton Link: tempo, beat and start/stop shared with other programs in the network (facts/daw.md §2.5).

Needs the optional package LinkPython-extern (Link itself is GPL-2 or later): of the two that are kept up, it is the one
that tells the beat of a moment and the moment of a beat; aalink tells the present beat only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from importlib import import_module
from typing import Any

from bridge.clock.internal import checked_bpm
from bridge.clock.timeline import Meter, Timeline
from bridge.clock.transport import State
from engine.errors import NotReady

READINGS = 5


def link_is_there() -> bool:
    """Whether the optional package can be imported."""
    try:
        import_module("link").Link  # noqa: B018 (another package may be called link, too)
    except (ImportError, AttributeError):
        return False
    return True


class LinkTransport:
    """A peer of the Link session. Without start/stop sync, Link has no stop: the song always plays.

    Beats of Link are counted from nobody's beginning: bars agree between peers, their numbers do not.
    """

    name = "link"

    def __init__(
        self,
        *,
        bpm: float = 120.0,
        meter: Meter | None = None,
        start_stop: bool = False,
        open_link: Callable[[float], Any] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Join the session, with ``bpm`` where there is none yet. Raises :class:`NotReady` without the package."""
        checked_bpm(bpm)
        if open_link is None:
            if not link_is_there():
                raise NotReady(
                    "Ableton Link is not installed; install segue[link], or choose another clock source"
                )
            open_link = import_module("link").Link
        self.meter = meter or Meter()
        self._clock = clock
        self._start_stop = start_stop
        self._link = open_link(bpm)
        self._link.startStopSyncEnabled = start_stop
        self._link.enabled = True

    @property
    def peers(self) -> int:
        """Other programs in the session."""
        return int(self._link.numPeers())

    def close(self) -> None:
        """Leave the session."""
        self._link.enabled = False

    def set_tempo(self, bpm: float) -> None:
        """Propose a tempo to everybody in the session. Raises :class:`OutOfRange`."""
        exact = checked_bpm(bpm)
        session = self._link.captureSessionState()
        session.setTempo(float(exact), self._link.clock().micros())
        self._link.commitSessionState(session)

    def _offset_ns(self) -> int:
        """Our clock minus Link's, from the reading that was least disturbed."""
        readings = []
        for _ in range(READINGS):
            before = self._clock()
            micros = self._link.clock().micros()
            after = self._clock()
            readings.append((after - before, (before + after) // 2 - 1000 * micros))
        return min(readings)[1]

    def state(self, at_ns: int) -> State:
        """See :class:`~bridge.clock.transport.Transport`."""
        offset = self._offset_ns()
        session = self._link.captureSessionState()
        micros = (at_ns - offset) // 1000
        # Link's phase is that of its quantum: bars of this meter.
        beat = Fraction(session.beatAtTime(micros, float(self.meter.bar_beats)))
        line = Timeline.at_tempo(session.tempo(), 1000 * micros + offset, beat)
        playing = bool(session.isPlaying()) if self._start_stop else True
        return State(replace(line, meter=self.meter), playing, True)
