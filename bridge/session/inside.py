"""What goes on inside the bridge: how long its event loop keeps anybody waiting, and a sign of life."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from bridge.osc.endpoint import OscEndpoint
from bridge.osc.intake import dump_log

TICK_SECONDS = 0.005
BEAT_SECONDS = 1.0


class Inside:
    """Measures pauses of the event loop while it is asked to: a tick that comes late was kept waiting.

    Nothing ticks while nobody watches. A pause is measured to within a tick of 5 ms. On a machine that is busy with
    other things a tick is late though the loop did nothing; so what the loop's thread itself computed is measured too.
    """

    def __init__(self, endpoint: OscEndpoint) -> None:
        self._endpoint = endpoint
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._longest = self._own = 0.0
        self._since = time.monotonic()
        self._cpu = 0.0

    def dump(self, level: int) -> None:
        """Show packets in the log: 0 not, 1 messages, 2 bytes, 3 both."""
        dump_log.setLevel(logging.INFO)
        self._endpoint.intake.dump = level

    def watch(self, on: bool) -> None:
        """Begin or end to measure pauses."""
        self.close()
        if on:
            self._longest, self._own, self._since = 0.0, 0.0, time.monotonic()
            self._next()

    def seen(self) -> tuple[float, float, float, int, int, int]:
        """Longest pause in ms, the longest that was computed in, seconds, packets received, malformed, connections.

        The pauses begin anew.
        """
        if self._timer is not None:
            self._look()
        now = time.monotonic()
        pauses = 1e3 * self._longest, 1e3 * self._own, now - self._since
        self._longest, self._own, self._since = 0.0, 0.0, now
        endpoint = self._endpoint
        return (*pauses, endpoint.received, endpoint.malformed, len(endpoint.tcp.connections))

    def close(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self) -> None:
        self._due, self._cpu = time.monotonic() + TICK_SECONDS, time.thread_time()
        self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._look()
        self._next()

    def _look(self) -> None:
        late, own = time.monotonic() - self._due, time.thread_time() - self._cpu
        self._longest = max(self._longest, late)
        self._own = max(self._own, min(late, own))


async def heartbeat(beat: Callable[[int], None]) -> None:
    """Call ``beat`` with 1 and 0 in turn, every second."""
    value = 0
    due = time.monotonic()
    while True:
        value = 1 - value
        beat(value)
        due = max(due + BEAT_SECONDS, time.monotonic())
        await asyncio.sleep(due - time.monotonic())
