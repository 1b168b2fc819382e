"""The protocol between sampling and whatever computes the model. Arrays are numpy on this side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from engine.prior.pulse import SongPulse
from engine.request import Style
from engine.store.config import ModelConfig

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class WindowInput:
    """All that a window starts from, per lane: ``prefix`` int64 [N, n]; ``upper`` int64 [N, M] or None;
    ``styles`` N of them; ``total`` and ``offset``: song length and window start in samples; ``lyrics`` int64
    [N, P], the characters of this window for a prior that reads lyrics, else None; ``pulse``: the song's, None
    where unknown."""

    prefix: Codes
    upper: Codes | None
    styles: tuple[Style, ...]
    total: int
    offset: int
    lyrics: Codes | None = None
    pulse: SongPulse | None = None


class LevelRunner(Protocol):
    """Sampling state of one level for a fixed number of lanes; static caches, reused from window to window."""

    def begin(self, window: WindowInput) -> None:
        """Condition and prefill; the next step is at position ``prefix.shape[1]`` of the window."""
        ...

    def step(self, previous: Codes | None) -> NDArray[np.float32]:
        """Logits float32 [N, bins] of the next position given the token before it, int64 [N] (None at position 0).

        The returned array may be overwritten by the next step.
        """
        ...


@runtime_checkable
class Backend(Protocol):
    """A loaded model that can encode, sample and decode."""

    @property
    def config(self) -> ModelConfig: ...

    @property
    def hash(self) -> str: ...

    def check_style(self, style: Style) -> None:
        """Raise NoStyle if the model lacks a label of it."""
        ...

    def encode(self, samples: NDArray[np.float32], levels: tuple[int, ...]) -> dict[int, Codes]:
        """Codes of mono samples float32 [T] at the model's rate."""
        ...

    def runner(self, level: int, lanes: int) -> LevelRunner:
        """A new sampling state of one level."""
        ...

    def decode_grid(self, level: int) -> int:
        """Tokens per decoded piece."""
        ...

    def decode_margin(self, level: int) -> int:
        """Tokens needed on either side of a piece."""
        ...

    def decode_piece(self, codes: Codes, level: int, piece: int, total: int) -> NDArray[np.float32]:
        """Samples float32 [frames] of piece ``piece``; ``codes`` int64 [available]."""
        ...
