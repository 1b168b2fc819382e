"""The pulse of a song as a signal of its top prior: where in the bar every token lies, how fast bars go by, the key.

It goes beyond the paper, whose priors have to find the groove in their context alone. Plain arithmetic, shared by
training and by every runtime.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.prior.config import PriorConfig

UNKNOWN = 0  # row of what is not known, of every table
BEATS_PER_BAR = 4


@dataclass(frozen=True)
class SongPulse:
    """``bar``: samples a bar, 0 where unknown; ``downbeat``: sample of the song at which one begins, any of them;
    ``key``: 0 unknown, 1 to 12 major from C upwards, 13 to 24 minor."""

    bar: float = 0.0
    downbeat: float = 0.0
    key: int = UNKNOWN


def pulse_at(bpm: float, rate: int, downbeat: float, key: int) -> SongPulse:
    """The pulse of ``bpm`` beats a minute at ``rate`` Hz."""
    return SongPulse(60.0 * BEATS_PER_BAR * rate / bpm, downbeat, key)


def key_row(tonic: int, minor: bool) -> int:
    """Row of the key on ``tonic``, 0 (C) to 11 (B)."""
    return 1 + tonic + (12 if minor else 0)


@dataclass(frozen=True)
class PulseRows:
    """Table rows of one window: ``phase`` int64 [n_ctx], ``tempo``, ``key``; row 0 is "unknown"."""

    phase: NDArray[np.int64]
    tempo: int
    key: int


def pulse_rows(config: PriorConfig, pulse: SongPulse, offset: int) -> PulseRows:
    """Rows of the window that begins at sample ``offset`` of the song."""
    wanted = config.pulse
    assert wanted is not None
    if not pulse.bar > 0:
        return PulseRows(np.full(config.n_ctx, UNKNOWN, np.int64), UNKNOWN, pulse.key)
    centre = offset - pulse.downbeat + (np.arange(config.n_ctx) + 0.5) * config.hop
    phase = np.floor(centre / pulse.bar % 1.0 * wanted.phases).astype(np.int64)
    bpm = 60.0 * BEATS_PER_BAR * config.sample_rate / pulse.bar
    speed = math.floor(math.log2(bpm / wanted.min_bpm) * wanted.tempos)
    highest = wanted.tempos * wanted.octaves - 1
    return PulseRows(1 + np.minimum(phase, wanted.phases - 1), 1 + min(max(speed, 0), highest), pulse.key)
