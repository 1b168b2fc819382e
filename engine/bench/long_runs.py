"""What only shows when much is sampled: whether steps stay as fast, memory as small, and what more takes cost."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.audio import Waveform
from engine.backends.protocol import Backend
from engine.bench.machine import resident_bytes
from engine.bench.measure import PRIME_SECONDS, RUN, random_window, request_of, sample_signal
from engine.bench.report import FlatRow, SoakRow, TakesRow
from engine.errors import OutOfRange
from engine.events import AudioChunk
from engine.host.jobs import JobEvent, KnownPrime, TakeProgress, run_request
from engine.request import MAX_SEED, Fidelity
from engine.sampling import continue_prime

EARLY_WINDOW, LATE_WINDOW = 2, 40
SOAK_AFTER = 60.0  # seconds until everything that is made once has been made
SOAK_TAKE = 30.0  # seconds of audio of each take of a soak
Advance = Callable[[], None]


def measure_flat(
    backend: Backend, level: int, step: Advance = lambda: None, clock: Callable[[], float] = time.perf_counter
) -> FlatRow:
    """Times of a token in window 2 and in window 40 of one level's take, each window half known; of the runs in a
    window the tenth percentile, which other work on the machine disturbs least.

    The take is sampled by one runner, as the scheduler does: the second half of a window is what the next one knows.
    """
    prior, settings = (
        backend.config.priors[level],
        request_of(backend.config.rate, 1.0, Fidelity.FULL).sampling,
    )
    runner, known = backend.runner(level, 1), prior.n_ctx // 2
    room = prior.n_ctx - known
    seconds = known * backend.config.hops[level] / backend.config.rate  # of audio that a window adds
    prefix = random_window(backend, level, 1, known).prefix
    noise = np.random.default_rng(2)
    quick: list[float] = []
    for index in range(LATE_WINDOW):
        window = random_window(backend, level, 1, 0, index * seconds)
        runner.begin(replace(window, prefix=prefix))
        previous, times, made = prefix[:, -1], [], []
        for first in range(0, room, RUN):
            count = min(RUN, room - first)
            start = clock()
            codes = runner.sample(previous, noise.random((1, count)), settings.level(level))
            times.append((clock() - start) / count)
            made.append(codes)
            previous = codes[:, -1]
        prefix = np.concatenate([prefix, *made], 1)[:, -known:]
        quick.append(float(np.percentile(times, 10)))
        step()
    early, late = quick[EARLY_WINDOW - 1], quick[LATE_WINDOW - 1]
    return FlatRow(
        level=level,
        windows=len(quick),
        early=EARLY_WINDOW,
        late=LATE_WINDOW,
        early_ms=1e3 * early,
        late_ms=1e3 * late,
        ratio=late / early,
    )


def measure_soak(
    backend: Backend,
    fidelity: Fidelity,
    minutes: float,
    progress: Callable[[float], None] = lambda fraction: None,
    clock: Callable[[], float] = time.perf_counter,
    resident: Callable[[], int] = resident_bytes,
) -> SoakRow:
    """Takes one after the other, each continuing the end of the last, for ``minutes``; memory after one and at the
    end. Raises OutOfRange for a minute or less."""
    if not minutes * 60 > SOAK_AFTER:
        raise OutOfRange(
            f"a soak of {minutes:g} minutes is asked for; memory is compared with that after 1 minute, so give more"
        )
    rate = backend.config.rate
    heard = sample_signal(rate, PRIME_SECONDS)
    start, made, early, seed = clock(), 0, 0, 0

    def elapsed() -> float:
        return clock() - start

    while elapsed() < 60 * minutes:
        request = request_of(rate, SOAK_TAKE, fidelity, seed % MAX_SEED)
        take: list[NDArray[np.float32]] = []
        for event in continue_prime(backend, request, heard):
            if isinstance(event, AudioChunk):
                take.append(event.samples)
                made += event.samples.size
            progress(min(1.0, elapsed() / (60 * minutes)))
            if not early and elapsed() >= SOAK_AFTER:
                early = resident()
            if elapsed() >= 60 * minutes:
                break
        heard = np.concatenate([heard, *take])[-heard.size :]
        seed += 1
    late, spent = resident(), elapsed()
    early = early or late  # the last event came before
    return SoakRow(
        fidelity=fidelity,
        seconds=spent,
        after_seconds=SOAK_AFTER,
        audio_seconds=made / rate,
        early_bytes=early,
        late_bytes=late,
        ratio=late / early,
    )


def measure_takes(
    backend: Backend,
    fidelity: Fidelity,
    takes: int,
    seconds: float,
    progress: Callable[[float], None] = lambda fraction: None,
    clock: Callable[[], float] = time.perf_counter,
) -> TakesRow:
    """``takes`` takes of one request, filed as every take is, beside one such take; the prime is known before."""
    if takes < 2:
        raise OutOfRange(f"{takes} takes cannot be compared with one; give at least 2")
    rate = backend.config.rate
    prime = KnownPrime(Waveform.of_mono(sample_signal(rate, PRIME_SECONDS), rate))
    request = request_of(rate, seconds, fidelity)

    def spent(count: int, done: int) -> float:
        def see(event: JobEvent) -> None:
            if isinstance(event, TakeProgress):
                progress(min(1.0, (done + event.index + event.fraction) / (takes + 2)))

        with tempfile.TemporaryDirectory() as folder:
            start = clock()
            run_request(backend, request, folder=Path(folder), takes=count, prime=prime, on_event=see)
            return clock() - start

    spent(1, 0)  # warms up
    one = spent(1, 1)
    together = spent(takes, 2)
    return TakesRow(
        fidelity=fidelity,
        takes=takes,
        seconds=seconds,
        one_seconds=one,
        all_seconds=together,
        ratio=together / one,
    )
