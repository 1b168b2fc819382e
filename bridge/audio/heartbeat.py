"""Signs of life that the bridge can read although the audio process hangs in a driver."""

from __future__ import annotations

import time
from multiprocessing.context import SpawnContext

_CONTROL, _OUTPUT, _INPUT = 0, 1, 2
_NEVER = float("inf")


class Heartbeat:
    """Three time stamps in memory shared with a spawned process: of its control loop, of blocks played and recorded.

    The memory has no name, so it cannot be left behind.
    """

    def __init__(self, context: SpawnContext) -> None:
        self._beats = context.RawArray("q", 3)

    def beat_control(self) -> None:
        """The control loop came round."""
        self._beats[_CONTROL] = time.monotonic_ns()

    def beat_output(self, now_ns: int) -> None:
        """A sound block was asked for."""
        self._beats[_OUTPUT] = now_ns

    def rest_output(self) -> None:
        """No output is open, so none is expected."""
        self._beats[_OUTPUT] = 0

    def beat_input(self, now_ns: int) -> None:
        """A block was recorded."""
        self._beats[_INPUT] = now_ns

    def rest_input(self) -> None:
        """No input is open, so none is expected."""
        self._beats[_INPUT] = 0

    @property
    def control_age(self) -> float:
        """Seconds since the control loop last came round; infinite before the first time."""
        return self._age(_CONTROL, _NEVER)

    @property
    def output_age(self) -> float:
        """Seconds since the last sound block; 0 while no output is open."""
        return self._age(_OUTPUT, 0.0)

    @property
    def input_age(self) -> float:
        """Seconds since the last block was recorded; 0 while no input is open."""
        return self._age(_INPUT, 0.0)

    def _age(self, which: int, otherwise: float) -> float:
        stamp = self._beats[which]
        return (time.monotonic_ns() - stamp) / 1e9 if stamp else otherwise
