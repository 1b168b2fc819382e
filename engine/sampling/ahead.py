"""The window after the one that is being sampled: its prefix passes through the prior while it grows.

Three quarters of a window are usually prefix, and to pass it through takes a quarter to a half of the time of a
window. Done beside the sampling, on another core, it costs no time, and audio comes without a pause at every window.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from engine.backends.protocol import Codes, RowRunner, WindowInput
from engine.sampling.plan import Window

MOST_BYTES = 1 << 26  # of a second runner; of a large model it would be memory that nobody has planned


class Ahead:
    """``window`` on its way; ``make``: its runner and what it is conditioned on, asked for when there is time for it.

    One thread goes ahead, another one takes the runner when it is the window's turn.
    """

    def __init__(self, window: Window, make: Callable[[], tuple[RowRunner, WindowInput]]) -> None:
        self.window, self._make = window, make
        self._runner: RowRunner | None = None
        self._taken = False
        self._looked = -1  # tokens of prefix that were known when nothing could be done with them
        self._lock = threading.Lock()

    def ready(self, known: int) -> bool:
        """Whether ``known`` tokens of the prefix may be enough to go on."""
        return not self._taken and known > self._looked

    def go_on(self, prefix: Codes) -> None:
        """One piece more, if ``prefix`` int64 [lanes, n], what is known of it, reaches so far."""
        with self._lock:
            if self._taken:
                return
            if self._runner is None:
                runner, given = self._make()
                runner.prepare(given)
                self._runner = runner
            elif not self._runner.pass_on(prefix):
                self._looked = prefix.shape[1]

    def take(self) -> RowRunner | None:
        """The runner, to be completed with the whole prefix; None when there was no time to begin."""
        self._taken = True
        with self._lock:
            return self._runner
