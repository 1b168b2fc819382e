"""Parts of a session's musical time: Link while it is chosen, clocks of streams, what may be asked of others."""

from __future__ import annotations

from fractions import Fraction

from bridge.clock import Meter, State, StreamClock
from bridge.clock.link import LinkTransport
from engine.errors import OutOfRange, SegueError

SLIP_NS = 3_000_000  # a stream that is off its line by more has lost time


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


def heard(stream: StreamClock | None, rate: int, frame: int, at_ns: int) -> StreamClock:
    """The clock of a stream, begun anew where the stream has lost time: what is told of it is steady otherwise."""
    slipped = stream is not None and stream.seen and abs(stream.ns_at(frame) - at_ns) > SLIP_NS
    if stream is None or stream.rate != rate or slipped:
        stream = StreamClock(rate)
    stream.update(frame, at_ns)
    return stream


def place_in_song(beat: float) -> Fraction:
    """A beat of the song, from 0. Raises OutOfRange."""
    if not 0 <= beat < 1e7:
        raise OutOfRange(f"the beat is {beat:g}; it must be a number from 0")
    return Fraction(beat).limit_denominator(960)
