"""Another style while a take sounds: a take that goes on from it a little ahead of the listener, faded into.

What sounds plays on until the new take is there. Of a job that is still being made, what there is becomes a take.
Wishes do not pile up: one that comes while another is being carried out replaces it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from bridge.clock import Launch
from bridge.session.entries import TakeEntry
from bridge.session.jobs import Job, JobBook
from bridge.session.launching import Launching
from bridge.session.notices import NOBODY, Notices, Sendable
from bridge.session.playback import Player
from bridge.session.sources import FromTake, continued
from bridge.session.takes import TakeBook
from bridge.session.voices import Plan, Voice
from engine.errors import NotReady, SegueError
from engine.host.protocol import Ready
from engine.request import Request

FADE_MS = 50.0
AGAIN_SECONDS = 0.06  # without another wish for so long, the last one is carried out
LEAST_LEAD, MOST_LEAD = 0.12, 1.5  # seconds ahead of the listener
# A place that was too near costs more than one too far: what was missed is left out, and an engine hardly faster than
# the music makes it up slowly. So the longest of the last waits counts, and a little more.
WAITS, LEAD_MARGIN = 3, 1.2
# Of what sounded, the new style is given as much as carries the beat on: less to read in before the first sound, and
# less of the old style that would drown the new one.
PRIME_SECONDS = 1.0
ADDRESS = "/segue/style"
_TERMINAL = ("done", "failed", "cancelled")


class Restyling:
    """Carries out changes of style in what sounds."""

    def __init__(
        self,
        *,
        player: Player,
        jobs: JobBook,
        takes: TakeBook,
        launching: Launching,
        notices: Notices,
        engine_ready: Callable[[], Ready],
        tell: Callable[[str], None],
    ) -> None:
        self._player, self._jobs, self._takes, self._launching = player, jobs, takes, launching
        self._engine_ready, self._tell = engine_ready, tell
        self._job = ""  # that will be heard; empty: none
        self._again: asyncio.Handle | None = None
        self._soon = False  # as soon as all that a bundle sets is set
        self._waits: deque[float] = deque(maxlen=WAITS)  # seconds to the first sound of the last such jobs
        player.on_begin.append(self._began)
        notices.taps.append(self._heard)

    def changed(self) -> None:
        """Another style was chosen."""
        if self._player.current is None:
            return
        loop = asyncio.get_running_loop()
        if self._soon:
            return
        if not self._job and self._again is None:
            self._again, self._soon = loop.call_soon(self._replace), True
            return
        if self._again is not None:
            self._again.cancel()
        self._again = loop.call_later(AGAIN_SECONDS, self._replace)

    def close(self) -> None:
        """Carry nothing out any more."""
        if self._again is not None:
            self._again.cancel()

    def _replace(self) -> None:
        """The last of several wishes."""
        self._again, self._soon = None, False
        if self._job:
            self._jobs.cancel(self._job)
            self._job = ""
        self._go()

    def _go(self) -> None:
        voice = self._player.current
        if voice is None:
            return
        try:
            self._engine_ready()
            source = self._goes_on_from(voice)
            if source is not None:
                job = self._jobs.new_id()
                self._job = job
                self._jobs.add(Job(job, source(job), NOBODY, "", ADDRESS), first=True)
        except NotReady:
            return  # the next take is in the new style
        except SegueError as error:
            self._tell(error.message)

    def _goes_on_from(self, voice: Voice) -> Callable[[str], FromTake] | None:
        """What the new job goes on from: the take that sounds, which is called off if it is being made."""
        running = self._jobs.running
        if voice.ring is None:
            take = self._takes.find(voice.ident) if voice.ident.isdigit() else None
            return None if take is None else lambda job: self._source(job, voice, lambda: take)
        if running is not None and running.id == voice.ident and running.phase != "cancelling":
            self._jobs.cancel(voice.ident, keep=True)
        return lambda job: self._source(job, voice, lambda: self._made_of(voice))

    def _made_of(self, voice: Voice) -> TakeEntry | None:
        """The take of the job that sounds, once it is there. Raises when there will be none."""
        take = self._takes.of_job(voice.ident)
        running = self._jobs.running
        if take is None and (running is None or running.id != voice.ident):
            raise SegueError("too little of the take that plays was made to go on from it; generate again")
        return take

    def _source(self, job: str, voice: Voice, find: Callable[[], TakeEntry | None]) -> FromTake:
        chosen = self._launching.chosen

        def make(take: TakeEntry, ready: Ready) -> Request:
            plan, place, launch = self._place(voice, take)
            self._player.plan(job, plan)
            if voice.ring is not None and take.state == "partial":
                self._player.ends_at(voice.ident, voice.ring.promised)
            request = _soon(continued(take, ready, chosen, frames=place))
            return self._launching.timed(request, ready, launch)

        return FromTake(find, make)

    def _place(self, voice: Voice, take: TakeEntry) -> tuple[Plan, int, Launch | None]:
        """When the new take begins, at which frame of the old one that is, and the place on the grid, if it is one."""
        wait = max(self._waits, default=self._player.first_delay)
        lead = min(MOST_LEAD, max(LEAST_LEAD, LEAD_MARGIN * wait))
        launch = self._launching.next_place(lead)
        at_ns = time.monotonic_ns() + round(lead * 1e9) if launch is None else launch.at_ns
        place = voice.place_at(at_ns, self._player.stream)
        if place > take.held:  # the listener comes to the end of what there is before that
            at_ns -= round((place - take.held) * 1e9 / voice.rate)
            launch, place = None, take.held
        place = max(1, place)
        frame = voice.frame_of(place, self._player.stream)
        plan = Plan(at_ns=at_ns, at_frame=frame, takes_over=True, aligned=True, fade_ms=FADE_MS)
        return plan, place, launch

    def _began(self, voice: Voice) -> None:
        if voice.ident != self._job:
            return
        self._job = ""
        if voice.prebuffer is not None and voice.prebuffer.first_delay:
            self._waits.append(voice.prebuffer.first_delay)

    def _heard(self, address: str, values: tuple[Sendable, ...]) -> None:
        """A job that fails, or is called off, will not be heard."""
        if address == "/segue/job" and values[0] == self._job and values[1] in _TERMINAL[1:]:
            self._job = ""


def _soon(request: Request) -> Request:
    """The same with a shorter prime."""
    sampling = request.sampling.model_copy(update={"prime_seconds": PRIME_SECONDS})
    return request.model_copy(update={"sampling": sampling})
