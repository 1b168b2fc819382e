"""One process per run folder, and a clean end when it is asked to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from engine.errors import Busy
from engine.training.files import writing_to


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the run folder; raises :class:`Busy` when another live process holds it."""
    with writing_to(run):
        run.mkdir(parents=True, exist_ok=True)
        lock = FileLock(run / "run.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise Busy(
                f"another process is training in '{run}'; wait for it or choose another --out"
            ) from error
    try:
        yield
    finally:
        lock.release()


class StopFlag:
    """Set by SIGTERM or SIGINT; the loop saves and ends. Outside the main thread nothing is installed."""

    def __init__(self) -> None:
        self.signal = 0

    @contextmanager
    def installed(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        self.signal = number
