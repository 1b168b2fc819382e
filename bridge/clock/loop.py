"""A delay-locked loop: from events at jittery times to a line through them.

The line says when event ``k`` happens: at ``time + (k - position) * period``. Every event moves the line by a part of
its error ``e``: the time by ``a * e``, the period by ``b * e`` (a second-order loop). A loop of constant bandwidth is
either slow to find the tempo or unsteady once it has it; here the gains are those of a least squares fit to all events
so far (``a = 2 (2n - 1) / (n (n + 1))`` and ``b = 6 / (n (n + 1))`` for the n-th of evenly spaced ones, by the
covariance of the line in general) until ``memory`` events, and stand still from there on.

A loop so narrow is slow to see a change of tempo. Therefore the mean of the last errors is watched, and where it
cannot be chance, the line is fitted anew to the last few events.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

RECENT = 24  # events that a new line is fitted to
WATCHED = 16  # errors whose mean is watched
AGREEING = 12  # of them must be off to that side: a few late events are no change
FEWEST = 6  # events that a line is fitted to when all seems bent
SURPRISE = 5.0  # standard deviations: once in some millions of events by chance
LEAST_JITTER_NS = 500_000.0  # a change smaller than this is not worth a new line
LEAST_LATE_NS = 100_000.0  # where lateness counts, finer jitter than that is not told apart
LEAP = 2.5  # a tempo that changes by more than this factor has to last before it is believed
CLIP = 4.0  # standard deviations: a single event does not move the line further
HELD_UP = 32  # events: when so many more are late, they were not held up
UNKNOWN = (
    1e9  # variance of a period that nobody knows; much more would not leave room for the digits of the rest
)


class DelayLockedLoop:
    """Follows events that are numbered by ``position`` (which may go by more than 1) and happen at a time in ns.

    ``memory``: events that the line rests on. ``period_ns``: the time between positions as far as it is known
    beforehand, ``within`` a share of itself; then a sudden change is a jump in time, not in the period. ``late``: the
    most standard deviations by which the line believes an event that is late, for events that are held up at times and
    never come before their time.
    """

    def __init__(
        self, memory: int, *, period_ns: float | None = None, within: float = 0.0, late: float | None = None
    ) -> None:
        self._memory = memory
        self._late = late
        self._known = period_ns
        self._within = within
        self.reset()

    def reset(self) -> None:
        """Forget every event."""
        self.count = 0
        self.changes = 0
        self.position = 0
        self._n = 0
        self._doubts = 0
        self._origin_ns = 0
        self._time = 0.0
        self._period = self._known or 0.0
        self._covariance = (1.0, 0.0, self._period_variance())
        self._variance = 0.0
        self._last_errors: tuple[float, ...] = ()
        self._events: deque[tuple[int, float]] = deque(maxlen=RECENT)
        self._errors: deque[float] = deque(maxlen=WATCHED)

    def _period_variance(self) -> float:
        return UNKNOWN if self._known is None else (self._within * self._known / LEAST_JITTER_NS) ** 2

    @property
    def time_ns(self) -> tuple[int, float]:
        """When the last event happened, by the line: a whole origin and a rest, as one float would be coarse."""
        return self._origin_ns, self._time

    @property
    def period_ns(self) -> float:
        """Nanoseconds a position; 0 while unknown."""
        return self._period

    @property
    def jitter_ns(self) -> float:
        """Standard deviation of the events around the line, from the differences of neighbours; at least the least."""
        return max(LEAST_JITTER_NS, math.sqrt(self._variance))

    def update(self, position: int, at_ns: int) -> None:
        """An event. Positions rise; an event that does not is ignored."""
        if self.count == 0:
            self._origin_ns, self.position, self._time = at_ns, position, 0.0
            self.count = self._n = 1
            self._events.append((position, 0.0))
            return
        steps = position - self.position
        if steps <= 0:
            return
        at = float(at_ns - self._origin_ns)
        self.count += 1
        self._n = min(self._n + 1, self._memory)
        self._events.append((position, at))
        expected = self._time + steps * self._period
        error = at - expected
        if self._n > WATCHED or self._known is not None:
            self._watch(error)
        if self._n > WATCHED:
            error = _clipped(error, CLIP * self.jitter_ns)
        if self._late is not None:
            error = min(error, self._late * max(LEAST_LATE_NS, math.sqrt(self._variance)))
        for_time, for_period = self._gains(steps)
        self.position = position
        self._time = expected + for_time * error
        self._period += for_period * error
        if self._surprised():
            self._refit()
        else:
            self._doubts = 0

    def _gains(self, steps: int) -> tuple[float, float]:
        """Those of the least squares fit, by the covariance of the line in units of the jitter; not below memory's."""
        time, both, period = self._covariance
        if self._n < self._memory:
            time, both = time + steps * (2 * both + steps * period), both + steps * period
            seen = time + 1.0
            self._covariance = (time / seen, both / seen, max(0.0, period - both * both / seen))
        n = self._memory
        least_time, least_period = 2 * (2 * n - 1) / (n * (n + 1)), 6 / (n * (n + 1)) / steps
        return max(self._covariance[0], least_time), max(self._covariance[1], least_period)

    def _watch(self, error: float) -> None:
        self._errors.append(_clipped(error, 2 * CLIP * self.jitter_ns))
        self._last_errors = (*self._last_errors[-2:], error)
        if len(self._last_errors) == 3:
            # What is wrong with the line, in time or tempo, is the same in neighbours' errors or grows evenly: in
            # second differences nothing of it is left, and six times the variance of the jitter.
            first, middle, last = self._last_errors
            bend = _clipped(first - 2 * middle + last, CLIP * math.sqrt(6) * self.jitter_ns)
            self._variance += (bend * bend / 6 - self._variance) / min(self.count, 48)

    def _surprised(self) -> bool:
        if len(self._errors) < WATCHED or self._n <= WATCHED:
            return False
        mean = sum(self._errors) / WATCHED
        # The mean is uncertain by the jitter of its errors, and by how well the line was known before them.
        limit = SURPRISE * self.jitter_ns * math.sqrt(1 / WATCHED + 8 / self._n)
        side = math.copysign(1.0, mean)
        return abs(mean) > limit and sum(side * error > limit / 2 for error in self._errors) >= AGREEING

    def _refit(self) -> None:
        """The line anew, through the last events, as many of them as are on one line."""
        events = list(self._events)
        while len(events) > FEWEST and self._spread(events) > 1.5 * self.jitter_ns:
            events = events[2:]
        time, period = self._line(events)
        self._doubts += 1
        strange = len(events) <= FEWEST or not self._period / LEAP < period < self._period * LEAP
        if strange and (self._doubts < WATCHED or period <= 0):
            return  # events that were held up and come in a bunch look like this; a new tempo lasts
        if self._late is not None and sum(self._errors) > 0 and self._doubts < HELD_UP:
            return
        self._time, self._period, self._doubts = time, period, 0
        n, steps = len(events), (events[-1][0] - events[0][0]) / (len(events) - 1)
        self._n = n
        if self._known is None:
            self._covariance = (
                2 * (2 * n - 1) / (n * (n + 1)),
                6 / (n * (n + 1)) / steps,
                12 / (n * (n * n - 1)) / steps**2,
            )
        else:
            self._covariance = (1 / n, 0.0, self._period_variance())
        self._errors.clear()
        self._last_errors = ()
        self.changes += 1

    def _spread(self, events: Sequence[tuple[int, float]]) -> float:
        time, period = self._line(events)
        rest = [at - time - (k - self.position) * period for k, at in events]
        return math.sqrt(sum(r * r for r in rest) / len(rest))

    def _line(self, events: Sequence[tuple[int, float]]) -> tuple[float, float]:
        """(time at the present position, period) of the least squares line through at least 2 events."""
        places = [k - self.position for k, _ in events]
        times = [at for _, at in events]
        place, time = sum(places) / len(places), sum(times) / len(times)
        period = self._known or 0.0  # what was learnt of it has suffered from the jump
        if self._known is None:
            across = sum((k - place) * (at - time) for k, at in zip(places, times, strict=True))
            period = across / sum((k - place) ** 2 for k in places)
        return time - place * period, period


def _clipped(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))
