"""A real engine process at the other end of a real pipe."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from engine.host.process import main
from engine.host.protocol import (
    REPORTS,
    Heartbeat,
    JobCancelled,
    JobFailed,
    JobState,
    LoadModel,
    Ready,
    Report,
    TakeDone,
    encode,
)
from engine.request import Frozen
from tests.processes import forking

R = TypeVar("R", bound=Frozen)
PATIENCE_SECONDS = 60.0


class Engine:
    """Sends commands, keeps every report but heartbeats in ``reports``."""

    def __init__(
        self,
        target: Callable[..., None] = main,
        options: dict[str, Any] | None = None,
        context: Any = None,
    ) -> None:
        context = context or forking()
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=target, args=(theirs, options or {"threads": 1}), daemon=True)
        self.process.start()
        theirs.close()
        self.reports: list[Report] = []
        self.heartbeats: list[tuple[float, Heartbeat]] = []
        self.taken = 0

    def send(self, command: Frozen) -> None:
        self.connection.send_bytes(encode(command))

    def receive(self, seconds: float = PATIENCE_SECONDS) -> Report:
        """The next report that is not a heartbeat."""
        until = time.monotonic() + seconds
        while self.connection.poll(max(0.0, until - time.monotonic())):
            report = REPORTS.validate_json(self.connection.recv_bytes())
            if isinstance(report, Heartbeat):
                self.heartbeats.append((time.monotonic(), report))
                continue
            self.reports.append(report)
            return report
        raise TimeoutError(f"nothing within {seconds} s after {self.reports[-3:]}")

    def wait_for(self, kind: type[R], test: Callable[[R], bool] = lambda report: True) -> R:
        """The next report of a kind that passes the test; others before it are kept in ``reports``."""
        while True:
            report = self.receive()
            if isinstance(report, kind) and test(report):
                return report

    def terminal(self) -> TakeDone | JobFailed | JobCancelled:
        """The report that ends the job."""
        while True:
            report = self.receive()
            if isinstance(report, JobFailed | JobCancelled) or (isinstance(report, TakeDone) and report.last):
                return report

    def load(self, model: str) -> Ready:
        self.send(LoadModel(name=model))
        return self.wait_for(Ready)

    def growing(self, windows: int) -> JobState:
        """Waits until a job has finished some windows."""
        for _ in range(windows):
            state = self.wait_for(JobState, lambda report: report.state == "window")
        return state

    def kill(self) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()


@contextmanager
def engine(
    target: Callable[..., None] = main, options: dict[str, Any] | None = None, context: Any = None
) -> Iterator[Engine]:
    """A process for one test, gone at its end."""
    started = Engine(target, options, context)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.join()
        started.connection.close()
