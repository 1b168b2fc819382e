"""Signs of life that the bridge can read although the audio process hangs in a driver."""

from __future__ import annotations

import time
from multiprocessing.context import SpawnContext

_CONTROL, _OUTPUT = 0, 1
_NEVER = float("inf")


class Heartbeat:
    """Two time stamps in memory shared with a spawned process: of its control loop and of its sound blocks.

    The memory has no name, so it cannot be left behind.
    """

    def __init__(self, context: SpawnContext) -> None:
        self._beats = context.RawArray("q", 2)

    def beat_control(self) -> None:
        """The control loop came round."""
        self._beats[_CONTROL] = time.monotonic_ns()

    def beat_output(self) -> None:
        """A sound block was asked for."""
        self._beats[_OUTPUT] = time.monotonic_ns()

    def rest_output(self) -> None:
        """No output is open, so none is expected."""
        self._beats[_OUTPUT] = 0

    @property
    def control_age(self) -> float:
        """Seconds since the control loop last came round; infinite before the first time."""
        return self._age(_CONTROL, _NEVER)

    @property
    def output_age(self) -> float:
        """Seconds since the last sound block; 0 while no output is open."""
        return self._age(_OUTPUT, 0.0)

    def _age(self, which: int, otherwise: float) -> float:
        stamp = self._beats[which]
        return (time.monotonic_ns() - stamp) / 1e9 if stamp else otherwise
