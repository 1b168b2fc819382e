"""From the threads of the MIDI system into the bridge's event loop, in order and without losing anything."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

log = logging.getLogger("segue.midi")

CAPACITY = 65_536  # messages: over a minute of a full MIDI cable
AT_ONCE = 256  # messages handled before the loop may do something else,
TURN_SECONDS = (
    0.004  # and how long that may take: a pad that changes the preset costs as much as a hundred ticks
)


class Arrival(NamedTuple):
    """Bytes that came in at a port; ``at_ns`` is ``time.monotonic_ns`` on arrival."""

    port: str
    data: bytes
    at_ns: int


class Inbox:
    """``put`` may be called by any thread; ``take`` is called in the loop, once for each arrival.

    ``lost`` counts what came while :data:`CAPACITY` arrivals were waiting.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, take: Callable[[Arrival], None]) -> None:
        self.lost = 0
        self._loop = loop
        self._take = take
        self._waiting: deque[Arrival] = deque()
        self._lock = threading.Lock()
        self._woken = False
        self._closed = False

    def put(self, arrival: Arrival) -> None:
        """Hand over an arrival; never blocks."""
        with self._lock:
            if self._closed:
                return
            if len(self._waiting) >= CAPACITY:
                self.lost += 1
                return
            self._waiting.append(arrival)
            if self._woken:
                return
            self._woken = True
        try:
            self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:  # the loop has ended
            self.close()

    def close(self) -> None:
        """Take nothing more, and forget what waits."""
        with self._lock:
            self._closed = True
            self._waiting.clear()

    def _drain(self) -> None:
        until = time.perf_counter() + TURN_SECONDS
        for _ in range(AT_ONCE):
            with self._lock:
                if not self._waiting:
                    self._woken = False
                    return
                arrival = self._waiting.popleft()
            try:
                self._take(arrival)
            except Exception:  # the next one must be taken all the same
                log.exception("a message of the MIDI port '%s' failed unexpectedly", arrival.port)
            if time.perf_counter() > until:
                break
        self._loop.call_soon(self._drain)
