"""What sampling a take yields, in order of happening. Consumers: the take writer, the host, the command line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PrimeEncoded:
    """The prime's codes of some levels, ``codes[level]`` int64 [tokens]; the top level's come first, in an event of
    their own where the others have yet to be encoded. ``seconds``: time that encoding took so far."""

    codes: dict[int, NDArray[np.int64]]
    seconds: float


@dataclass(frozen=True)
class WindowDone:
    """One window of one level is sampled: ``codes`` int64 [tokens] are the new tokens from position ``start``.

    ``start`` counts tokens of that level from the beginning of the prime.
    """

    level: int
    index: int
    start: int
    codes: NDArray[np.int64]
    seconds: float


@dataclass(frozen=True)
class LeadCodes:
    """Codes that stand beside those of a level from token ``start`` on, int64 [tokens]: what is heard fades from the
    level's own to these, which is what came before those that follow (`segue seams` compares it with a cut)."""

    level: int
    start: int
    codes: NDArray[np.int64]


@dataclass(frozen=True)
class KeptCodes:
    """Codes of the continuation that an earlier take gave: ``codes`` int64 [tokens] of ``level`` from ``start``."""

    level: int
    start: int
    codes: NDArray[np.int64]


@dataclass(frozen=True)
class AudioChunk:
    """Finished audio of the asked-for fidelity: ``samples`` float32 [frames] mono, in [-1, 1].

    ``start`` counts samples from the beginning of the continuation (the end of the prime is 0). Chunks arrive
    in order and without gaps.
    """

    start: int
    samples: NDArray[np.float32]


@dataclass(frozen=True)
class Preview:
    """Audio decoded from the codes of ``level``, coarser than what was asked for: to be heard until that comes.

    ``start`` and ``samples`` as in :class:`AudioChunk`; previews of one level arrive in order and without gaps.
    """

    start: int
    samples: NDArray[np.float32]
    level: int


@dataclass(frozen=True)
class Progress:
    """Fraction of all token steps done, in [0, 1]; tokens sampled in this run and seconds spent on them, per level."""

    fraction: float
    tokens: dict[int, int]
    seconds: dict[int, float]


Event = PrimeEncoded | WindowDone | LeadCodes | KeptCodes | AudioChunk | Preview | Progress
