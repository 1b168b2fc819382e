"""When to start a process again, and when to stop trying."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

FIRST_DELAY_SECONDS = 0.1
GROWTH = 1.5
WINDOW_SECONDS = 60.0
MOST_RESTARTS = 5


class Backoff:
    """Delays of 0.1 s · 1.5^n for the n-th restart within a minute in vain; at most five of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._restarts: deque[float] = deque()

    def worked(self) -> None:
        """The process does what it is there for: its earlier deaths say nothing about the next one."""
        self._restarts.clear()

    def next_delay(self) -> float | None:
        """Seconds to wait before this restart; None when it would be the sixth within a minute."""
        now = self._clock()
        while self._restarts and now - self._restarts[0] >= WINDOW_SECONDS:
            self._restarts.popleft()
        if len(self._restarts) >= MOST_RESTARTS:
            return None
        delay = FIRST_DELAY_SECONDS * GROWTH ** len(self._restarts)
        self._restarts.append(now)
        return delay
