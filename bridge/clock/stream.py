"""Which sample of a stream is heard (or recorded) at which moment."""

from __future__ import annotations

from fractions import Fraction

from bridge.clock.loop import DelayLockedLoop
from engine.errors import OutOfRange

MEMORY = 512  # blocks
READY_BLOCKS = 8
WITHIN = 1e-3  # sound cards keep their rate at least that well
LATE = 1.0  # deviations: a callback may be run too late, never too early
FINE = 1 << 24


class StreamClock:
    """A line through what the audio process says: sample ``frame`` of the stream is heard at ``at_ns``.

    The moment should be that of the DAC (or, of an input, the ADC) on the monotonic clock, not of the callback: the
    difference is the latency. Its jitter is smoothed by a delay-locked loop that knows ``rate`` (Hz) beforehand.
    """

    def __init__(self, rate: int) -> None:
        if rate <= 0:
            raise OutOfRange(f"the rate of the stream is {rate} Hz; it must be above 0, such as 44100")
        self.rate = rate
        self._loop = DelayLockedLoop(MEMORY, period_ns=1e9 / rate, within=WITHIN, late=LATE)

    @property
    def ready(self) -> bool:
        """Whether enough blocks were seen for the jitter to have averaged out."""
        return self._loop.count >= READY_BLOCKS

    @property
    def seen(self) -> bool:
        """Whether any block was seen."""
        return self._loop.count > 0

    @property
    def actual_rate(self) -> float:
        """Samples a second by the monotonic clock."""
        return 1e9 / self._loop.period_ns

    def update(self, frame: int, at_ns: int) -> None:
        """A block begins with sample ``frame``, heard at ``at_ns``. A count that goes back begins another stream."""
        if self.seen and frame < self._loop.position:
            self._loop.reset()
        self._loop.update(frame, at_ns)

    def frame_at(self, at_ns: int | Fraction) -> Fraction:
        """The place in the stream at a moment, between samples too."""
        place, anchor, period = self._anchor()
        return place + (at_ns - anchor) / period

    def ns_at(self, frame: int | Fraction) -> Fraction:
        """The moment of a sample."""
        place, anchor, period = self._anchor()
        return anchor + (frame - place) * period

    def _anchor(self) -> tuple[int, int, Fraction]:
        origin, rest = self._loop.time_ns
        return self._loop.position, origin + round(rest), Fraction(round(self._loop.period_ns * FINE), FINE)
