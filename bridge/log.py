"""Log lines are written by a thread of their own, and never more than anybody could read.

A terminal that scrolls slowly, or a pipe that nobody reads, must not keep the event loop waiting (DESIGN.md §2).
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import queue
import threading
import time
from logging.handlers import QueueHandler

MOST_WAITING = 1_000
MOST_PER_SECOND = 40
MOST_CHARACTERS = 500
LAST_SECONDS = 1.0


class _Aside(QueueHandler):
    """Hands records to the thread; those that are too many are counted instead."""

    def __init__(self, records: queue.Queue[logging.LogRecord | None]) -> None:
        super().__init__(records)
        self._second = 0
        self._count = 0
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count > MOST_PER_SECOND and record.levelno < logging.ERROR:
            self._left_out += 1
            return
        super().emit(record)

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        record = super().prepare(record)
        if len(record.msg) > MOST_CHARACTERS and record.levelno < logging.ERROR:
            record.msg = record.message = record.msg[:MOST_CHARACTERS] + " …"
        if self._left_out:
            record.msg = record.message = f"{record.msg} ({self._left_out} lines before this were left out)"
            self._left_out = 0
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self._left_out += 1


def write_aside(handler: logging.Handler) -> logging.Handler:
    """A handler that only hands records on to ``handler``, in a thread that is started here.

    What is still waiting when the program ends is written then, if that takes no longer than a second.
    """
    records: queue.Queue[logging.LogRecord | None] = queue.Queue(MOST_WAITING)

    def write() -> None:
        while (record := records.get()) is not None:
            handler.handle(record)

    thread = threading.Thread(target=write, name="segue-log", daemon=True)
    thread.start()

    def finish() -> None:
        with contextlib.suppress(queue.Full):
            records.put(None, timeout=LAST_SECONDS)
            thread.join(LAST_SECONDS)

    atexit.register(finish)
    return _Aside(records)
