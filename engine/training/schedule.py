"""How far a run is, and the learning rate that goes with it.

Decay follows the fraction of the budget that is used, in wall time or steps, so that a time budget ends with
an annealed model on any machine.
"""

from __future__ import annotations

import math
from typing import Literal

Decay = Literal["cosine", "linear"]


def fraction_used(step: int, seconds: float, steps: int | None, minutes: float | None) -> float:
    """Part of the budget that is used, in [0, 1]; the nearer of the two limits counts."""
    by_steps = step / steps if steps else 0.0
    by_time = seconds / (minutes * 60) if minutes else 0.0
    return min(1.0, max(by_steps, by_time))


def learning_rate(peak: float, step: int, fraction: float, warmup: int, decay: Decay) -> float:
    """Rate for ``step`` (from 0): linear warm-up over ``warmup`` steps times a decay from 1 to 0 over the budget."""
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    fall = 1.0 - fraction if decay == "linear" else 0.5 * (1.0 + math.cos(math.pi * fraction))
    return peak * rise * fall
