"""The levels at work side by side: a thread each, that goes on as soon as the codes it needs are settled.

Model runtimes release the interpreter while they compute, so on two cores the upper levels run ahead while the
lower ones follow and the caller decodes. What is sampled does not depend on who comes first.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from engine.errors import Cancelled
from engine.sampling.scheduler import Scheduler, TakeEvent

_WAITING = 64  # reports that may wait for the caller before the levels wait for it
_LOOK_SECONDS = 0.1  # how often a waiting thread looks whether it should stop


class Pipeline(AbstractContextManager["Pipeline"]):
    """Runs the levels of schedulers in threads for as long as the context is open.

    :meth:`reports` yields what happened, one list per quantum; an empty one says that codes were settled.
    """

    def __init__(
        self, schedulers: Sequence[Scheduler], should_stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._should_stop, self._schedulers = should_stop, tuple(schedulers)
        self._changed = threading.Condition()
        self._stopped = False
        self._reports: queue.Queue[list[TakeEvent] | BaseException | None] = queue.Queue(_WAITING)
        self._threads = [
            threading.Thread(
                target=self._run, args=(scheduler, level), name=f"segue-level-{level}", daemon=True
            )
            for scheduler in schedulers
            for level, state in scheduler.levels.items()
            if not state.finished
        ]
        self._ahead = [
            threading.Thread(
                target=self._go_ahead, args=(scheduler, level), name=f"segue-ahead-{level}", daemon=True
            )
            for scheduler in schedulers
            for level in scheduler.levels
            if scheduler.may_go_ahead(level) and (os.cpu_count() or 1) > 1
        ]

    def __enter__(self) -> Pipeline:
        for thread in (*self._threads, *self._ahead):
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the levels; they finish the quantum that they are at."""
        for scheduler in self._schedulers:
            scheduler.stopping.set()
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in (*self._threads, *self._ahead):
            thread.join()

    def reports(self) -> Iterator[list[TakeEvent]]:
        """What was done, until everything is sampled. Raises Cancelled, and whatever a level raised."""
        running = len(self._threads)
        while running:
            if self._should_stop():
                raise Cancelled("the job was cancelled")
            try:
                report = self._reports.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            if isinstance(report, BaseException):
                raise report
            if report is None:
                running -= 1
            else:
                yield report

    def _run(self, scheduler: Scheduler, level: int) -> None:
        state = scheduler.levels[level]
        try:
            while not self._stopped and not state.finished:
                if self._wait_for(scheduler, level):
                    self._tell(list(scheduler.work(level)))
            self._tell(None)
        except BaseException as error:
            self._tell(error)

    def _go_ahead(self, scheduler: Scheduler, level: int) -> None:
        """Beside the level's own thread, for as long as it has windows to come."""
        state = scheduler.levels[level]

        def ready() -> bool:
            return not self._stopped and scheduler.ready_ahead(level)

        try:
            while not self._stopped and not state.finished:
                with self._changed:
                    found = self._changed.wait_for(ready, _LOOK_SECONDS)
                if found:
                    scheduler.go_ahead(level)
        except BaseException as error:
            self._tell(error)

    def _wait_for(self, scheduler: Scheduler, level: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._stopped and scheduler.ready(level), _LOOK_SECONDS)

    def _tell(self, report: list[TakeEvent] | BaseException | None) -> None:
        with self._changed:
            self._changed.notify_all()
        while not self._stopped:
            try:
                return self._reports.put(report, timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
