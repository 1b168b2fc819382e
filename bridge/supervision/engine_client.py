"""The engine process as the bridge sees it: started, watched, replaced when it dies (DESIGN.md §2).

States: starting (the process imports), loading (the model), ready, restarting (it died and is being replaced),
failed (no model, or it died too often), stopped.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from bridge.supervision.backoff import Backoff
from bridge.supervision.worker import Worker
from engine.errors import NotReady, SegueError
from engine.host.protocol import (
    REPORTS,
    Command,
    Failed,
    JobState,
    LoadModel,
    PrimeReady,
    Quit,
    Ready,
    Report,
    TakeDone,
    encode,
)

log = logging.getLogger("segue.engine")

WATCH_SECONDS = 0.5
QUIT_SECONDS = 2.0


class EngineState(StrEnum):
    """Where the engine process stands."""

    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Patience:
    """Seconds of silence after which the process counts as hung: importing, loading a model, and otherwise."""

    starting: float = 60.0
    loading: float = 60.0  # a cold disk makes importing torch hold the interpreter for long
    running: float = 5.0


@dataclass(frozen=True)
class EngineSetup:
    """How the engine is run: the entry point, its options (engine/host/process.py) and the model's name."""

    model: str
    target: str = "engine.host.process:main"
    options: dict[str, Any] = field(default_factory=dict)
    patience: Patience = Patience()


class EngineClient:
    """Supervises one engine process. All callbacks run in the event loop.

    ``on_report`` gets every report but heartbeats; ``on_state`` every change of state with one sentence about it.
    """

    def __init__(
        self,
        setup: EngineSetup,
        on_report: Callable[[Report], None],
        on_state: Callable[[EngineState, str], None],
    ) -> None:
        self._setup = setup
        self._on_report = on_report
        self._on_state = on_state
        self._worker: Worker | None = None
        self._backoff = Backoff()
        self._watch: asyncio.Task[None] | None = None
        self._restart: asyncio.Task[None] | None = None
        self.state = EngineState.STOPPED
        self.ready: Ready | None = None
        self.failure: SegueError | None = None
        self.loading: str | None = None  # the model that will replace the one that is loaded

    @property
    def pid(self) -> int | None:
        """Process id of the engine that runs now."""
        return self._worker.pid if self._worker else None

    async def start(self) -> None:
        """Spawn the engine and have it load the model; returns before that is done."""
        self._change(EngineState.STARTING, "the engine is starting")
        self._watch = asyncio.create_task(self._watch_silence())
        await self._spawn()

    @property
    def model(self) -> str:
        """The model that a new engine loads."""
        return self._setup.model

    def require_ready(self) -> Worker:
        """The process. Raises :class:`NotReady` when no engine is ready to take commands."""
        if self.state is not EngineState.READY or self._worker is None:
            raise self.not_ready()
        return self._worker

    def send(self, command: Command) -> None:
        """Send a command. Raises as :meth:`require_ready` does."""
        self.require_ready().send(encode(command))

    def load(self, name: str) -> None:
        """Have another model loaded in place of the one that is there, which stays if that fails.

        Answered by :class:`Ready` or :class:`Failed` with this name. Raises as :meth:`require_ready` does.
        """
        self.send(LoadModel(name=name))
        self.loading = name

    def not_ready(self) -> NotReady:
        """The error for a request that came while the engine was not ready."""
        if self.state is EngineState.FAILED and self.failure is not None:
            return NotReady(f"the engine has failed: {self.failure.message}")
        return NotReady(f"the engine is {self.state}; try again when /segue/status says idle")

    async def stop(self) -> None:
        """End the engine: asked first, killed after two seconds."""
        self._change(EngineState.STOPPED, "the engine is stopped")
        for task in (self._watch, self._restart):
            if task is not None:
                task.cancel()
        worker = self._worker
        if worker is None:
            return
        worker.send(encode(Quit()))
        if not await worker.wait(QUIT_SECONDS):
            self.kill()
            await worker.wait(QUIT_SECONDS)

    def kill(self) -> None:
        """SIGKILL to the engine, as a supervisor does with a hung one."""
        if self._worker is not None:
            self._worker.kill()

    async def _spawn(self) -> None:
        worker = Worker("segue-engine", self._received, lambda code: self._exited(worker, code))
        self._worker = worker
        await worker.start(self._setup.target, self._setup.options)
        if self.state is EngineState.STOPPED:
            worker.kill()
            return
        worker.send(encode(LoadModel(name=self._setup.model)))

    def _received(self, message: bytes) -> None:
        try:
            report = REPORTS.validate_json(message)
        except ValidationError as error:
            log.error("the engine sent something that is not a report: %s", error.errors()[0]["msg"])
            return
        if self.state is EngineState.STOPPED:
            return
        if self.state is EngineState.STARTING:
            self._change(EngineState.LOADING, f"loading the model {self._setup.model}")
        if isinstance(report, PrimeReady | TakeDone) or (
            isinstance(report, JobState) and report.progress > 0
        ):
            self._backoff.worked()
        if isinstance(report, Ready):
            self.ready, self.failure, self.loading = report, None, None
            self._setup = replace(self._setup, model=report.model)
            self._change(EngineState.READY, f"the model {report.model} is loaded")
        elif isinstance(report, Failed) and report.tag == self._setup.model:
            self._fail(SegueError(report.message, code=report.code, slug=report.slug))
        elif isinstance(report, Failed) and report.tag == self.loading:
            self.loading = None
        if report.kind != "heartbeat":
            self._on_report(report)

    def _exited(self, worker: Worker, exit_code: int | None) -> None:
        if worker is not self._worker or self.state is EngineState.STOPPED:
            return
        self.loading = None
        how = f"signal {-exit_code}" if exit_code is not None and exit_code < 0 else f"status {exit_code}"
        log.error("the engine process ended (%s)", how)
        if self.state is EngineState.FAILED:
            return
        delay = self._backoff.next_delay()
        if delay is None:
            self._fail(NotReady("it died six times within a minute; see the log, then start Segue again"))
            return
        self._change(EngineState.RESTARTING, f"the engine died ({how}); it is restarted in {delay:.1f} s")
        self._restart = asyncio.create_task(self._spawn_later(delay))

    async def _spawn_later(self, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._spawn()

    async def _watch_silence(self) -> None:
        """Kill an engine that has stopped talking; its exit is handled like any other."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            worker = self._worker
            if worker is None or worker.pid is None:
                continue
            silence = time.monotonic() - worker.heard_at
            if silence > self._allowed_silence():
                log.error("no sign of life from the engine for %.1f s; it is killed", silence)
                worker.heard_at = time.monotonic()
                worker.kill()

    def _allowed_silence(self) -> float:
        patience = self._setup.patience
        if self.state is EngineState.LOADING or self.loading is not None:
            return patience.loading
        return patience.running if self.state is EngineState.READY else patience.starting

    def _fail(self, error: SegueError) -> None:
        self.failure = error
        self._change(EngineState.FAILED, error.message)

    def _change(self, state: EngineState, sentence: str) -> None:
        if state is self.state:
            return
        self.state = state
        log.info(sentence)
        self._on_state(state, sentence)
