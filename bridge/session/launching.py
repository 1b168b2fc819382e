"""Beginning on the grid: what is asked for anywhere in a bar is heard from the next downbeat on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from bridge.clock import Launch, timing_of
from bridge.session.choices import Choices, Choosing
from bridge.session.playback import Player
from bridge.session.sources import Source
from bridge.session.transport import MusicalTime
from bridge.session.voices import Plan
from engine.host.protocol import Ready
from engine.request import Place, Pulse, Request

LEAD_SECONDS = 0.06  # what is asked for later than that before a downbeat begins on the one after
LAUNCH_FADE_MS = 10.0


class Launching:
    """Plans how jobs and takes begin, by the clock that is followed and the quantum that was chosen."""

    def __init__(self, clock: MusicalTime, player: Player, choosing: Choosing) -> None:
        self._clock, self._player, self._choosing = clock, player, choosing

    @property
    def chosen(self) -> Choices:
        """What is chosen, in the tempo of the clock where no other was asked for."""
        chosen, bpm = self._choosing.now, self._clock.bpm
        if bpm is None or chosen.settings.bpm:
            return chosen
        settings = chosen.settings.model_copy(update={"bpm": round(bpm, 2)})
        return replace(chosen, settings=settings)

    def next_place(self, lead_seconds: float = LEAD_SECONDS) -> Launch | None:
        """The next place on the grid; None where there is none."""
        return self._clock.launch(self._choosing.now.quantum, lead_seconds)

    def plan(self, at_ns: int | None = None, quantised: bool = True) -> Plan:
        """How something begins that is asked for now, or meant for the moment ``at_ns``."""
        if at_ns is not None:
            return Plan(at_ns=at_ns, takes_over=True, fade_ms=LAUNCH_FADE_MS)
        place = self.next_place() if quantised else None
        return Plan(launch=place, takes_over=place is not None, fade_ms=LAUNCH_FADE_MS)

    def on_grid(self, job: str, source: Source, at_ns: int | None = None) -> Source:
        """The same source, of a job that begins on the grid and whose request says where the grid is."""
        return _OnGrid(self, job, source, at_ns)

    def begin(self, job: str, request: Request, ready: Ready, at_ns: int | None) -> Request:
        """Plan the sound of a job and put the time into its request."""
        plan = self.plan(at_ns)
        self._player.plan(job, plan)
        return self.timed(request, ready, plan.launch)

    def timed(self, request: Request, ready: Ready, place: Launch | None) -> Request:
        """The request with what the clock knows: bars of its signature, where they begin, the key, the song."""
        clock = self._clock
        meter = (clock.meter.numerator, clock.meter.denominator)
        request = request.model_copy(update={"frames": self._length(request), "meter": meter})
        if place is not None:
            request = request.model_copy(update={"place": Place(beat=max(0.0, float(place.beat)))})
            timing = timing_of(
                place,
                rate=ready.rate,
                heard_seconds=request.frames / ready.rate,
                song_bars=clock.song_bars or None,
                key=clock.known_key,
            )
            return request.model_copy(update=timing.fields())
        if clock.known_key is not None:
            return request.model_copy(update={"pulse": Pulse(key=clock.known_key)})
        return request

    def _length(self, request: Request) -> int:
        """Bars are counted in 4/4 until here."""
        if request.bars is None:
            return request.frames
        return max(1, round(Fraction(request.frames) * self._clock.meter.bar_beats / 4))


@dataclass(frozen=True)
class _OnGrid:
    """A source whose jobs are launched."""

    launching: Launching
    job: str
    source: Source
    at_ns: int | None

    @property
    def takes(self) -> int:
        return self.source.takes

    def request(self, ready: Ready) -> Request | None:
        request = self.source.request(ready)
        return None if request is None else self.launching.begin(self.job, request, ready, self.at_ns)
