"""The engine process: a loop that takes commands from the bridge's pipe and never dies of one of them.

Five threads: the main one reads the pipe, so that a cancel or the bridge's end is seen at any moment; one
loads models and makes takes; one takes in primes, also while a take is made; one uses the time between jobs; one
beats the heart. Importing
this module is cheap; torch is loaded when a model is.
"""

from __future__ import annotations

import functools
import logging
import os
import queue
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import Field, ValidationError

from engine.backends import SAMPLING_THREADS
from engine.backends.choose import Device, Tell, Wanted, open_backend
from engine.errors import BadArguments, NoJob, NotReady, SegueError
from engine.host import hearing
from engine.host.failures import named
from engine.host.memory import give_back, keep_few_heaps
from engine.host.primes import PrimeShelf
from engine.host.protocol import (
    COMMANDS,
    Cancel,
    Command,
    Failed,
    Foresee,
    Generate,
    Heartbeat,
    Loading,
    LoadModel,
    Prepare,
    PrimeReady,
    Quit,
    Ready,
    Report,
    TakePrime,
    encode,
)
from engine.host.running import RunningJob
from engine.host.spare import SpareTime
from engine.request import Frozen

if TYPE_CHECKING:
    from engine.backends.protocol import Backend
    from engine.host.jobs import Sampler

log = logging.getLogger("segue.engine")

HEARTBEAT_SECONDS = 0.5
_GOODBYE_SECONDS = 0.4  # for a job to let go of its files when the bridge is gone


class EngineOptions(Frozen):
    """How the process behaves. ``threads``, ``backend``, ``device``: see
    :func:`engine.backends.choose.open_backend`; ``nice``: added to the priority."""

    threads: Annotated[int, Field(ge=1, le=256)] = SAMPLING_THREADS
    backend: Wanted = "auto"
    device: Device = "auto"
    nice: Annotated[int, Field(ge=0, le=19)] = 0
    name: str = "segue-engine"


def main(connection: Connection, options: dict[str, Any]) -> None:
    """Entry point of the spawned process; ``options`` as in :class:`EngineOptions`. Does not return."""
    settings = EngineOptions.model_validate(options)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s"
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the bridge decides
    present(settings)
    keep_few_heaps()
    load = functools.partial(
        open_backend, wanted=settings.backend, threads=settings.threads, device=settings.device
    )
    host = EngineHost(connection, load)
    host.run()
    leave(0)


def leave(status: int) -> None:
    """Ends the process without waiting for threads that are inside torch."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)


def present(settings: EngineOptions) -> None:
    """Give this process its priority and, where the system shows one, its name."""
    if settings.nice and hasattr(os, "nice"):
        os.nice(settings.nice)
    comm = Path("/proc/self/comm")
    if comm.exists():
        comm.write_text(settings.name[:15])


class Loader(Protocol):
    """Makes a backend from a model's name and tells how far it has come, as a fraction and in words."""

    def __call__(self, name: str, *, tell: Tell) -> Backend: ...


