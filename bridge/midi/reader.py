"""Reads what rtmidi's own threads have put into its queues.

rtmidi can call Python for each message instead, but on JACK it does so in the thread that must be done within a
period: while the interpreter is busy, every message waits its turn there, and whole periods were lost or came twice
(measured: 4,000 messages a second and a busy event loop). A queue is filled without the interpreter.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger("segue.midi")

QUEUE_MESSAGES = 16_384  # of each port, while the interpreter is busy
# How long is waited between two looks, by the time since the last message: a session that nobody plays should cost
# next to nothing, and the first note after a pause may come some milliseconds late.
_PAUSES = ((1_000_000_000, 0.001), (20_000_000_000, 0.004))
LONGEST_PAUSE_SECONDS = 0.025
_LATE_NS = 8_000_000  # more than a message can have waited for us: the line of arrival times begins anew


class Queue:
    """One input port of rtmidi, and when its messages arrived.

    rtmidi tells how long after the one before a message came, and we know when we saw it: the time on the line of
    those distances can only be moved earlier, for nothing arrives after it was seen.
    """

    def __init__(self, port: Any, receive: Callable[[bytes, int], None]) -> None:
        self.port = port
        self.receive = receive
        self._arrived_ns = 0

    def arrival(self, distance: float, seen_ns: int) -> int:
        """When a message arrived, in nanoseconds, that came ``distance`` seconds after the one before."""
        on_line = self._arrived_ns + round(distance * 1e9)
        self._arrived_ns = on_line if seen_ns - _LATE_NS < on_line <= seen_ns else seen_ns
        return self._arrived_ns

    def read(self) -> bool:
        """Hand over everything that waits; whether there was anything."""
        found = self.port.get_message()
        if found is None:
            return False
        while found is not None:
            self.receive(bytes(found[0]), self.arrival(found[1], time.monotonic_ns()))
            found = self.port.get_message()
        return True


class Reader:
    """One thread for all queues; it runs while there are any."""

    def __init__(self) -> None:
        self._queues: list[Queue] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, queue: Queue) -> None:
        """Read this queue from now on."""
        with self._lock:
            self._queues.append(queue)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="segue-midi-read", daemon=True)
                self._thread.start()

    def remove(self, port: Any) -> None:
        """Read that port's queue no more; it is not being read when this returns."""
        with self._lock:
            self._queues = [queue for queue in self._queues if queue.port is not port]

    def _run(self) -> None:
        last_ns = 0
        while True:
            with self._lock:
                if not self._queues:
                    self._thread = None
                    return
                for queue in self._queues:
                    try:
                        if queue.read():
                            last_ns = time.monotonic_ns()
                    except Exception:  # of a port that was pulled out: the watch will see it
                        log.debug("a MIDI queue cannot be read", exc_info=True)
            time.sleep(pause(time.monotonic_ns() - last_ns))


def pause(since_ns: int) -> float:
    """Seconds to the next look, when the last message came ``since_ns`` ago."""
    return next((seconds for limit_ns, seconds in _PAUSES if since_ns < limit_ns), LONGEST_PAUSE_SECONDS)
