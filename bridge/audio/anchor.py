"""A frame of a stream and the moment that belongs to it."""

from __future__ import annotations

from typing import NamedTuple

_WINDOW_SECONDS = 0.1


class Anchor(NamedTuple):
    """Frame ``frame`` of a stream of ``rate`` Hz is heard (or was recorded) at ``at_ns`` of the monotonic clock."""

    frame: int
    at_ns: int
    rate: int

    def ns_at(self, frame: int) -> int:
        """The moment of a frame."""
        return self.at_ns + (frame - self.frame) * 1_000_000_000 // self.rate

    def frame_at(self, at_ns: int) -> int:
        """The frame of a moment, at least 0."""
        return max(0, self.frame + round((at_ns - self.at_ns) * self.rate / 1e9))


def moved(frame: int | None, before: Anchor | None, after: Anchor | None) -> int | None:
    """The frame of another stream at the moment of ``frame`` of the one before; None where nothing tells."""
    if frame is None or before is None or after is None:
        return None
    return after.frame_at(before.ns_at(frame))


class Anchoring:
    """Finds an anchor in what a callback sees. Runs in the callback.

    A callback may be run too late, never too early: of every tenth of a second the block counts that seems to have come
    earliest.
    """

    __slots__ = ("_best", "_best_lateness", "_period", "_rate", "_until", "anchor")

    def __init__(self, rate: int) -> None:
        self.anchor: Anchor | None = None
        self._rate = rate
        self._period = 1e9 / rate
        self._best = (0, 0)
        self._best_lateness = float("inf")
        self._until = 0

    def update(self, frame: int, at_ns: int) -> bool:
        """A block begins with ``frame`` at ``at_ns``; whether there is another :attr:`anchor` now."""
        lateness = at_ns - frame * self._period
        if lateness < self._best_lateness:
            self._best, self._best_lateness = (frame, at_ns), lateness
        if self.anchor is not None and frame < self._until:
            return False
        self.anchor = Anchor(*self._best, self._rate)
        self._best_lateness = float("inf")
        self._until = frame + int(self._rate * _WINDOW_SECONDS)
        return True
