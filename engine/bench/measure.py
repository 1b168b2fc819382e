"""Timings of the parts of a model: prefill, steps, codec, and whole takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from engine.backends.protocol import Backend, Codes, LevelRunner, WindowInput
from engine.bench.report import CodecRow, PipelineRow, PrefillRow, StepRow
from engine.events import AudioChunk, Progress
from engine.prior.prior import Prior
from engine.request import Fidelity, LevelSampling, PrimeRef, Request, Style
from engine.sampling import continue_prime
from engine.sampling.draw import draw

T = TypeVar("T")
WARM_UP_STEPS = 16
PRIME_SECONDS = 6.0
SONG_SECONDS, AT_SECONDS = 90.0, 30.0  # a place in a song for the time signal; speed does not depend on it


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Runs the block with ``count`` threads in torch (None: as it is)."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def weight_bytes(prior: Prior) -> int:
    """Bytes of weights that one step reads: all layers, and the matrix that makes logits."""
    last = prior.embed if prior.out is None else prior.out.weight
    read = [*prior.transformer.parameters(), last]
    return sum(p.numel() * p.element_size() for p in read)


def copy_bandwidth(device: torch.device, seconds: float = 0.5) -> float:
    """GB/s, read and written together, of copying 256 MiB on ``device``: what memory can give at best."""
    source = torch.zeros(1 << 26, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    _wait(device)
    copies, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        target.copy_(source)
        _wait(device)
        copies += 1
    return 2e-9 * copies * source.numel() * source.element_size() / (time.perf_counter() - start)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def begin(backend: Backend, runner: LevelRunner, level: int, lanes: int, prefix: int) -> None:
    """Begins a window of ``lanes`` lanes with ``prefix`` random tokens, all it may know above it included."""
    prior = backend.config.priors[level]
    rng = np.random.default_rng(level)
    upper = None
    if prior.upper is not None:
        upper = rng.integers(0, prior.upper.bins, (lanes, prior.n_ctx // prior.upper.ratio), dtype=np.int64)
    rate = backend.config.rate
    tokens = rng.integers(0, prior.bins, (lanes, prefix), dtype=np.int64)
    styles = (Style(),) * lanes
    offsets = (round(AT_SECONDS * rate),) * lanes
    runner.begin(WindowInput(tokens, upper, styles, round(SONG_SECONDS * rate), offsets))


def measure_prefill(backend: Backend, level: int, seconds: float) -> PrefillRow:
    """Tokens a second of passing half a window through in one go, conditioning included, one lane."""
    prefix = backend.config.priors[level].n_ctx // 2
    runner = backend.runner(level, 1)
    begin(backend, runner, level, 1, prefix)
    spent: list[float] = []
    while not spent or sum(spent) < seconds:
        start = time.perf_counter()
        begin(backend, runner, level, 1, prefix)
        _fetch(runner)  # on a GPU, what was begun is done once a step has come back
        spent.append(time.perf_counter() - start)
    return PrefillRow(level=level, tokens=prefix, tokens_per_second=prefix / float(np.median(spent)))


def _fetch(runner: LevelRunner) -> None:
    runner.step(np.zeros(1, dtype=np.int64))


def measure_steps(backend: Backend, level: int, lanes: int, seconds: float, read: int) -> StepRow:
    """Times of single steps in the second half of windows; ``read``: bytes of weights a step reads.

    A step takes tokens in and gives logits out, both on the processor's side; drawing is not part of it.
    """
    prior = backend.config.priors[level]
    rng = np.random.default_rng(level)
    runner = backend.runner(level, lanes)
    times: list[float] = []
    while not times or sum(times) < seconds:
        begin(backend, runner, level, lanes, prior.n_ctx // 2)
        window = prior.n_ctx - prior.n_ctx // 2
        tokens: Codes = rng.integers(0, prior.bins, (window, lanes), dtype=np.int64)
        warm_up = min(WARM_UP_STEPS, window // 2)
        for index in range(window):
            start = time.perf_counter()
            runner.step(tokens[index])
            if index >= warm_up:
                times.append(time.perf_counter() - start)
            if len(times) % 64 == 63 and sum(times) >= seconds:
                break
    spent = np.array(times)
    mean = float(spent.mean())
    return StepRow(
        level=level,
        lanes=lanes,
        steps=spent.size,
        p50_ms=1e3 * float(np.percentile(spent, 50)),
        p99_ms=1e3 * float(np.percentile(spent, 99)),
        tokens_per_second=lanes / mean,
        needed_tokens_per_second=backend.config.rate / backend.config.hops[level],
        weights_gb_per_second=1e-9 * read / mean,
    )


def measure_draw(bins: int, seconds: float) -> float:
    """Microseconds of drawing one token from logits [bins] with temperature alone."""
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
    backend.encode(samples[: backend.config.rate], (level,))
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


def measure_pipeline(
    backend: Backend, fidelity: Fidelity, seconds: float, progress: Callable[[float], None] = lambda f: None
) -> PipelineRow:
    """A whole take of ``seconds`` after a prime of 6 s: from the request to the first chunk, and to the last."""
    rate = backend.config.rate
    frames = round(seconds * rate)
    request = Request(prime=PrimeRef(path="test signal"), frames=frames, fidelity=fidelity)
    prime = sample_signal(rate, PRIME_SECONDS)
    first: float | None = None
    last: Progress | None = None
    start = time.perf_counter()
    for event in continue_prime(backend, request, prime):
        if isinstance(event, AudioChunk) and first is None:
            first = time.perf_counter() - start
        elif isinstance(event, Progress):
            progress(event.fraction)
            last = event
    whole = time.perf_counter() - start
    assert first is not None, "a take without audio"
    return PipelineRow(
        fidelity=fidelity,
        seconds=seconds,
        first_audio_ms=1e3 * first,
        real_time_factor=seconds / whole,
        tokens=last.tokens if last else {},
        level_seconds=last.seconds if last else {},
    )


def sample_signal(rate: int, seconds: float) -> NDArray[np.float32]:
    """Decaying tones twice a second over soft noise: float32 [T]; speed does not depend on what it is."""
    time_axis = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * 220.0 * time_axis) * np.exp(-8.0 * (time_axis % 0.5))
    noise = np.random.default_rng(0).normal(0.0, 0.01, time_axis.size)
    return (0.5 * tone + noise).astype(np.float32)
