"""The protocol between sampling and whatever computes the model. Arrays are numpy on this side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from engine.prior.pulse import SongPulse
from engine.request import LevelSampling, Style
from engine.store.config import ModelConfig

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class WindowInput:
    """All that the windows of N lanes start from: ``prefix`` int64 [N, n]; ``upper`` int64 [N, M] or None;
    ``styles`` and ``offsets`` N of them, where each window begins in the song, in samples; ``total``: the song's
    length in samples; ``lyrics`` int64 [N, P], the characters of each window for a prior that reads lyrics, else
    None; ``pulse``: the song's, None where unknown.

    Lanes go on in step: they have as many tokens of prefix and sample the same positions of their windows.
    """

    prefix: Codes
    upper: Codes | None
    styles: tuple[Style, ...]
    total: int
    offsets: tuple[int, ...]
    lyrics: Codes | None = None
    pulse: SongPulse | None = None


Stopped = Callable[[], bool]


def never() -> bool:
    """Nobody stops it."""
    return False


class LevelRunner(Protocol):
    """Sampling state of one level for a fixed number of lanes; static caches, reused from window to window."""

    def begin(self, window: WindowInput, stopped: Stopped = never) -> None:
        """Condition and prefill; the next step is at position ``prefix.shape[1]`` of the window.

        A long prefill may end early once ``stopped()``; the runner is then of no use until it begins another window.
        """
        ...

    def step(self, previous: Codes | None) -> NDArray[np.float32]:
        """Logits float32 [N, bins] of the next position given the token before it, int64 [N] (None at position 0).

        The returned array may be overwritten by the next step.
        """
        ...

    def sample(self, previous: Codes | None, noise: NDArray[np.float64], settings: LevelSampling) -> Codes:
        """The next tokens of every lane, int64 [N, count], given the one before them, int64 [N] (None at position 0).

        ``noise``: a uniform number in [0, 1) per lane and position, [N, count], see
        :func:`engine.sampling.noise.uniforms`. What is drawn is :func:`engine.sampling.draw.draw_lanes` of each
        step's logits, wherever it is computed.
        """
        ...


@runtime_checkable
class RowRunner(LevelRunner, Protocol):
    """A runner that can begin a window whose prefix is still being sampled: it passes through piece by piece.

    :meth:`prepare`, :meth:`pass_on` as often as it says that it did something, and :meth:`complete` with the whole
    prefix leave what one :meth:`begin` leaves, bit for bit.
    """

    @property
    def nbytes(self) -> int:
        """Bytes that it keeps."""
        ...

    def prepare(self, window: WindowInput) -> None:
        """Condition; what ``window`` says of its prefix is not looked at."""
        ...

    def pass_on(self, prefix: Codes) -> bool:
        """Pass the next piece through, if ``prefix`` int64 [N, n], what is known of it, reaches so far."""
        ...

    def complete(self, prefix: Codes, stopped: Stopped = never) -> None:
        """Pass on what is left of ``prefix`` int64 [N, n], the whole of it; see :meth:`begin`."""
        ...


@runtime_checkable
class Backend(Protocol):
    """A loaded model that can encode, sample and decode."""

    @property
    def config(self) -> ModelConfig: ...

    @property
    def hash(self) -> str: ...

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 by name of the files that decide what it makes; none where that is not known."""
        ...

    @property
    def runtime(self) -> str:
        """What computes the model, and in what precision: samples are the same only on the same one."""
        ...

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
