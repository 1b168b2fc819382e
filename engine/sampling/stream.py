"""A request and what it starts from go in, a take comes out: sample, decode, hand on (DESIGN.md §4.2, §4.4)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from engine.backends.protocol import Backend, Codes
from engine.errors import BadFormat, Cancelled, OutOfRange
from engine.events import AudioChunk, Event, PrimeEncoded, Progress
from engine.lyrics import song_lyrics
from engine.request import Mode, Request
from engine.sampling.infill import Chosen, choose
from engine.sampling.plan import Plan, make_plan, span_tokens
from engine.sampling.pulse import song_pulse
from engine.sampling.scheduler import Scheduler, Setting
from engine.sampling.song import song_span
from engine.sampling.start import Start, primed_start
from engine.store.config import ModelConfig


class _Decoder:
    """Turns codes of one level into the continuation's samples, piece by piece, cut into chunks of one size."""

    def __init__(
        self, backend: Backend, level: int, total: int, seam: int, frames: int, chunk_frames: int
    ) -> None:
        self.backend, self.level, self.frames, self.chunk = backend, level, frames, chunk_frames
        self.total, self.seam = total, seam  # seam: samples of prime before the continuation
        self.hop = backend.config.hops[self.level]
        self.grid, self.margin = backend.decode_grid(self.level), backend.decode_margin(self.level)
        self.piece = seam // self.hop // self.grid
        self.sent = 0
        self.held = np.empty(0, dtype=np.float32)

    def take(self, codes: Codes, filled: int) -> Iterator[AudioChunk]:
        """Chunks that ``filled`` tokens suffice for and that were not handed on before."""
        while self.piece * self.grid < self.total and self.sent < self.frames:
            if filled < min(self.total, (self.piece + 1) * self.grid + self.margin):
                return
            samples = self.backend.decode_piece(codes[:filled], self.level, self.piece, self.total)
            skip = max(0, self.seam - self.piece * self.grid * self.hop)
            self.held = np.concatenate((self.held, np.clip(samples[skip:], -1.0, 1.0)))
            self.piece += 1
            yield from self._chunks()

    def _chunks(self) -> Iterator[AudioChunk]:
        while True:
            size = min(self.chunk, self.frames - self.sent)
            if size == 0 or self.held.size < size:
                return
            chunk, self.held = self.held[:size], self.held[size:]
            yield AudioChunk(self.sent, chunk.astype(np.float32))
            self.sent += size


def decode(backend: Backend, codes: Codes, level: int, seam: int, frames: int) -> NDArray[np.float32]:
    """``frames`` samples float32 from sample ``seam`` on, of codes int64 [tokens] of one level."""
    decoder = _Decoder(backend, level, codes.size, seam, frames, max(1, frames))
    return np.concatenate([np.zeros(0, np.float32), *(c.samples for c in decoder.take(codes, codes.size))])


def plan_of(config: ModelConfig, request: Request, start: Start) -> Plan:
    """The plan of a request. Raises OutOfRange for a span without a whole token."""
    hop = config.hops[config.top]
    total = -(-(start.seam + request.frames) // hop)
    span = None
    if request.span is not None:
        span = span_tokens(start.seam, request.span.start_frame, request.span.stop_frame, request.frames, hop)
    known = [
        level
        for level, codes in start.codes.items()
        if request.mode is Mode.UPSAMPLE and codes.size >= total * (hop // config.hops[level])
    ]
    return make_plan(
        config,
        request.sampling,
        start.prime_tokens,
        total,
        request.fidelity.level,
        kept=min(known, default=None),
        span=span,
        changes=[start.seam + change.at_frame for change in request.style_changes],
    )


def _known_codes(
    backend: Backend, start: Start, plan: Plan, done: Mapping[int, Codes]
) -> tuple[dict[int, Codes], float]:
    """Codes that every sampled level starts from, and the seconds that encoding them took."""
    started = time.perf_counter()
    levels = range(plan.lowest, len(plan.known))
    known = {level: np.asarray(start.codes[level], np.int64) for level in levels if level in start.codes}
    known |= {
        level: np.asarray(done[level][: plan.known[level]], dtype=np.int64)
        for level in levels
        if level not in known and level in done
    }
    for level, codes in known.items():
        if codes.size < plan.known[level]:
            raise BadFormat(f"the known codes of level {level} end before the prime does; encode it again")
    missing = tuple(level for level in levels if level not in known)
    if not missing:
        return known, 0.0
    if not plan.known[missing[0]]:
        return known | {level: np.zeros(0, np.int64) for level in missing}, 0.0
    return known | backend.encode(start.audio, missing), time.perf_counter() - started


def continue_with(
    backend: Backend,
    request: Request,
    prime: NDArray[np.float32],
    *,
    start: Start | None = None,
    done: Mapping[int, Codes] | None = None,
    chunk_frames: int = 4096,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Continue ``prime`` (mono float32 [frames] at the model's rate) as ``request`` says.

    ``start``: what a take of another mode than primed starts from; of ``prime`` only the pulse is heard then. Yields
    :class:`PrimeEncoded`, then windows, progress and audio as they are finished. ``done[level]``: codes known from
    the beginning of the used prime, prime included, of every level sampled; sampling goes on after the last whole
    window in them, and all audio is handed on from its beginning. The audio and the codes do not depend on
    ``chunk_frames``, on ``done`` or on the machine's load. Raises Cancelled when ``should_stop()`` turns true,
    TooShort, NoStyle or OutOfRange for a request that cannot be met.
    """
    config = backend.config
    sung = config.priors[config.top].lyrics
    styles = (request.style, *(change.style for change in request.style_changes))
    for style in styles:
        backend.check_style(style)
    if chunk_frames < 1:
        raise OutOfRange(f"chunk_frames is {chunk_frames}; it must be at least 1")
    if start is None:
        start = Start() if request.mode is Mode.ANCESTRAL else primed_start(config, request, prime)
    song = song_span(config, request, start.before, start.seam)
    setting = Setting(
        request.sampling,
        styles,
        request.seed,
        song,
        None if sung is None else song_lyrics(request, sung, config.rate),
        song_pulse(config, request, prime, song[1] + start.seam),
    )
    plan, done = plan_of(config, request, start), dict(done or {})
    known, seconds = _known_codes(backend, start, plan, done)
    yield PrimeEncoded({level: codes[: plan.known[level]] for level, codes in known.items()}, seconds)

    chosen = Chosen()
    if request.span is not None:
        chosen = yield from choose(backend, plan, setting, known, done, request.span.candidates, should_stop)
        done |= chosen.done
    scheduler = Scheduler(backend, plan, setting, known, done)
    yield from scheduler.kept_first(chosen.windows)
    lowest = plan.lowest
    state = scheduler.levels[lowest]
    decoder = _Decoder(backend, lowest, plan.total[lowest], start.seam, request.frames, chunk_frames)
    yield from decoder.take(state.codes, state.filled)
    while not scheduler.finished:
        if should_stop():
            raise Cancelled("the job was cancelled")
        yield from scheduler.advance()
        yield from decoder.take(state.codes, state.filled)
        yield Progress(
            (scheduler.steps_done + chosen.steps) / max(1, plan.steps + chosen.steps),
            {level: s.steps for level, s in scheduler.levels.items()},
            {level: s.seconds for level, s in scheduler.levels.items()},
        )
