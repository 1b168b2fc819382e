"""What the engine does while no job runs, so that the next one is heard at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from engine.host import hearing
from engine.host.memory import give_back
from engine.host.primes import PrimeShelf
from engine.host.protocol import Prepare
from engine.request import LevelSampling, PrimeRef, Style

if TYPE_CHECKING:
    from engine.backends.protocol import Backend
    from engine.sampling.warm import WarmStart
    from engine.store.config import ModelConfig

log = logging.getLogger("segue.engine")

QUIET_SECONDS = 0.1  # without a job or a wish before anything is begun: a job often follows its prime at once
MOST_WEIGHTS = 100e6  # of priors that are run ahead of need; larger ones would keep a job waiting


class SpareTime:
    """A thread that warms the model up, begins the take that will probably be asked for, and encodes what is left of
    primes; one thing at a time, and none while a job runs."""

    def __init__(self, shelf: PrimeShelf) -> None:
        self._shelf = shelf
        self._changed = threading.Condition()
        self._at_work = threading.Lock()  # held while the head start is made
        self._jobs = 0
        self._quiet_since = time.monotonic()
        self._cold: Backend | None = None
        self._wish: tuple[Backend, Prepare] | None = None
        self._granted: Prepare | None = None
        self._warm: WarmStart | None = None
        self._primes: list[tuple[Backend, PrimeRef]] = []
        threading.Thread(target=self._run, name="segue-spare", daemon=True).start()

    def loaded(self, backend: Backend) -> None:
        """A model is new: everything of it is run once, soon."""
        with self._changed:
            self._cold, self._wish, self._granted, self._warm = backend, None, None, None
            self._changed.notify()

    def begin_take(self, backend: Backend, wish: Prepare) -> None:
        """A take like this will probably be asked for."""
        with self._changed:
            self._wish, self._quiet_since = (backend, wish), time.monotonic()
            self._changed.notify()

    def encode_rest(self, backend: Backend, ref: PrimeRef) -> None:
        """The lower levels of a prime are wanted on the shelf."""
        with self._changed:
            self._primes.append((backend, ref))
            self._quiet_since = time.monotonic()
            self._changed.notify()

    def job_came(self) -> None:
        """Leave the machine to the job."""
        with self._changed:
            self._jobs += 1

    def job_went(self) -> None:
        """Perhaps there is time again; the head start was used."""
        with self._changed:
            self._jobs -= 1
            self._quiet_since = time.monotonic()
            self._changed.notify()

    def head_start(self) -> WarmStart | None:
        """What was begun, for one job; waits for what is being begun just now."""
        with self._at_work:
            warm, self._warm, self._granted = self._warm, None, None
            return warm

    def _run(self) -> None:
        while True:
            with self._changed:
                work = self._next()
                if work is None:
                    quiet = time.monotonic() - self._quiet_since
                    self._changed.wait(max(0.01, QUIET_SECONDS - quiet) if self._wanted() else None)
                    continue
            try:
                work()
            except Exception as error:  # the job itself will say what is wrong
                log.info("nothing came of work ahead of need: %s", error)
            give_back()

    def _wanted(self) -> bool:
        fresh = self._wish is not None and self._wish[1] is not self._granted
        return not self._jobs and (self._cold is not None or fresh or bool(self._primes))

    def _next(self) -> Callable[[], object] | None:
        if not self._wanted() or time.monotonic() - self._quiet_since < QUIET_SECONDS:
            return None
        if self._cold is not None:
            backend, self._cold = self._cold, None
            return lambda: warm_up(backend)
        if self._wish is not None and self._wish[1] is not self._granted:
            backend, wish = self._wish
            return lambda: self._begin(backend, wish)
        backend, ref = self._primes.pop(0)
        return lambda: self._shelf.complete(backend, ref)

    def _begin(self, backend: Backend, wish: Prepare) -> None:
        from engine.host.jobs import first_group
        from engine.sampling import warm_start

        with self._at_work:
            self._granted = wish
            if not light(backend.config):
                return
            reference = wish.request.prime
            known = None if reference is None else self._shelf.find(backend, reference)
            if known is not None:
                self._warm = warm_start(
                    backend,
                    wish.request,
                    known.waveform.mono_samples(),
                    takes=first_group(backend, wish.takes),
                    done=known.codes_for(backend.config, wish.request),
                )


def light(config: ModelConfig) -> bool:
    """Whether the priors are so small that running them ahead of need keeps nobody waiting."""
    return sum(12 * prior.depth * prior.width**2 for prior in config.priors) <= MOST_WEIGHTS


def warm_up(backend: Backend) -> None:
    """Runs everything of a model once, on next to nothing, and loads what hears the tempo."""
    from engine.backends.protocol import WindowInput

    hearing.load()
    config = backend.config
    if not light(config):
        return
    silence = np.zeros(8 * config.hops[config.top], np.float32)
    for level in reversed(range(config.top + 1)):
        codes = backend.encode(silence, (level,))[level]
        backend.decode_piece(codes, level, 0, codes.size)
        hop, span = config.hops[level], config.priors[level].n_ctx * config.hops[level]
        above = None
        if level < config.top:
            above = np.zeros((1, span // config.hops[level + 1]), np.int64)
        runner = backend.runner(level, 1)
        window = WindowInput(codes[None, :2], above, (Style(),), 2 * span, (span // hop * hop,))
        runner.begin(window)
        runner.sample(codes[None, 1], np.full((1, 2), 0.5), LevelSampling())
