"""Jobs: accepted, queued, run one after the other, and ended exactly once."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from bridge.midi.settings import complaint
from bridge.osc.endpoint import Peer
from bridge.session.aside import Aside
from bridge.session.notices import Notices
from bridge.session.sources import Source
from bridge.session.takes import TakeBook
from engine.errors import NoJob, NotReady, OutOfRange, QueueFull, SegueError
from engine.host.keeping import kept_take
from engine.host.protocol import (
    Cancel,
    Command,
    Generate,
    JobCancelled,
    JobFailed,
    JobState,
    KeptTake,
    Prepare,
    Ready,
    TakeDone,
)
from engine.request import Request

ADDRESS = "/segue/generate"
MAX_JOBS = 16
NOTICE_INTERVAL_SECONDS = 0.1
MOST_DEATHS = 3  # of the engine in a row, without progress, before a job is given up
TERMINAL = frozenset({"done", "failed", "cancelled"})


class Playback(Protocol):
    """What jobs need of the player (bridge/session/playback.py)."""

    def open(self, job: str, frames: int, rate: int, kind: str) -> str:
        """Make the ring of a job's first take, unless there is one; returns its name. ``kind``: jobs of one kind are
        made at one pace."""

    def written(self, job: str) -> int:
        """Frames of the continuation that the engine has put into the job's ring."""

    def drop(self, job: str) -> None:
        """The job will not go on: stop what plays of it."""


@dataclass
class Job:
    """An accepted wish for takes, asked for at ``address``: where its request comes from, and how far it has come."""

    id: str
    source: Source
    requester: Peer
    request_tag: str
    address: str = ADDRESS
    phase: str = "queued"
    progress: float = 0.0
    eta_seconds: float = 0.0
    request: Request | None = None
    rate: int = 0
    keep: bool = False  # what there is of it when it is cancelled
    takes_done: int = 0
    takes_before: int = 0  # made when the engine was last given this job
    folders: dict[int, str] = field(default_factory=dict)  # where unfinished takes grow, by number from 0
    deaths: int = 0
    noticed_at: float = field(default=0.0, repr=False)

    @property
    def takes(self) -> int:
        """How many are made."""
        return self.source.takes


