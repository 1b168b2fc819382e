"""The input heard through the output."""

from __future__ import annotations

import numpy as np

from bridge.audio.capture import MAX_BLOCK
from engine.ring import Ring, Samples

_SLACK_SECONDS = 0.03  # how much more than a block may wait before the delay is cut down again


class Monitor:
    """Carries an input to an output of ``rate`` Hz through a small ring. The input's side writes, the callback of the
    output adds; the two devices' clocks may differ, so now and then a little is left out, or missing.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.gain = 0.0
        self._ring = Ring.local(1 << 16, rate)
        self._slack = int(_SLACK_SECONDS * rate)
        self._gain = 0.0
        self._flowing = False
        self._work: Samples = np.empty(MAX_BLOCK, np.float32)
        self._ramp: Samples = np.empty(MAX_BLOCK, np.float32)
        self._steps: Samples = np.arange(1, MAX_BLOCK + 1, dtype=np.float32)

    @property
    def on(self) -> bool:
        """Whether the input is heard, or was until just now."""
        return self.gain > 0 or self._gain > 0

    def write(self, samples: Samples) -> None:
        """What came in, shape [frames], at the output's rate."""
        if self.on:
            self._ring.write(samples)

    def add_to(self, block: Samples) -> None:
        """Add what waits to a block of output, shape [frames]."""
        if not self.on:
            if self._flowing:
                self._ring.drain()
                self._flowing = False
            return
        count, fill = len(block), self._ring.fill
        if not self._flowing and fill < count:
            return
        self._flowing = True
        if fill > 2 * count + self._slack:
            self._ring.advance(fill - count)
        there = self._ring.read_into(self._work[:count])
        self._flowing = there == count
        heard, ramp = self._work[:there], self._ramp[:there]
        if there:
            np.multiply(self._steps[:there], (self.gain - self._gain) / there, out=ramp)
            np.add(ramp, self._gain, out=ramp)
            np.multiply(heard, ramp, out=heard)
            np.add(block[:there], heard, out=block[:there])
        self._gain = self.gain
