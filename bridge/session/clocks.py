"""Parts of a session's musical time: Link while it is chosen, clocks of streams, what may be asked of others."""

from __future__ import annotations

from fractions import Fraction

from bridge.clock import Meter, State, StreamClock
from bridge.clock.link import LinkTransport
from engine.errors import OutOfRange, SegueError

SLIP_NS = 3_000_000  # a stream that is off its line by more has lost time
SLIPS = 3


class Follows(SegueError):
    """Something that a source decides which is not ours."""

    code, slug = 409, "follows"


class Link:
    """Ableton Link, joined when it is chosen and left when it is not."""

    name = "link"

    def __init__(self) -> None:
        self.open: LinkTransport | None = None

    def join(self, bpm: float, meter: Meter) -> None:
        """Join the session. Raises :class:`~engine.errors.NotReady` without the optional package."""
        if self.open is None:
            self.open = LinkTransport(bpm=bpm, meter=meter)

    def leave(self) -> None:
        """Leave it."""
        if self.open is not None:
            self.open.close()
            self.open = None

    def state(self, at_ns: int) -> State:
        """See :class:`~bridge.clock.transport.Transport`."""
        return State() if self.open is None else self.open.state(at_ns)


class Heard:
    """The clock of a stream by what the audio process tells of it, begun anew where the stream has lost time.

    One block that came late is no lost time: :data:`SLIPS` in a row must be off, and the earliest of them counts.
    """

    def __init__(self) -> None:
        self.clock: StreamClock | None = None
        self._slips: list[tuple[int, int]] = []

    def update(self, rate: int, frame: int, at_ns: int) -> None:
        """Frame ``frame`` of the stream, which has ``rate`` Hz, is heard (or was recorded) at ``at_ns``."""
        if self.clock is None or self.clock.rate != rate:
            self._begin(rate)
        assert self.clock is not None
        off = round(at_ns - self.clock.ns_at(frame)) if self.clock.seen else 0
        if abs(off) <= SLIP_NS:
            self._slips.clear()
            self.clock.update(frame, at_ns)
            return
        self._slips.append((frame, at_ns))
        if off < 0 or len(self._slips) == SLIPS:  # what is early cannot have been held up
            frame, at_ns = min(self._slips, key=lambda slip: slip[1] * rate - slip[0] * 10**9)
            self._begin(rate)
            self.clock.update(frame, at_ns)

    def lose(self) -> None:
        """The stream was opened anew: its frames are counted from nought."""
        self.clock = None
        self._slips.clear()

    def _begin(self, rate: int) -> None:
        self.clock = StreamClock(rate)
        self._slips.clear()


def place_in_song(beat: float) -> Fraction:
    """A beat of the song, from 0. Raises OutOfRange."""
    if not 0 <= beat < 1e7:
        raise OutOfRange(f"the beat is {beat:g}; it must be a number from 0")
    return Fraction(beat).limit_denominator(960)
