"""A prime goes in, its continuation comes out: encode, sample, decode, hand on (DESIGN.md §4.2, §4.4)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from engine.backends.protocol import Backend, Codes
from engine.errors import BadFormat, Cancelled, OutOfRange, TooShort
from engine.events import AudioChunk, Event, PrimeEncoded, Progress
from engine.request import Request, SongPosition
from engine.sampling.plan import Plan, make_plan, prime_context
from engine.sampling.scheduler import Scheduler
from engine.store.config import ModelConfig

ASSUMED_SONG_SECONDS = 90.0  # a song whose length nobody stated, and
ASSUMED_PRIME_AT_SECONDS = (
    30.0  # where in it a riff lies: the middle of the form, not an intro, not an ending
)


def song_span(config: ModelConfig, request: Request, prime_frames: int, used_frames: int) -> tuple[int, int]:
    """(length of the song, start of the used prime in it), in samples, inside the top prior's range.

    ``prime_frames``: the prime as given; ``used_frames``: its end that is encoded.
    """
    song = request.song or SongPosition(
        total_seconds=ASSUMED_SONG_SECONDS, prime_at_seconds=ASSUMED_PRIME_AT_SECONDS
    )
    rate, limits = config.rate, config.priors[config.top].time
    total, offset = round(song.total_seconds * rate), round(song.prime_at_seconds * rate)
    if limits is not None:
        total = min(max(total, round(limits.min_seconds * rate)), round(limits.max_seconds * rate))
    return total, min(max(0, offset + prime_frames - used_frames), total - 1)


def _cut_prime(config: ModelConfig, request: Request, prime: NDArray[np.float32]) -> NDArray[np.float32]:
    """The end of the prime that is of use, a whole number of top tokens, ending where the prime ends."""
    hop = config.hops[config.top]
    tokens = min(prime.size // hop, prime_context(config, request.sampling))
    if not tokens:
        raise TooShort(
            f"the prime holds {prime.size} samples; it needs at least {hop} ({hop / config.rate * 1000:.1f} ms)"
        )
    return np.ascontiguousarray(prime[prime.size - tokens * hop :], dtype=np.float32)


class _Decoder:
    """Turns codes of one level into the continuation's samples, piece by piece, cut into chunks of one size."""

    def __init__(self, backend: Backend, plan: Plan, frames: int, chunk_frames: int) -> None:
        self.backend, self.level, self.frames, self.chunk = backend, plan.lowest, frames, chunk_frames
        self.total = plan.total[self.level]
        self.hop = backend.config.hops[self.level]
        self.grid, self.margin = backend.decode_grid(self.level), backend.decode_margin(self.level)
        self.seam = plan.known[self.level] * self.hop  # samples of prime before the continuation
        self.piece = plan.known[self.level] // self.grid
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


def _known_codes(
    backend: Backend, prime: NDArray[np.float32], levels: tuple[int, ...], done: Mapping[int, Codes] | None
) -> tuple[dict[int, Codes], float]:
    started = time.perf_counter()
    if done is not None and all(level in done for level in levels):
        known = {level: np.asarray(done[level], dtype=np.int64) for level in levels}
        for level, codes in known.items():
            if codes.size < prime.size // backend.config.hops[level]:
                raise BadFormat(
                    f"the known codes of level {level} end before the prime does; encode it again"
                )
        return known, 0.0
    return backend.encode(prime, levels), time.perf_counter() - started


def continue_with(
    backend: Backend,
    request: Request,
    prime: NDArray[np.float32],
    *,
    done: Mapping[int, Codes] | None = None,
    chunk_frames: int = 4096,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Continue ``prime`` (mono float32 [frames] at the model's rate) as ``request`` says.

    Yields :class:`PrimeEncoded`, then windows, progress and audio as they are finished. ``done[level]``: codes
    known from the beginning of the used prime, prime included, of every level sampled; sampling goes on after
    the last whole window in them, and all audio is handed on from its beginning. The audio and the codes do not
    depend on ``chunk_frames``, on ``done`` or on the machine's load. Raises Cancelled when ``should_stop()``
    turns true, TooShort, NoStyle or OutOfRange for a request that cannot be met.
    """
    config = backend.config
    backend.check_style(request.style)
    if chunk_frames < 1:
        raise OutOfRange(f"chunk_frames is {chunk_frames}; it must be at least 1")
    used = _cut_prime(config, request, np.asarray(prime, dtype=np.float32))
    lowest, hop = request.fidelity.level, config.hops[config.top]
    tokens = used.size // hop
    plan = make_plan(config, request.sampling, tokens, tokens - (-request.frames // hop), lowest)
    known, seconds = _known_codes(backend, used, tuple(range(lowest, config.top + 1)), done)
    yield PrimeEncoded({level: codes[: plan.known[level]] for level, codes in known.items()}, seconds)

    song = song_span(config, request, prime.size, used.size)
    scheduler = Scheduler(backend, plan, request.sampling, request.style, request.seed, song, known)
    decoder = _Decoder(backend, plan, request.frames, chunk_frames)
    state = scheduler.levels[lowest]
    yield from decoder.take(state.codes, state.filled)
    while not scheduler.finished:
        if should_stop():
            raise Cancelled("the job was cancelled")
        yield from scheduler.advance()
        yield from decoder.take(state.codes, state.filled)
        yield Progress(
            scheduler.steps_done / max(1, plan.steps),
            {level: s.steps for level, s in scheduler.levels.items()},
            {level: s.seconds for level, s in scheduler.levels.items()},
        )
