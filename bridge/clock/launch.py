"""Beginning on the grid: the exact sample at which a bar begins, and the samples of the last bars."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from bridge.clock.stream import StreamClock
from bridge.clock.timeline import Timeline
from bridge.clock.transport import Transport
from presets.quantum import Quantum

PAST_NS = 50_000_000  # a beat so long ago has been missed
GRACE_BEATS = Fraction(1, 2)


@dataclass(frozen=True)
class Launch:
    """Where something begins: ``beat`` of the song, in bar ``bar`` (from 1), at ``at_ns``, at sample ``frame``.

    ``frame`` counts in the stream's samples; :meth:`frame_in` converts it. ``timeline`` is what it was computed from.
    """

    beat: Fraction
    bar: int
    at_ns: int
    frame: int
    timeline: Timeline

    def frame_in(self, rate: int, stream_rate: int) -> int:
        """The same place in a stream of another rate that began at the same moment."""
        return round(Fraction(self.frame * rate, stream_rate))


def launch(
    transport: Transport, stream: StreamClock, quantum: Quantum, now_ns: int, *, lead_ns: int = 0
) -> Launch | None:
    """The next place on the grid, for what is asked for at ``now_ns``: anywhere in bar 4 gives the downbeat of bar 5.

    A downbeat belongs to the bar it begins. ``lead_ns``: how long before its time the beginning must be known; a place
    nearer than that is left for the next one. None while nothing plays: then there is no grid, and one begins at once.
    """
    state = transport.state(now_ns)
    if not state.playing or state.timeline is None:
        return None
    line = state.timeline
    earliest = line.beat_at(now_ns + lead_ns)
    step = quantum.beats(line.meter.bar_beats)
    return _at(line, line.next_boundary(earliest, step) if step else earliest, stream)


def renewed(before: Launch, transport: Transport, stream: StreamClock, now_ns: int) -> Launch | None:
    """The same beat by what is known now; ask as late as possible. None when the song has stopped or was moved.

    Moved is a song that has passed the beat already, or is now a bar further from it than it was.
    """
    state = transport.state(now_ns)
    if not state.playing or state.timeline is None:
        return None
    found = _at(state.timeline, before.beat, stream)
    if found.at_ns < now_ns - PAST_NS or found.at_ns - before.at_ns > state.timeline.bar_ns:
        return None
    return found


def _at(line: Timeline, beat: Fraction, stream: StreamClock) -> Launch:
    at = line.ns_at(beat)
    return Launch(beat, line.bar_at(beat), round(at), round(stream.frame_at(at)), line)


def capture_span(
    transport: Transport,
    stream: StreamClock,
    bars: int | Fraction,
    now_ns: int,
    *,
    grace: Fraction = GRACE_BEATS,
) -> tuple[int, int] | None:
    """The samples ``[start, stop)`` of an input stream that hold the last ``bars`` whole bars.

    They end at the downbeat before ``now_ns``, or at the one that comes within ``grace`` beats: a pad is struck a
    little early as often as late; then ``stop`` is still to be recorded. Exactly ``bars`` long at the tempo of now.
    None without a tempo.
    """
    line = transport.state(now_ns).timeline
    if line is None:
        return None
    stop = line.bar_start(line.bar_at(line.beat_at(now_ns) + grace))
    length = bars * line.meter.bar_beats
    return (
        round(stream.frame_at(line.ns_at(stop - length))),
        round(stream.frame_at(line.ns_at(stop))),
    )
