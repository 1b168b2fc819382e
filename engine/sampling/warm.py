"""The first window of a take, begun before anybody asked for the take: its prefix has passed through the prior.

A producer sets the prime long before pressing the key; what lies between costs the first sound nothing then.
"""

from __future__ import annotations

import threading
from dataclasses import fields

import numpy as np

from engine.backends.protocol import LevelRunner, WindowInput


class WarmStart:
    """A runner of ``level`` for ``lanes`` lanes in which the window ``given`` was begun. Thread-safe."""

    def __init__(self, level: int, lanes: int, given: WindowInput, runner: LevelRunner) -> None:
        self.level, self.lanes, self.given = level, lanes, given
        self._runner: LevelRunner | None = runner
        self._lock = threading.Lock()

    @property
    def used(self) -> bool:
        """Whether a take has gone on from it."""
        return self._runner is None

    def take(self, level: int, lanes: int, given: WindowInput) -> LevelRunner | None:
        """The runner for whoever begins the same window, once; None for another window."""
        if (level, lanes) != (self.level, self.lanes) or not same_window(self.given, given):
            return None
        with self._lock:
            runner, self._runner = self._runner, None
        return runner


def same_window(first: WindowInput, second: WindowInput) -> bool:
    """Whether two windows start from exactly the same."""
    for field in fields(WindowInput):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
            if one is None or other is None or not np.array_equal(one, other):
                return False
        elif one != other:
            return False
    return True
