"""One job in the engine process: its state, its reports, its end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.errors import Cancelled, NoFile, SegueError
from engine.host.failures import named
from engine.host.feeder import RingFeeder
from engine.host.jobs import JobEvent, Sampler, TakeFinished, TakeProgress, TakeStarted, run_request
from engine.host.primes import PrimeShelf
from engine.host.protocol import Generate, JobCancelled, JobFailed, JobState, Report, TakeDone
from engine.ring import Ring
from engine.take import discard, recover

if TYPE_CHECKING:
    from engine.backends.protocol import Backend

log = logging.getLogger("segue.engine")

_STATE_SECONDS = 0.1  # between two reports of progress; windows are always reported


class RunningJob:
    """A :class:`Generate` command from its arrival to its end. ``report`` sends one message to the bridge."""

    def __init__(self, command: Generate, report: Callable[[Report], None], sampler: Sampler | None) -> None:
        self.command = command
        self._report, self._sampler = report, sampler
        self._stop = threading.Event()
        self._ending = threading.Lock()
        self._ended = self._keep = self._abandoned = False
        self._feeder: RingFeeder | None = None
        self._growing: Path | None = None
        self._reported = 0.0

    def cancel(self, keep: bool) -> bool:
        """Asks the job to stop; False when it has ended. Audio that waits for the ring is dropped in any
        case.
        """
        with self._ending:
            self._keep = keep
            self._stop.set()
            if self._feeder is not None:
                self._feeder.stop()
            return not self._ended

    def abandon(self) -> None:
        """Stops the job and leaves its take to be resumed: the bridge is gone, nobody reads reports."""
        self._abandoned = True
        self._stop.set()

    @property
    def over(self) -> bool:
        """Whether it has ended and nothing of it waits for the ring any more."""
        return self._ended and (self._feeder is None or not self._feeder.alive)

    def run(self, backend: Callable[[str], Backend], shelf: PrimeShelf) -> None:
        """Makes the takes and reports how it ended, whatever happens."""
        command = self.command
        try:
            if self._stop.is_set():
                raise Cancelled(f"job '{command.job}' was cancelled before it began")
            model, reference = backend(command.request.model), command.request.prime
            self._feeder = self._open_ring()
            run_request(
                model,
                command.request,
                folder=command.folder,
                takes=command.takes,
                chunk_frames=command.chunk_frames,
                on_event=self._event,
                ring=self._feeder,
                resume=self._resumable(),
                should_stop=self._stop.is_set,
                prime=None if reference is None else shelf.find(model, reference),
                sampler=self._sampler,
            )
        except Cancelled:
            self._end(self._cancelled())
        except BaseException as error:
            self._end(_job_failed(command.job, named(error)))

    def _open_ring(self) -> RingFeeder | None:
        if self.command.ring is None:
            return None
        return RingFeeder(Ring.attach(self.command.ring), self.command.ring_from)

    def _resumable(self) -> list[str]:
        """The folders to go on with; one that was removed, or killed before its record was whole, is begun
        anew.
        """
        return [folder for folder in self.command.resume if (Path(folder) / "request.json").is_file()]

    def _event(self, event: JobEvent) -> None:
        if isinstance(event, TakeStarted):
            self._growing = event.folder
            self._state(event, "running", 0.0, 0.0, 0)
        elif isinstance(event, TakeProgress):
            if event.window or time.monotonic() - self._reported >= _STATE_SECONDS:
                self._state(
                    event,
                    "window" if event.window else "running",
                    event.fraction,
                    event.eta_seconds,
                    event.audio_frames,
                )
        else:
            self._growing = None
            report = _take_done(self.command.job, event)
            if event.last:
                self._end(report)
            else:
                self._report(report)

    def _state(
        self,
        event: TakeStarted | TakeProgress,
        state: Literal["running", "window"],
        fraction: float,
        eta_seconds: float,
        audio_frames: int,
    ) -> None:
        self._reported = time.monotonic()
        takes = self.command.takes
        left = takes - event.index - 1
        whole = (
            eta_seconds / (1.0 - fraction) if fraction < 1.0 else 0.0
        )  # of one more take, as this one goes
        self._report(
            JobState(
                job=self.command.job,
                state=state,
                progress=(event.index + fraction) / takes,
                eta_seconds=eta_seconds + left * whole,
                take_folder=str(event.folder),
                take_index=event.index,
                audio_frames=audio_frames,
                total_frames=event.total_frames,
            )
        )

    def _cancelled(self) -> Report:
        """What is left of the unfinished take is removed, or made a partial take when it should be kept."""
        if self._growing is not None and not self._abandoned:
            try:
                if self._keep:
                    recover(self._growing)
                else:
                    discard(self._growing)
            except NoFile:
                log.info("nothing of job %s was worth keeping", self.command.job)
            except SegueError as error:
                return _job_failed(self.command.job, error)
        return JobCancelled(job=self.command.job)

    def _end(self, report: Report) -> None:
        """The one place where the job ends."""
        with self._ending:
            self._ended = True
        if self._feeder is not None and not isinstance(report, TakeDone):
            self._feeder.stop()
        self._report(report)


def _job_failed(job: str, error: SegueError) -> JobFailed:
    return JobFailed(job=job, code=error.code, slug=error.slug, message=error.message)


def _take_done(job: str, event: TakeFinished) -> TakeDone:
    take = event.take
    timings = take.info.timings
    return TakeDone(
        job=job,
        folder=str(take.folder),
        wav=str(take.wav),
        seed=take.info.head.request.seed,
        seconds=take.info.seconds,
        first_audio_ms=timings.first_audio_ms or 0.0,
        real_time_factor=timings.real_time_factor,
        last=event.last,
    )
