"""Handing a take's audio to the ring without ever making the sampling wait; coarser audio until the finer is there.

What is in the ring cannot be taken back, so of audio that may still be replaced only a short look-ahead is put there
(DESIGN.md §4.4).
"""

from __future__ import annotations

import logging
import threading

import numpy as np
from numpy.typing import NDArray

from engine.errors import SegueError
from engine.host.layers import Layers
from engine.ring import Ring

log = logging.getLogger("segue.engine")

LOOK_AHEAD_SECONDS = 0.3
URGENT_SHARE = (
    0.4  # of the look-ahead: with less than that in hand, finer audio that is late is not waited for
)
_RETRY_SECONDS = 0.02  # how often a full ring is looked at again; it holds many seconds


class RingFeeder:
    """The producer of one ring: keeps what does not fit yet, pushes it from a thread of its own, closes it.

    ``skip``: frames of the continuation that the ring was given by an earlier engine process; that many are
    left out, so that the listener hears one unbroken take. ``final``: the level of the asked-for fidelity; what is
    fed of higher levels is heard until that comes. ``total``: frames of the take, None when unknown;
    ``look_ahead``: frames of coarser audio that the ring may hold, None for 0.3 s.
    """

    def __init__(
        self,
        ring: Ring,
        skip: int = 0,
        *,
        final: int = 0,
        total: int | None = None,
        look_ahead: int | None = None,
    ) -> None:
        self._ring = ring
        self._final, self._rate = final, ring.rate
        self._look_ahead = round(LOOK_AHEAD_SECONDS * ring.rate) if look_ahead is None else look_ahead
        self._layers = Layers(ring.rate, final, skip, total, most=ring.capacity // 2)
        self._changed = threading.Condition()
        self._ended = self._stopped = False
        self._thread = threading.Thread(target=self._push, name="segue-ring", daemon=True)
        self._thread.start()

    def feed(self, start: int, samples: NDArray[np.float32], level: int | None = None) -> None:
        """Queues float32 [frames] of ``level`` (None: the asked-for fidelity) that begin at frame ``start`` of the
        continuation; never waits.

        Frames of a level that were queued before are skipped, so a resumed take may be fed from its beginning.
        """
        with self._changed:
            if not self._stopped:
                self._layers.add(start, samples, self._final if level is None else level)
                self._changed.notify()

    def end(self) -> None:
        """Says that the take is complete: the ring is marked finished when the rest is in it."""
        with self._changed:
            self._ended = True
            self._layers.close()
            self._changed.notify()

    def stop(self) -> None:
        """Drops what is pending and ends the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    @property
    def alive(self) -> bool:
        """Whether there is, or may come, something to push."""
        return self._thread.is_alive()

    def wait(self, seconds: float) -> bool:
        """Waits until everything is pushed (after :meth:`end`); False when that takes longer."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def heard(self) -> dict[int, float]:
        """Seconds that the listener gets of each level, as far as that is settled: all of them once the take is
        complete."""
        with self._changed:
            frames = dict(self._layers.played)
            waiting = self._layers.ahead(self._final)
        if waiting:
            frames[self._final] = frames.get(self._final, 0) + waiting
        return {level: count / self._rate for level, count in sorted(frames.items(), reverse=True)}

    def _push(self) -> None:
        try:
            while self._push_some():
                pass
        except SegueError as error:
            log.warning("the ring is gone, the take goes on without being heard: %s", error.message)
        finally:
            self._ring.close()

    def _push_some(self) -> bool:
        """One piece, or a wait for room or for more; False when there is nothing left to do."""
        with self._changed:
            if self._stopped:
                return False
            fill = self._ring.fill
            ahead = max(0, self._look_ahead - fill)
            urgent = fill < URGENT_SHARE * self._look_ahead
            piece = self._layers.next(self._ring.capacity - fill, ahead, urgent)
            self._ring.promise(self._layers.reach)
            if piece.size:
                self._ring.write(piece)  # all of it: nobody else writes
                return True
            if self._ended and self._layers.over:
                self._ring.finish()
                return False
            self._changed.wait(_RETRY_SECONDS if self._layers.waiting else None)
            return True
