"""Codes to the continuation's samples, piece by piece as they come."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.backends.protocol import Backend, Codes
from engine.events import AudioChunk
from engine.sampling.plan import Window

CONTEXT = 24  # codes behind one that is heard as a preview
FIRST = 24  # codes that the first sound of a preview has at least


@dataclass(frozen=True)
class Fade:
    """Tokens ``[start, stop)`` over which is faded from the level's codes to those that stand beside them."""

    start: int
    stop: int


def fades_of(windows: Sequence[Window], kept: Mapping[int, Codes] | None = None) -> tuple[Fade, ...]:
    """Where windows begin beside others, and those of ``kept`` codes that an earlier take has beside its own."""
    new = [Fade(w.first_sampled, w.first_new) for w in windows if w.overlap]
    old = [Fade(start, start + codes.size) for start, codes in (kept or {}).items()]
    return tuple(sorted([*new, *old], key=lambda fade: fade.start))


def still_beside(leads: Mapping[int, Codes], windows: Sequence[Window]) -> dict[int, Codes]:
    """Of an earlier take's ``leads`` those that hold when ``windows`` are sampled again: where they end, and what
    follows, is not."""
    if not windows:
        return dict(leads)
    first, stop = windows[0].first_new, windows[-1].stop
    ends = {start: start + codes.size for start, codes in leads.items()}
    return {start: leads[start] for start, end in ends.items() if end <= first or end >= stop}


@dataclass(frozen=True, eq=False)
class Beside:
    """Codes that stand beside a take's own, looked up while they come: ``kept`` from an earlier take, and row ``row``
    of what its windows ``sampled``, int64 [takes, tokens]; both by the first token."""

    kept: Mapping[int, Codes]
    sampled: Mapping[int, Codes]
    row: int

    def __contains__(self, start: int) -> bool:
        return start in self.sampled or start in self.kept

    def __getitem__(self, start: int) -> Codes:
        return self.sampled[start][self.row] if start in self.sampled else self.kept[start]


class Decoder:
    """Turns codes of one level into the continuation's samples, cut into chunks of one size.

    ``total``: tokens that there will be; ``seam``: samples of prime before the continuation; ``frames``: its length.
    """

    def __init__(
        self,
        backend: Backend,
        level: int,
        total: int,
        seam: int,
        frames: int,
        chunk_frames: int,
        fades: Sequence[Fade] = (),
    ) -> None:
        self.backend, self.level, self.frames, self.chunk = backend, level, frames, chunk_frames
        self.total, self.seam = total, seam
        self.fades = deque(fades)  # in order; those that are behind the piece are dropped
        self.hop = backend.config.hops[level]
        self.grid, self.margin = backend.decode_grid(level), backend.decode_margin(level)
        self.piece = seam // self.hop // self.grid
        self.sent = 0
        self.held = np.empty(0, dtype=np.float32)

    def take(
        self, codes: Codes, filled: int, leads: Mapping[int, Codes] | Beside | None = None
    ) -> Iterator[AudioChunk]:
        """Chunks that ``filled`` of ``codes`` int64 [total] suffice for and that were not handed on before.

        ``leads``: codes that stand beside the level's own, int64 [tokens] by the first of them.
        """
        leads = leads or {}
        while self._is_more():
            first, stop = self._span()
            if filled < min(self.total, stop + self.margin):
                return
            samples = self._decoded(codes[:filled], first, stop, leads)
            if samples is None:
                return
            self._hold(samples, first * self.hop)
            self.piece += 1
            yield from self._chunks()

    def _is_more(self) -> bool:
        return self.piece * self.grid < self.total and self.sent < self.frames

    def _span(self) -> tuple[int, int]:
        """First token of the next piece, and the one behind its last."""
        return self.piece * self.grid, min(self.total, (self.piece + 1) * self.grid)

    def _hold(self, samples: NDArray[np.float32], start: int) -> None:
        """Samples from ``start`` on are there; those of the prime are left out."""
        skip = max(0, self.seam - start)
        self.held = np.concatenate((self.held, np.clip(samples[skip:], -1.0, 1.0)))

    def _decoded(
        self, codes: Codes, first: int, stop: int, leads: Mapping[int, Codes] | Beside
    ) -> NDArray[np.float32] | None:
        """Samples of the piece from token ``first`` on, as far as the codes go; None while a fade lacks its codes."""
        # What is heard behind a fade still depends on the codes in it, as far as the margin reaches.
        while self.fades and self.fades[0].stop + self.margin <= first:
            self.fades.popleft()
        fades = list(itertools.takewhile(lambda fade: fade.start < stop, self.fades))
        if any(fade.stop > codes.size or fade.start not in leads for fade in fades):
            return None
        samples = self._piece_of(codes)
        for fade in fades:
            samples = self._faded(samples, codes, fade, leads[fade.start])
        return samples

    def _piece_of(self, codes: Codes) -> NDArray[np.float32]:
        return self.backend.decode_piece(codes, self.level, self.piece, min(self.total, codes.size))

    def _faded(
        self, samples: NDArray[np.float32], codes: Codes, fade: Fade, lead: Codes
    ) -> NDArray[np.float32]:
        """A piece, faded with equal power from its own samples to those of the other codes.

        Where both have the same codes they sound the same, and powers do not add but amplitudes: the share of equal
        codes stands for the correlation of the two.
        """
        other = codes.copy()
        other[fade.start : fade.stop] = lead
        alike = float((codes[fade.start : fade.stop] == lead).mean())
        if alike == 1.0:
            return samples
        there = self._piece_of(other)
        length = (fade.stop - fade.start) * self.hop
        at = np.arange(samples.size) + (self.piece * self.grid - fade.start) * self.hop + 0.5
        after, inside = at >= length, (at > 0) & (at < length)
        angle = (0.5 * np.pi / length * at[inside]).astype(np.float32)
        power = np.sqrt(1.0 + np.float32(alike) * np.sin(2.0 * angle))
        faded = np.where(after, there, samples)
        faded[inside] = (np.cos(angle) * samples[inside] + np.sin(angle) * there[inside]) / power
        return faded

    def _chunks(self) -> Iterator[AudioChunk]:
        while True:
            size = min(self.chunk, self.frames - self.sent)
            if size == 0 or self.held.size < size:
                return
            chunk, self.held = self.held[:size], self.held[size:]
            yield AudioChunk(self.sent, chunk.astype(np.float32))
            self.sent += size


