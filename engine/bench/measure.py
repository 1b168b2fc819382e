"""Timings of the parts of a model, whatever runs it: prefill, steps, drawing, codec, and whole takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.backends.protocol import Backend, Codes, LevelRunner, WindowInput
from engine.bench.report import CodecRow, PipelineRow, PrefillRow, StepRow
from engine.bench.traffic import copied_bytes
from engine.events import AudioChunk, Preview, PrimeEncoded, Progress
from engine.request import Fidelity, LevelSampling, PrimeRef, Request, Style
from engine.sampling import continue_prime
from engine.sampling.draw import draw

T = TypeVar("T")
WARM_UP_STEPS = 16
RUN = 32  # tokens that are sampled in one call
PRIME_SECONDS = 6.0
FIRST_AUDIO_RUNS = 3
SONG_SECONDS, AT_SECONDS = 90.0, 30.0  # a place in a song for the time signal; speed does not depend on it


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Runs the block with ``count`` threads in torch, if torch is there at all."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def random_window(
    backend: Backend, level: int, lanes: int, prefix: int, at_seconds: float = AT_SECONDS
) -> WindowInput:
    """A window of ``lanes`` lanes with ``prefix`` random tokens, and all it may know above them and of lyrics."""
    prior, rate = backend.config.priors[level], backend.config.rate
    rng = np.random.default_rng(level)
    upper = lyrics = None
    if prior.upper is not None:
        upper = rng.integers(0, prior.upper.bins, (lanes, prior.n_ctx // prior.upper.ratio), dtype=np.int64)
    if prior.lyrics is not None:
        characters = prior.lyrics.characters
        lyrics = rng.integers(1, characters, (lanes, prior.lyrics.tokens), dtype=np.int64)
    return WindowInput(
        prefix=rng.integers(0, prior.bins, (lanes, prefix), dtype=np.int64),
        upper=upper,
        styles=(Style(),) * lanes,
        total=round(SONG_SECONDS * rate),
        offsets=(round(at_seconds * rate),) * lanes,
        lyrics=lyrics,
    )


def measure_prefill(backend: Backend, level: int, seconds: float) -> PrefillRow:
    """Tokens a second of passing half a window through in one go, conditions included, one lane."""
    prefix = backend.config.priors[level].n_ctx // 2
    runner, window = backend.runner(level, 1), random_window(backend, level, 1, prefix)
    spent: list[float] = []
    while len(spent) < 2 or sum(spent[1:]) < seconds:  # the first one warms up
        start = time.perf_counter()
        runner.begin(window)
        runner.step(window.prefix[:, -1])  # on a card, what was begun is done once a step has come back
        spent.append(time.perf_counter() - start)
    return PrefillRow(level=level, tokens=prefix, tokens_per_second=prefix / float(np.median(spent[1:])))


def measure_steps(backend: Backend, level: int, lanes: int, seconds: float, read: int) -> StepRow:
    """Times of single steps in the second half of windows, then of sampling the same tokens, drawing included.

    A step takes tokens in and gives logits out, both in main memory. ``read``: bytes of weights that a step reads.
    """
    prior = backend.config.priors[level]
    runner = backend.runner(level, lanes)
    half = prior.n_ctx // 2
    window = random_window(backend, level, lanes, half)
    spent = np.array(_step_times(runner, window, prior.n_ctx - half, seconds))
    sampled = _sample_time(runner, window, prior.n_ctx - half, seconds)
    mean = float(spent.mean())
    needed = backend.config.rate / backend.config.hops[level]
    return StepRow(
        level=level,
        lanes=lanes,
        steps=spent.size,
        mean_ms=1e3 * mean,
        p50_ms=1e3 * float(np.percentile(spent, 50)),
        p99_ms=1e3 * float(np.percentile(spent, 99)),
        tokens_per_second=lanes / mean,
        sample_tokens_per_second=lanes / sampled,
        needed_tokens_per_second=needed,
        real_time_factor=lanes / sampled / needed,
        weight_bytes=read,
        weights_gb_per_second=1e-9 * read / mean,
        copied_bytes=copied_bytes(runner),
    )


def _step_times(runner: LevelRunner, window: WindowInput, room: int, seconds: float) -> list[float]:
    times: list[float] = []
    known = window.prefix.shape[1]
    warm_up = min(WARM_UP_STEPS, room // 2)
    while not times or sum(times) < seconds:
        runner.begin(window)
        previous: Codes = window.prefix[:, -1]
        for index in range(room):
            start = time.perf_counter()
            runner.step(previous)
            if index >= warm_up:
                times.append(time.perf_counter() - start)
            if len(times) % 64 == 63 and sum(times) >= seconds:
                break
            previous = window.prefix[:, index % known]
    return times


def _sample_time(runner: LevelRunner, window: WindowInput, room: int, seconds: float) -> float:
    """Mean seconds of sampling one token of every lane, in runs of :data:`RUN`."""
    noise = np.random.default_rng(1).random((window.prefix.shape[0], room))
    settings = LevelSampling()
    spent, tokens = 0.0, 0
    while not tokens or spent < seconds:
        runner.begin(window)
        previous: Codes = window.prefix[:, -1]
        for first in range(0, room, RUN):
            start = time.perf_counter()
            codes = runner.sample(previous, noise[:, first : first + RUN], settings)
            previous = codes[:, -1]
            if first or room <= RUN:  # the first run warms up, where there is another
                spent += time.perf_counter() - start
                tokens += codes.shape[1]
            if tokens and spent >= seconds:
                break
    return spent / tokens


def measure_draw(bins: int, seconds: float) -> float:
    """Microseconds of drawing one token from logits [bins] with temperature alone, on the processor."""
    logits = np.random.default_rng(0).standard_normal(bins).astype(np.float32)
    settings = LevelSampling()
    draws, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        draw(logits, 0.5, settings)
        draws += 1
    return 1e6 * (time.perf_counter() - start) / draws


def measure_codec(backend: Backend, level: int, audio_seconds: float) -> CodecRow:
    """Real-time factors (seconds of audio per second) of encoding and decoding one level."""
    samples = sample_signal(backend.config.rate, audio_seconds)
    seconds = samples.size / backend.config.rate
    _decode(backend, backend.encode(samples[: backend.config.rate], (level,))[level], level)
    codes, encoding = _timed(lambda: backend.encode(samples, (level,))[level])
    _, decoding = _timed(lambda: _decode(backend, codes, level))
    return CodecRow(level=level, encode_factor=seconds / encoding, decode_factor=seconds / decoding)


def _decode(backend: Backend, codes: Codes, level: int) -> list[NDArray[np.float32]]:
    pieces = -(-codes.size // backend.decode_grid(level))
    return [backend.decode_piece(codes, level, piece, codes.size) for piece in range(pieces)]


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def request_of(rate: int, seconds: float, fidelity: Fidelity, seed: int = 0) -> Request:
    """A request for ``seconds`` after :func:`sample_signal`."""
    frames = round(seconds * rate)
    return Request(prime=PrimeRef(path="test signal"), frames=frames, fidelity=fidelity, seed=seed)


def measure_pipeline(
    backend: Backend, fidelity: Fidelity, seconds: float, progress: Callable[[float], None] = lambda f: None
) -> PipelineRow:
    """A whole take of ``seconds`` after a prime of 6 s, once warmed up; first audio is the median of three takes."""
    request = request_of(backend.config.rate, seconds, fidelity)
    prime = sample_signal(backend.config.rate, PRIME_SECONDS)
    _, codes = first_audio(backend, request, prime)
    fresh = [first_audio(backend, request, prime)[0] for _ in range(FIRST_AUDIO_RUNS)]
    known = [first_audio(backend, request, prime, codes)[0] for _ in range(FIRST_AUDIO_RUNS)]
    last: Progress | None = None
    start = time.perf_counter()
    for event in continue_prime(backend, request, prime):
        if isinstance(event, Progress):
            progress(event.fraction)
            last = event
    whole = time.perf_counter() - start
    return PipelineRow(
        fidelity=fidelity,
        seconds=seconds,
        prime_seconds=PRIME_SECONDS,
        first_audio_ms=1e3 * float(np.median(fresh)),
        first_audio_known_ms=1e3 * float(np.median(known)),
        real_time_factor=seconds / whole,
        tokens=last.tokens if last else {},
        level_seconds=last.seconds if last else {},
    )


def first_audio(
    backend: Backend, request: Request, prime: NDArray[np.float32], known: dict[int, Codes] | None = None
) -> tuple[float, dict[int, Codes]]:
    """Seconds from the request to the first chunk, a preview or not, and the codes of the prime; ``known``: these
    codes, from before."""
    codes: dict[int, Codes] = {}
    start = time.perf_counter()
    events = continue_prime(backend, request, prime, done=known)
    try:
        for event in events:
            if isinstance(event, PrimeEncoded):
                codes = event.codes
            if isinstance(event, AudioChunk | Preview):
                return time.perf_counter() - start, codes
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            close()
    raise AssertionError("a take without audio")


def sample_signal(rate: int, seconds: float) -> NDArray[np.float32]:
    """Decaying tones twice a second over soft noise: float32 [T]; speed does not depend on what it is."""
    time_axis = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * 220.0 * time_axis) * np.exp(-8.0 * (time_axis % 0.5))
    noise = np.random.default_rng(0).normal(0.0, 0.01, time_axis.size)
    return (0.5 * tone + noise).astype(np.float32)