class JobBook:
    """The queue of jobs; the first one runs. At most :data:`MAX_JOBS` wait or run.

    ``engine_ready`` gives the engine's :class:`Ready` while it can take commands, else None.
    """

    def __init__(
        self,
        *,
        send: Callable[[Command], None],
        engine_ready: Callable[[], Ready | None],
        playback: Playback,
        notices: Notices,
        takes: TakeBook,
        aside: Aside,
        takes_folder: str,
        on_change: Callable[[], None],
    ) -> None:
        self.running: Job | None = None
        self._queue: deque[Job] = deque()
        self._send = send
        self._engine_ready = engine_ready
        self._playback = playback
        self._notices = notices
        self._takes = takes
        self._aside = aside
        self._takes_folder = takes_folder
        self._on_change = on_change
        self._jobs = 0

    @property
    def waiting(self) -> int:
        """Jobs that have not begun."""
        return len(self._queue)

    def new_id(self) -> str:
        """The name of the next job. Raises :class:`QueueFull`."""
        if len(self._queue) + (self.running is not None) >= MAX_JOBS:
            raise QueueFull(f"{MAX_JOBS} jobs are waiting; cancel one or wait until one has ended")
        self._jobs += 1
        return f"J{self._jobs}"

    def add(self, job: Job, *, first: bool = False) -> None:
        """Queue a job, ``first`` before those that wait, and run it when its turn comes."""
        (self._queue.appendleft if first else self._queue.append)(job)
        self._announce(job)
        self.advance()

    def prepare(self, source: Source) -> None:
        """Tell the engine what the next job will probably be, so that it can begin; what is wrong is said later."""
        ready = self._engine_ready()
        with contextlib.suppress(ValidationError, SegueError):
            if ready is not None and (request := source.request(ready)) is not None:
                self._send(Prepare(request=request, takes=source.takes))

    def advance(self) -> None:
        """Start the next job if the engine is free and ready, and what the job goes on from is there."""
        ready = self._engine_ready()
        while self.running is None and ready is not None and self._queue:
            job = self._queue[0]
            try:
                request = job.source.request(ready)
                if request is None:
                    break
                job.request = Request.model_validate(request.model_dump())  # (a copy that was changed is not)
                self._queue.popleft()
                self._start(job, ready)
            except (ValidationError, SegueError) as error:
                if self._queue and self._queue[0] is job:
                    self._queue.popleft()
                self._fail(job, _named(error))
        self._on_change()

    def _start(self, job: Job, ready: Ready) -> None:
        self.running = job
        job.phase, job.rate = "running", ready.rate
        self._send_generate(job, ready.rate)
        self._announce(job)

    def _send_generate(self, job: Job, rate: int) -> None:
        """Give the engine what is left of a job: all of it at first, the unfinished takes after a restart."""
        assert job.request is not None
        request = job.request.model_copy(update={"seed": job.request.seed + job.takes_done})
        job.takes_before = job.takes_done
        ring, given = None, 0
        if job.takes_done == 0:
            kind = f"{request.fidelity} x {job.takes}"
            ring = self._playback.open(job.id, request.frames, rate, kind)
            given = self._playback.written(job.id)
        self._send(
            Generate(
                job=job.id,
                request=request,
                takes=job.takes - job.takes_done,
                folder=self._takes_folder,
                ring=ring,
                ring_from=given,
                resume=[folder for _, folder in sorted(job.folders.items())],
            )
        )

    def engine_is_back(self) -> None:
        """The engine was replaced: the running job goes on where its last window ended."""
        job, ready = self.running, self._engine_ready()
        if job is None or ready is None:
            self.advance()
        elif job.phase == "cancelling":
            self._end_of_cancelled(job)
        elif job.deaths >= MOST_DEATHS:
            self._fail(
                job,
                SegueError(f"the engine died {job.deaths} times on this job; its finished windows are kept"),
            )
        else:
            self._send_generate(job, ready.rate)

    def engine_died(self) -> None:
        """The engine is gone; the running job stays running until the next one takes it over."""
        if self.running is not None:
            self.running.deaths += 1

    def engine_has_failed(self, error: SegueError) -> None:
        """No engine will come back: every job fails."""
        jobs = [job for job in (self.running, *self._queue) if job is not None]
        self._queue.clear()
        for job in jobs:
            self._fail(job, error)

    def cancel(self, job_id: str | None, *, keep: bool = False) -> str:
        """Cancel a job, or without a name the running or else the next one; returns its name.

        ``keep``: what was made of it becomes a partial take, which is announced before the job's end. Raises
        :class:`NoJob`.
        """
        candidates = [
            job for job in (self.running, *self._queue) if job is not None and job_id in (None, job.id)
        ]
        if not candidates:
            raise NoJob(
                f"there is no job {job_id} queued or running" if job_id else "no job is queued or running"
            )
        job = candidates[0]
        if job is not self.running:
            self._queue.remove(job)
            self._end(job, "cancelled")
            return job.id
        job.phase, job.keep = "cancelling", keep
        if not keep:
            self._playback.drop(job.id)
        try:
            self._send(Cancel(job=job.id, keep=keep))
        except NotReady:  # it died with the job: nothing is left to stop
            self._end_of_cancelled(job)
        return job.id

    def _end_of_cancelled(self, job: Job) -> None:
        """A job was being cancelled when its engine died."""
        if not job.keep:
            self._end(job, "cancelled")
            return
        folders = sorted(job.folders.items())

        def rescue() -> list[KeptTake]:
            return [take for index, folder in folders if (take := kept_take(index, Path(folder))) is not None]

        self._aside.run(rescue, lambda kept: self._cancelled(job, kept), lambda error: self._fail(job, error))

    def _cancelled(self, job: Job, kept: list[KeptTake]) -> None:
        """A job is at its end; what was kept of it is told first."""
        assert job.request is not None
        for take in kept:
            self._takes.add(
                folder=take.folder,
                wav=take.wav,
                request=job.request.model_copy(update={"seed": take.seed}),
                rate=job.rate,
                frames=round(take.seconds * job.rate),
                held=take.held,
                state="partial",
                job=job.id,
                index=job.takes_before + take.index,
                also=job.requester,
            )
        self._end(job, "cancelled")

    def growing(self, folder: str) -> bool:
        """Whether the running job makes the take in this folder, and will tell of it."""
        return self.running is not None and folder in self.running.folders.values()

    def report(self, report: JobState | TakeDone | JobFailed | JobCancelled) -> None:
        """What the engine says about the running job; reports about jobs that have ended are ignored."""
        job = self.running
        if job is None or report.job != job.id:
            return
        if isinstance(report, JobState):
            self._progress(job, report)
        elif isinstance(report, TakeDone):
            self._take_done(job, report)
        elif isinstance(report, JobFailed) and job.phase != "cancelling":
            self._fail(job, SegueError(report.message, code=report.code, slug=report.slug))
        else:  # (a job may also fail of its cancelling: its ring is taken away before the engine has found it)
            self._cancelled(job, report.kept if isinstance(report, JobCancelled) else [])

    def _progress(self, job: Job, report: JobState) -> None:
        if report.take_folder:
            job.folders[job.takes_before + report.take_index] = report.take_folder
        takes = job.takes
        progress = (job.takes_before + report.progress * (takes - job.takes_before)) / takes
        if progress > job.progress:  # (an engine that takes a job over begins its reports at 0)
            job.progress, job.deaths = progress, 0
        job.eta_seconds = report.eta_seconds
        if job.phase == "cancelling":
            return
        job.phase = report.state
        now = time.monotonic()
        if report.state == "window" or now - job.noticed_at >= NOTICE_INTERVAL_SECONDS:
            job.noticed_at = now
            self._announce(job)

    def _take_done(self, job: Job, report: TakeDone) -> None:
        assert job.request is not None
        job.folders.pop(job.takes_done, None)
        self._takes.add(
            folder=report.folder,
            wav=report.wav,
            request=job.request.model_copy(update={"seed": report.seed}),
            rate=job.rate,
            frames=round(report.seconds * job.rate),
            job=job.id,
            index=job.takes_done,
            also=job.requester,
        )
        job.takes_done += 1  # takes are completed in their order
        if report.last:
            self._end(job, "done")

    def _fail(self, job: Job, error: SegueError) -> None:
        self._notices.fail(job.requester, job.request_tag, job.address, error)
        self._end(job, "failed")

    def _end(self, job: Job, phase: str) -> None:
        """The one place where a job ends."""
        assert job.phase not in TERMINAL
        job.phase = phase
        job.eta_seconds = 0.0
        if phase == "done":
            job.progress = 1.0
        elif not job.keep:
            self._playback.drop(job.id)
        if self.running is job:
            self.running = None
        self._announce(job)
        self.advance()

    def _announce(self, job: Job) -> None:
        """``/segue/job job phase progress eta_s``; the last one of a job carries its ``#req``."""
        phase = "running" if job.phase == "cancelling" else job.phase
        tag = job.request_tag if phase in TERMINAL else ""
        values = (job.id, phase, float(job.progress), float(job.eta_seconds))
        self._notices.publish("/segue/job", *values, also=job.requester, request_tag=tag)

    def announce_all(self, peer: Peer) -> None:
        """Tell one client about every job that has not ended."""
        for job in (self.running, *self._queue):
            if job is not None:
                phase = "running" if job.phase == "cancelling" else job.phase
                self._notices.reply(
                    peer, "/segue/job", job.id, phase, float(job.progress), float(job.eta_seconds)
                )


def _named(error: ValidationError | SegueError) -> SegueError:
    if isinstance(error, SegueError):
        return error
    return OutOfRange(f"this cannot be made: {complaint(error)}")
