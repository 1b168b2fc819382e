"""Musical time kept here: a tempo that was set, and a song that plays when told to."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from bridge.clock.timeline import Meter, Timeline, exact_bpm
from bridge.clock.transport import State
from engine.errors import OutOfRange
from engine.request import MAX_BPM, MIN_BPM


def checked_bpm(bpm: float | Fraction) -> Fraction:
    """The tempo, exactly. Raises :class:`OutOfRange` outside 20 to 400."""
    exact = exact_bpm(bpm)
    if not MIN_BPM <= exact <= MAX_BPM:
        raise OutOfRange(f"the tempo is {float(bpm):g} bpm; it must be from {MIN_BPM:g} to {MAX_BPM:g}")
    return exact


class InternalTransport:
    """A metronome. It never drifts: a tempo holds from the moment it was set on, in fractions."""

    name = "internal"

    def __init__(self, bpm: float | None = 120.0, meter: Meter | None = None) -> None:
        self._line: Timeline | None = None
        self._meter = meter or Meter()
        self._playing = False
        self._stands = Fraction(0)
        if bpm is not None:
            self._line = replace(Timeline.at_tempo(checked_bpm(bpm), 0), meter=self._meter)

    def set_tempo(self, bpm: float | Fraction, at_ns: int) -> None:
        """From ``at_ns`` on this tempo; the beat goes on. Raises :class:`OutOfRange`."""
        exact = checked_bpm(bpm)
        if self._line is None:
            self._line = replace(Timeline.at_tempo(exact, at_ns, self._stands), meter=self._meter)
        else:
            self._line = self._line.with_tempo(exact, at_ns)

    def set_meter(self, meter: Meter, at_ns: int) -> None:
        """This signature from the running bar on."""
        self._meter = meter
        if self._line is not None:
            standing = self._standing(at_ns)
            self._line = standing.with_meter(meter, at_ns)

    def play(self, at_ns: int) -> None:
        """Go on from where the song stands; nothing while it plays."""
        if not self._playing:
            self._line = self._standing(at_ns) if self._line is not None else None
            self._playing = True

    def stop(self, at_ns: int) -> None:
        """Stand where the song is."""
        if self._playing and self._line is not None:
            self._stands = self._line.beat_at(at_ns)
        self._playing = False

    def locate(self, beat: Fraction | int, at_ns: int) -> None:
        """Go to a beat, playing or not."""
        self._stands = Fraction(beat)
        if self._line is not None:
            self._line = replace(self._line, beat=self._stands, at_ns=Fraction(at_ns))

    def _standing(self, at_ns: int) -> Timeline:
        assert self._line is not None
        if self._playing:
            return self._line
        return replace(self._line, beat=self._stands, at_ns=Fraction(at_ns))

    def state(self, at_ns: int) -> State:
        """See :class:`~bridge.clock.transport.Transport`."""
        if self._line is None:
            return State(playing=False)
        return State(self._standing(at_ns), self._playing, True)
