"""The mock engine's process: the real one, with a mock model in it and failures on request."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from engine.backends.choose import Tell
from engine.backends.protocol import Backend
from engine.errors import BadFormat
from engine.host.mock.backend import MockBackend
from engine.host.mock.options import MockOptions
from engine.host.mock.orders import Order, order_in
from engine.host.process import EngineHost, EngineOptions, leave, present
from engine.host.protocol import Command, Failed, Generate, Heartbeat, JobState, Report, TakePrime

_SLOW_PRIME_SECONDS, _SLOW_MODEL_SECONDS = 0.5, 3.0
_POISONED = 9
_PARTS = 4  # that loading a model is told in


def main(connection: Connection, options: dict[str, Any]) -> None:
    """Entry point of the spawned process; ``options`` as in :class:`MockOptions`. Does not return."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s"
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    present(EngineOptions())
    MockHost(connection, MockOptions.model_validate(options)).run()
    leave(0)


class MockHost(EngineHost):
    """Serves one pipe like the real one; see :mod:`engine.host.mock` for what makes it fail."""

    def __init__(self, connection: Connection, options: MockOptions) -> None:
        super().__init__(connection, self._open)
        self._options = options
        self._diary = Diary(options.diary)
        self._orders: dict[str, Order] = {}

    def _open(self, name: str, *, tell: Tell) -> Backend:
        seconds = self._options.load_seconds + (_SLOW_MODEL_SECONDS if name == "mock-slow" else 0.0)
        for part in range(_PARTS):
            tell(part / _PARTS, f"part {part + 1} of {_PARTS}")
            time.sleep(seconds / _PARTS)
        if name == "mock-crash":
            os._exit(3)
        return MockBackend(name, self._options.speed, self._diary.tell)

    def carry_out(self, command: Command) -> None:
        """Heed what the command asks for in secret, then do it."""
        self._diary.tell("command", command.model_dump(mode="json"))
        if isinstance(command, Generate):
            command = command.model_copy(update={"previews": command.previews and self._options.previews})
            order = order_in(command.request.lyrics)
            if order is not None and (order.verb == "fail" or order.always or not command.resume):
                self._orders[command.job] = order
        super().carry_out(command)

    def take_in(self, command: TakePrime) -> Report:
        """Read a prime, in the way that its name asks for."""
        name = Path(command.prime.path).name
        time.sleep(self._options.prime_seconds + (_SLOW_PRIME_SECONDS if name.startswith("slow") else 0.0))
        if name.startswith("poison"):
            os._exit(_POISONED)
        if name.startswith("refused"):
            error = BadFormat(f"{name} is refused, as its name asks; use another file")
            return Failed(tag=command.tag, code=error.code, slug=error.slug, message=error.message)
        return super().take_in(command)

    def ready_backend(self, model: str | None = None) -> Backend:
        """The loaded model; a job waits a little for it."""
        if model is not None:
            time.sleep(self._options.attach_seconds)
        return super().ready_backend(model)

    def send(self, report: Report) -> None:
        """Send a report, unless the job that it is about has an order that is due."""
        if isinstance(report, JobState):
            order = self._orders.get(report.job)
            if order is not None and report.progress >= order.at:
                self._obey(report.job, order)
        if not isinstance(report, Heartbeat):
            self._diary.tell("report", report.model_dump(mode="json"))
        super().send(report)

    def _obey(self, job: str, order: Order) -> None:
        if order.verb == "fail":
            del self._orders[job]
            raise order.error()  # in the thread that makes the take, which then ends as it ends of any error
        if order.verb == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        with self._sending:  # no heartbeat passes any more
            threading.Event().wait()


class Diary:
    """A file with a line of JSON for everything that happened; none when ``path`` is None."""

    def __init__(self, path: str | None) -> None:
        self._file = None if path is None else Path(path).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115
        self._lock = threading.Lock()

    def tell(self, what: str, facts: dict[str, object]) -> None:
        """One line, with the process that writes it."""
        if self._file is not None:
            line = json.dumps({"what": what, "pid": os.getpid(), "at": round(time.time(), 3), **facts})
            with self._lock:
                self._file.write(line + "\n")
