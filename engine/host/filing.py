"""Writing the takes that grow side by side, in a thread of its own: sampling and listening never wait for the disk."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from engine.events import Event
from engine.host.telling import JobEvent, ProgressTeller
from engine.take import Take, TakeWriter, discard

_WAITING = (
    512  # events that may wait for a slow disk, or for what is filed first, before sampling waits with them
)

Item = tuple[int, Event, float]


class Filing:
    """Files the events of several takes, numbered from 0.

    ``first``: the index of take 0 in its job; ``resumed``: writers of takes that are gone on with, by number;
    ``create``: makes the writer of a new take, before anything is written and in order; ``count``: takes;
    ``frames``: length of each. ``on_event`` is called from the thread.
    """

    def __init__(
        self,
        first: int,
        count: int,
        frames: int,
        resumed: Mapping[int, TakeWriter],
        create: Callable[[int], TakeWriter],
        on_event: Callable[[JobEvent], None],
    ) -> None:
        self._first, self._count, self._frames = first, count, frames
        self._writers, self._resumed = dict(resumed), frozenset(resumed)
        self._create, self._on_event = create, on_event
        self._tellers: dict[int, ProgressTeller] = {}
        self._events: queue.Queue[Item | None] = queue.Queue(_WAITING)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="segue-filing", daemon=True)
        self._thread.start()

    def put(self, number: int, event: Event) -> None:
        """Files one event of a take. Raises what kept an earlier one from being written."""
        if self._failure is not None:
            raise self._failure
        self._events.put((number, event, time.perf_counter()))

    def finish(self) -> Iterator[Take]:
        """Waits until everything is written, then completes one take after the other."""
        self._join()
        if self._failure is not None:
            raise self._failure
        for number in range(self._count):
            yield self._writers[number].finish()

    def abort(self) -> None:
        """Writes what waits and leaves the takes to be gone on with; a new one without a window is removed."""
        self._join()
        for number, writer in self._writers.items():
            writer.close()
            if number not in self._resumed and not writer.windows:
                discard(writer.folder)

    def _join(self) -> None:
        if self._thread.is_alive():
            self._events.put(None)
            self._thread.join()

    def _run(self) -> None:
        try:
            self._open()
        except BaseException as error:
            self._failure = error
        while (item := self._events.get()) is not None:
            if self._failure is None:
                try:
                    self._file(*item)
                except BaseException as error:
                    self._failure = error

    def _open(self) -> None:
        for number in range(self._count):
            if number not in self._writers:
                self._writers[number] = self._create(number)
            index = self._first + number
            self._tellers[number] = ProgressTeller(index, self._writers[number], self._frames, self._on_event)
            self._tellers[number].begin()

    def _file(self, number: int, event: Event, at: float) -> None:
        self._writers[number].event(event, at)
        self._tellers[number].see(event)
