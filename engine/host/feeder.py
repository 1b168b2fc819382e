"""Handing a take's audio to the ring without ever making the sampling wait."""

from __future__ import annotations

import logging
import threading
from collections import deque

import numpy as np
from numpy.typing import NDArray

from engine.errors import SegueError
from engine.ring import Ring

log = logging.getLogger("segue.engine")

_RETRY_SECONDS = 0.02  # how often a full ring is looked at again; it holds many seconds


class RingFeeder:
    """The producer of one ring: keeps what does not fit yet, pushes it from a thread of its own, closes it.

    ``skip``: frames of the continuation that the ring was given by an earlier engine process; that many are
    left out, so that the listener hears one unbroken take.
    """

    def __init__(self, ring: Ring, skip: int = 0) -> None:
        self._ring = ring
        self._next = skip  # frame of the continuation that comes next
        self._pending: deque[NDArray[np.float32]] = deque()
        self._changed = threading.Condition()
        self._ended = self._stopped = False
        self._thread = threading.Thread(target=self._push, name="segue-ring", daemon=True)
        self._thread.start()

    def feed(self, start: int, samples: NDArray[np.float32]) -> None:
        """Queues float32 [frames] that begin at frame ``start`` of the continuation; never waits.

        Frames that were queued before are skipped, so a resumed take may be fed from its beginning.
        """
        with self._changed:
            fresh = samples[max(0, self._next - start) :]
            if fresh.size:
                self._pending.append(fresh)
                self._next = start + samples.size
                self._changed.notify()

    def end(self) -> None:
        """Says that the take is complete: the ring is marked finished when the rest is in it."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def stop(self) -> None:
        """Drops what is pending and ends the thread."""
        with self._changed:
            self._stopped = True
            self._pending.clear()
            self._changed.notify()

    @property
    def alive(self) -> bool:
        """Whether there is, or may come, something to push."""
        return self._thread.is_alive()

    def wait(self, seconds: float) -> bool:
        """Waits until everything is pushed (after :meth:`end`); False when that takes longer."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _push(self) -> None:
        try:
            while self._push_some():
                pass
        except SegueError as error:
            log.warning("the ring is gone, the take goes on without being heard: %s", error.message)
        finally:
            self._ring.close()

    def _push_some(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._ended or self._stopped)
            if self._stopped:
                return False
            if not self._pending:
                self._ring.finish()
                return False
            written = self._ring.write(self._pending[0])
            rest = self._pending[0][written:]
            if rest.size:
                self._pending[0] = rest
                self._changed.wait_for(lambda: self._stopped, _RETRY_SECONDS)
            else:
                self._pending.popleft()
            return True
