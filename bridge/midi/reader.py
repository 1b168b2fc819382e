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
_LOST_NS = (
    2_000_000_000  # nothing waits so long for us: distances have been lost, the line of arrivals begins anew
)
_WINDOW = 64  # messages of which one at least is seen at once: if all seem late, the line is early
_AT_ONCE_NS = 1_500_000  # a message is seen as soon as that where nothing holds the reader up
_ACTIVE_SENSING = 0xFE


class Queue:
    """One input port of rtmidi, and when its messages arrived.

    rtmidi tells how long after the one before a message came, and we know when we saw it: the line of those distances
    is moved earlier when it says that a message came after it was seen, and later when none of the last ones was seen
    soon after it is said to have come. How long a busy machine keeps us from looking changes nothing.
    """

    def __init__(self, port: Any, receive: Callable[[bytes, int], None]) -> None:
        self.port = port
        self.receive = receive
        self._arrived_ns = -_LOST_NS
        self._least_late_ns = _LOST_NS
        self._seen = 0

    def arrival(self, distance: float, seen_ns: int) -> int:
        """When a message arrived, in nanoseconds, that came ``distance`` seconds after the one before."""
        self._arrived_ns += round(distance * 1e9)
        late = seen_ns - self._arrived_ns
        if not 0 <= late < _LOST_NS:  # impossible, or the first one
            self._arrived_ns, late = seen_ns, 0
        self._seen += 1
        self._least_late_ns = min(self._least_late_ns, late)
        if self._seen == _WINDOW:
            if self._least_late_ns > _AT_ONCE_NS:
                self._arrived_ns += self._least_late_ns
            self._least_late_ns, self._seen = _LOST_NS, 0
        return self._arrived_ns

    def read(self) -> bool:
        """Hand over everything that waits; whether there was anything but active sensing."""
        found, told = self.port.get_message(), False
        while found is not None:
            data, distance = found
            at_ns = self.arrival(distance, time.monotonic_ns())
            if not data or data[0] != _ACTIVE_SENSING:
                told = True
                self.receive(bytes(data), at_ns)
            found = self.port.get_message()
        return told


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