class EngineHost:
    """Serves one pipe until it closes or :class:`Quit` arrives.

    ``load``: makes backends; ``sampler``: stands in for sampling (None: the real one).
    """

    def __init__(
        self,
        connection: Connection,
        load: Loader,
        *,
        sampler: Sampler | None = None,
    ) -> None:
        self._connection, self._load, self._sampler = connection, load, sampler
        self._sending = threading.Lock()
        self._gone = threading.Event()
        self._settled = threading.Event()  # no model is being loaded
        self._settled.set()
        self._backend: Backend | None = None
        self._model = ""
        self._shelf = PrimeShelf()
        self._spare = SpareTime(self._shelf)
        self._work: queue.SimpleQueue[LoadModel | RunningJob | None] = queue.SimpleQueue()
        self._primes: queue.SimpleQueue[TakePrime | Foresee] = queue.SimpleQueue()
        self._jobs: dict[str, RunningJob] = {}
        self._busy: str | None = None

    def run(self) -> None:
        """Serves the pipe; returns when the process should end, within half a second of the bridge."""
        worker = threading.Thread(target=self._worker, name="segue-jobs", daemon=True)
        for thread in (
            worker,
            threading.Thread(target=self._prime_worker, name="segue-primes", daemon=True),
            threading.Thread(target=self._heart, name="segue-heart", daemon=True),
        ):
            thread.start()
        while not self._gone.is_set():
            try:
                data = self._connection.recv_bytes()
            except (EOFError, OSError):
                break
            self._received(data)
        self._gone.set()
        for job in list(self._jobs.values()):
            job.abandon()
        self._work.put(None)
        worker.join(_GOODBYE_SECONDS)

    def _received(self, data: bytes) -> None:
        try:
            command = COMMANDS.validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            self.send(
                _failed("", BadArguments(f"the engine cannot read this command ({place}: {first['msg']})"))
            )
            return
        self.carry_out(command)

    def carry_out(self, command: Command) -> None:
        """Begin what a command asks for; returns at once."""
        if isinstance(command, Quit):
            self._gone.set()
        elif isinstance(command, LoadModel):
            self._settled.clear()
            self._work.put(command)
        elif isinstance(command, TakePrime | Foresee):
            self._primes.put(command)
        elif isinstance(command, Generate):
            self._enqueue(command)
        elif isinstance(command, Prepare):
            if self._backend is not None and self._settled.is_set():
                self._spare.begin_take(self._backend, command)
        else:
            self._cancel(command)

    def _enqueue(self, command: Generate) -> None:
        job = RunningJob(command, self.send, self._sampler)
        self._jobs[command.job] = job
        self._spare.job_came()
        self._work.put(job)

    def _cancel(self, command: Cancel) -> None:
        job = self._jobs.get(command.job)
        if job is None or not job.cancel(command.keep):
            self.send(
                _failed(command.job, NoJob(f"job '{command.job}' is not running; it may have just ended"))
            )

    def send(self, report: Report) -> None:
        """Sends one report; a closed pipe ends the process soon."""
        try:
            with self._sending:
                self._connection.send_bytes(encode(report))
        except OSError:
            self._gone.set()

    def _heart(self) -> None:
        while not self._gone.is_set():
            self.send(Heartbeat(busy=self._busy))
            self._gone.wait(HEARTBEAT_SECONDS)

    def _worker(self) -> None:
        while (item := self._work.get()) is not None and not self._gone.is_set():
            if isinstance(item, LoadModel):
                self._load_model(item)
                continue
            self._busy = item.command.job
            item.run(self.ready_backend, self._shelf, self._spare.head_start)
            self._busy = None
            give_back()
            self._spare.job_went()
            for name, job in list(self._jobs.items()):
                if job.over:
                    del self._jobs[name]

    def _load_model(self, command: LoadModel) -> None:
        started = time.perf_counter()
        # A job that goes on after a restart needs it at once, and loading it takes as long as loading a small model.
        threading.Thread(target=hearing.load, name="segue-hearing", daemon=True).start()
        try:
            self._backend = self._load(
                command.name,
                tell=lambda progress, text: self.send(
                    Loading(model=command.name, progress=progress, text=text)
                ),
            )
            self._model = command.name
        except BaseException as error:
            self.send(_failed(command.name, named(error)))
        else:
            config = self._backend.config
            names, sung = config.vocabulary(config.top), config.priors[config.top].lyrics
            self.send(
                Ready(
                    model=command.name,
                    rate=config.rate,
                    artists=list(names.artist_names),
                    genres=list(names.genre_names),
                    genre_words=names.version == "v2",
                    lyrics=sung.vocabulary if sung else None,
                    seconds=time.perf_counter() - started,
                )
            )
            self._spare.loaded(self._backend)
        finally:
            give_back()
            self._settled.set()

    def ready_backend(self, model: str | None = None) -> Backend:
        """The loaded model. Raises :class:`NotReady` when there is none, or another one than ``model``."""
        self._settled.wait()
        if self._backend is None:
            raise NotReady("the engine has no model; load one first")
        if model not in (None, self._model, self._backend.config.name):
            raise NotReady(
                f"the request is for the model '{model}' but '{self._model}' is loaded; load it first"
            )
        return self._backend

    def _foresee(self, command: Foresee) -> None:
        """Work ahead of need: nobody waits for it, and it can fail in silence."""
        if self._backend is None or not self._settled.is_set():
            return
        try:
            self._shelf.foresee(self._backend, command.prime, command.frames)
        except Exception as error:
            log.info("nothing came of a prime that was foreseen: %s", error)

    def _prime_worker(self) -> None:
        while True:
            command = self._primes.get()
            if isinstance(command, Foresee):
                self._foresee(command)
                continue
            try:
                report = self.take_in(command)
            except BaseException as error:
                report = _failed(command.tag, named(error))
            self.send(report)
            if isinstance(report, PrimeReady) and self._backend is not None:
                self._spare.encode_rest(self._backend, command.prime)

    def take_in(self, command: TakePrime) -> Report:
        """Read and encode a prime. Raises what kept it from being read."""
        shelved = self._shelf.begin(self.ready_backend(), command.prime, command.bpm)
        return PrimeReady(
            tag=command.tag,
            prime=command.prime,
            seconds=shelved.known.waveform.seconds,
            rate=shelved.rate,
            bpm=shelved.bpm,
        )


def _failed(tag: str, error: SegueError) -> Failed:
    return Failed(tag=tag, code=error.code, slug=error.slug, message=error.message)