class PreviewDecoder(Decoder):
    """The same sooner and not to the bit, for audio that finer levels replace.

    Codes count as known with :data:`CONTEXT` codes behind them, where exact samples need the whole margin: the rest
    is heard 50 dB below the music. The first piece goes in parts, each as long as all before it, so that the first
    sound waits for a few codes only.
    """

    def take(
        self, codes: Codes, filled: int, leads: Mapping[int, Codes] | Beside | None = None
    ) -> Iterator[AudioChunk]:
        """See :meth:`Decoder.take`; chunks are as long as it comes."""
        leads = leads or {}
        while self._is_more():
            first, stop = self._span()
            reach = filled if filled == self.total else filled - CONTEXT
            done = max(first * self.hop, self.seam + self.sent)
            fresh = min(reach, stop) * self.hop - done
            if reach < stop and (
                self.sent >= self.grid * self.hop or fresh < max(self.sent, FIRST * self.hop)
            ):
                return
            samples = self._decoded(codes[:filled], first, stop, leads)
            if samples is None:
                return
            self._hold(samples[done - first * self.hop :][:fresh], done)
            self.piece += int(reach >= stop)
            yield from self._chunks()

    def _chunks(self) -> Iterator[AudioChunk]:
        chunk, self.held = self.held[: self.frames - self.sent], np.empty(0, dtype=np.float32)
        if chunk.size:
            yield AudioChunk(self.sent, chunk.astype(np.float32))
            self.sent += chunk.size


def decode(
    backend: Backend,
    codes: Codes,
    level: int,
    seam: int,
    frames: int,
    leads: Mapping[int, Codes] | None = None,
) -> NDArray[np.float32]:
    """``frames`` samples float32 from sample ``seam`` on, of codes int64 [tokens] of one level; ``leads``: codes that
    stand beside them, by the first token of each."""
    decoder = Decoder(backend, level, codes.size, seam, frames, max(1, frames), fades_of((), leads))
    chunks = decoder.take(codes, codes.size, leads)
    return np.concatenate([np.zeros(0, np.float32), *(chunk.samples for chunk in chunks)])
