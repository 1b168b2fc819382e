"""One process per run folder, and a clean end when it is asked to stop."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed as dist
from filelock import FileLock, Timeout

from engine.errors import Busy, TrainingError
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


_LOST = re.compile(r"gloo|nccl|connection (closed|reset|refused)|broken pipe", re.IGNORECASE)


@contextmanager
def together(world: int) -> Iterator[None]:
    """Turn the loss of another of ``world`` processes that train together into a named failure."""
    try:
        yield
    except RuntimeError as error:
        if world > 1 and (isinstance(error, dist.DistError) or _LOST.search(str(error))):
            if threading.current_thread() is threading.main_thread():
                signal.signal(
                    signal.SIGTERM, signal.SIG_IGN
                )  # torchrun sends it now; the sentence comes first
            raise TrainingError(
                f"another of the {world} processes that train together has ended, and this one cannot go on alone; "
                "start the same command again, it goes on from the newest checkpoint"
            ) from error
        raise


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
                if signal.getsignal(number) == self._note:
                    signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        self.signal = number
