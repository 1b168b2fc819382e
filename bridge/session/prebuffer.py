"""When playback may start so that it does not run dry while the engine is still sampling.

With ``T`` seconds to play and an engine that makes ``r`` seconds of audio a second, production ends in time if
playback starts with ``(1 - r) · T`` seconds in hand (nothing for r >= 1). Production comes in bursts, a window
at a time, so the longest pause that was seen is kept in hand as well.
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST_SECONDS = 0.15
RATE_MARGIN = 0.9
GAP_MARGIN = 1.25


@dataclass(frozen=True)
class Pace:
    """How an earlier job went: audio seconds per second from its start, and its longest pause in seconds."""

    rate: float
    gap_seconds: float


class Prebuffer:
    """Watches one job's production. ``total_seconds``: all it will make; ``now`` values are in seconds."""

    def __init__(self, total_seconds: float, started_at: float, known: Pace | None = None) -> None:
        self._total = total_seconds
        self._started_at = started_at
        self._known = known
        self._made = 0.0
        self._now = started_at
        self._moved_at = started_at
        self._first_delay = 0.0
        self._gap = 0.0

    def observe(self, now: float, made_seconds: float) -> None:
        """``made_seconds`` of audio were there at ``now``."""
        self._now = now
        if made_seconds <= self._made:
            return
        pause = now - self._moved_at
        if self._made == 0.0:
            self._first_delay = pause
        else:
            self._gap = max(self._gap, pause)
        self._made, self._moved_at = made_seconds, now

    @property
    def needed_seconds(self) -> float:
        """Audio that must be in hand before playback starts; never more than the whole."""
        if self._known is not None:
            rate, gap = self._known.rate, self._known.gap_seconds * GAP_MARGIN
        else:
            # The first pause held a window of every level: the later ones are not longer.
            rate, gap = self._rate(), self._first_delay
        shortfall = max(0.0, 1.0 - RATE_MARGIN * rate) * self._total
        return min(self._total, max(LEAST_SECONDS, gap + shortfall))

    @property
    def may_start(self) -> bool:
        """Whether enough is in hand."""
        return self._made > 0.0 and self.needed_seconds <= self._made

    @property
    def first_delay(self) -> float:
        """Seconds until the first audio was there; 0 while there is none."""
        return self._first_delay

    def pace(self) -> Pace:
        """What the next job can learn from this one, once it has made all its audio."""
        return Pace(self._rate(), self._gap)

    def _rate(self) -> float:
        elapsed = self._now - self._started_at
        return self._made / elapsed if elapsed > 0 else 0.0
