"""One job in the engine process: its state, its reports, its end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.errors import Cancelled, SegueError
from engine.host import hearing
from engine.host.failures import named
from engine.host.feeder import RingFeeder
from engine.host.jobs import Sampler, run_request
from engine.host.keeping import kept_take
from engine.host.memory import give_back
from engine.host.primes import PrimeShelf
from engine.host.protocol import Generate, JobCancelled, JobFailed, JobState, KeptTake, Report, TakeDone
from engine.host.telling import JobEvent, TakeFinished, TakeProgress, TakeStarted
from engine.ring import Ring
from engine.take import discard

if TYPE_CHECKING:
    from engine.backends.protocol import Backend
    from engine.sampling.warm import WarmStart

log = logging.getLogger("segue.engine")

_GIVE_BACK_SECONDS = 10.0  # (more often is felt: the heaps are locked meanwhile)
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
        self._growing: dict[int, Path] = {}  # takes that were begun and are not finished
        self._fractions: dict[int, float] = {}
        self._reported = 0.0
        self._given_back = time.monotonic()

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

    def run(
        self,
        backend: Callable[[str], Backend],
        shelf: PrimeShelf,
        head_start: Callable[[], WarmStart | None],
    ) -> None:
        """Makes the takes and reports how it ended, whatever happens."""
        command = self.command
        try:
            if self._stop.is_set():
                raise Cancelled(f"job '{command.job}' was cancelled before it began")
            model, reference = backend(command.request.model), command.request.prime
            hearing.load()
            self._feeder = self._open_ring()
            run_request(
                model,
                command.request,
                folder=command.folder,
                takes=command.takes,
                chunk_frames=command.chunk_frames,
                on_event=self._event,
                ring=self._feeder,
                previews=command.previews,
                warm=head_start(),
                resume=self._resumable(),
                should_stop=self._stop.is_set,
                keep=lambda: self._keep,
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
        command = self.command
        return RingFeeder(
            Ring.attach(self.command.ring),
            command.ring_from,
            final=command.request.fidelity.level,
            total=command.request.frames,
        )

    def _resumable(self) -> list[str]:
        """The folders to go on with; one that was removed, or killed before its record was whole, is begun
        anew.
        """
        return [folder for folder in self.command.resume if (Path(folder) / "request.json").is_file()]

    def _event(self, event: JobEvent) -> None:
        if isinstance(event, TakeStarted):
            self._growing[event.index] = event.folder
            self._fractions[event.index] = 0.0
            self._state(event, "running", 0.0, 0)
        elif isinstance(event, TakeProgress):
            self._fractions[event.index] = event.fraction
            self._give_back()
            leads = event.index == min(self._growing)  # the others of its batch have come as far
            if (event.window and leads) or time.monotonic() - self._reported >= _STATE_SECONDS:
                state: Literal["running", "window"] = "window" if event.window else "running"
                self._state(event, state, self._eta(event), event.audio_frames)
        else:
            self._growing.pop(event.index, None)
            self._fractions[event.index] = 1.0
            report = self._take_done(event)
            if event.last:
                self._end(report)
            else:
                self._report(report)

    def _give_back(self) -> None:
        """What is free goes back while the job runs: levels that are finished let go of their caches, and decoding
        leaves holes."""
        now = time.monotonic()
        if now - self._given_back >= _GIVE_BACK_SECONDS:
            self._given_back = now
            give_back()

    def _eta(self, event: TakeProgress) -> float:
        """Seconds to the end of the job: of this batch of takes, and of as many more as there will be."""
        left = self.command.takes - max(self._fractions) - 1
        if event.fraction >= 1.0 or not left:
            return event.eta_seconds
        whole = event.eta_seconds / (1.0 - event.fraction)
        return event.eta_seconds + whole * left / len(self._growing)

    def _state(
        self,
        event: TakeStarted | TakeProgress,
        state: Literal["running", "window"],
        eta_seconds: float,
        audio_frames: int,
    ) -> None:
        self._reported = time.monotonic()
        made = min(self._fractions) + sum(
            self._fractions.values()
        )  # those before the first one count as made
        self._report(
            JobState(
                job=self.command.job,
                state=state,
                progress=min(1.0, made / self.command.takes),
                eta_seconds=eta_seconds,
                take_folder=str(event.folder),
                take_index=event.index,
                audio_frames=audio_frames,
                total_frames=event.total_frames,
            )
        )

    def _cancelled(self) -> Report:
        """What is left of unfinished takes is removed, or made partial takes when it should be kept."""
        if self._abandoned:
            return JobCancelled(job=self.command.job)
        failure: SegueError | None = None
        kept: list[KeptTake] = []
        for index, folder in sorted(self._growing.items()):
            try:
                if self._keep and (take := kept_take(index, folder)) is not None:
                    kept.append(take)
                else:
                    discard(folder)
            except SegueError as error:
                failure = error
        if failure is not None:
            return _job_failed(self.command.job, failure)
        return JobCancelled(job=self.command.job, kept=kept)

    def _take_done(self, event: TakeFinished) -> TakeDone:
        heard = {} if self._feeder is None or event.index else self._feeder.heard()
        if heard:
            told = ", ".join(f"{seconds:.1f} s of level {level}" for level, seconds in heard.items())
            log.info("job %s is heard as %s", self.command.job, told)
        take = event.take
        timings = take.info.timings
        return TakeDone(
            job=self.command.job,
            folder=str(take.folder),
            wav=str(take.wav),
            seed=take.info.head.request.seed,
            seconds=take.info.seconds,
            first_audio_ms=timings.first_audio_ms or 0.0,
            first_final_ms=timings.first_final_ms,
            heard_seconds=heard,
            real_time_factor=timings.real_time_factor,
            last=event.last,
        )

    def _end(self, report: Report) -> None:
        """The one place where the job ends."""
        with self._ending:
            self._ended = True
        if self._feeder is not None and not isinstance(report, TakeDone):
            self._feeder.stop()
        self._report(report)


def _job_failed(job: str, error: SegueError) -> JobFailed:
    return JobFailed(job=job, code=error.code, slug=error.slug, message=error.message)
