"""From an input into the capture ring, and to the monitor: mixed to one channel, at their rates."""

from __future__ import annotations

import numpy as np
import soxr

from bridge.audio.anchor import Anchor
from bridge.audio.capture import MAX_BLOCK, CaptureRing
from bridge.audio.monitor import Monitor
from engine.ring import Samples


class Recording:
    """One uninterrupted run of an input of ``rate`` Hz into ``ring``.

    :meth:`push` converts the rate if it has to, which takes time and memory: then it must not be called in a callback
    (:attr:`converts`).
    """

    def __init__(self, ring: CaptureRing, rate: int) -> None:
        self.ring = ring
        self.rate = rate
        self._stream: soxr.ResampleStream | None = None
        self.restart()

    @property
    def converts(self) -> bool:
        """Whether the ring has another rate."""
        return self.rate != self.ring.rate

    def restart(self) -> None:
        """What comes now does not join on to what came before."""
        self.first = self.ring.begin()
        self._pushed = 0
        if self.converts:
            self._stream = soxr.ResampleStream(self.rate, self.ring.rate, 1, dtype="float32")

    def push(self, mono: Samples) -> None:
        """Record ``mono``, shape [frames] at :attr:`rate`."""
        self._pushed += len(mono)
        converted = mono if self._stream is None else self._stream.resample_chunk(mono)
        if len(converted) <= MAX_BLOCK:
            self.ring.record(converted)
            return
        for at in range(0, len(converted), MAX_BLOCK):
            self.ring.record(converted[at : at + MAX_BLOCK])

    def anchor_at(self, frame: int, adc_ns: int) -> None:
        """Frame ``frame`` of the input (counted since :meth:`restart`) was recorded at ``adc_ns``."""
        self.ring.anchor_at(self.first + frame * self.ring.rate // self.rate, adc_ns)

    def peak_since(self, frame: int) -> tuple[int, float]:
        """The largest magnitude recorded from ``frame`` of the ring on, of at most a second; and up to where."""
        stop = self.ring.written
        start = max(frame, self.first, self.ring.since, stop - self.ring.rate)
        return stop, float(np.abs(self.ring.read(start, stop)).max()) if stop > start else 0.0

    @property
    def pushed(self) -> int:
        """Frames of the input that were recorded since :meth:`restart`."""
        return self._pushed

    @property
    def anchor(self) -> Anchor | None:
        """A frame of the capture ring and its moment, None before anything was recorded in this run."""
        found = self.ring.anchor
        return None if found is None or found[0] < self.first else Anchor(*found, self.ring.rate)


class Tap:
    """Brings an input of ``rate`` Hz to the monitor, whose rate may be another; then not to be used in a callback."""

    def __init__(self, rate: int, monitor: Monitor) -> None:
        self.monitor = monitor
        self.converts = rate != monitor.rate
        self._stream = soxr.ResampleStream(rate, monitor.rate, 1, dtype="float32") if self.converts else None

    def push(self, mono: Samples) -> None:
        """``mono``, shape [frames]."""
        if self.monitor.on:
            self.monitor.write(mono if self._stream is None else self._stream.resample_chunk(mono))


def mix(block: Samples, mono: Samples) -> None:
    """The mean of the channels of ``block``, shape [frames, channels], into ``mono``; allocates nothing."""
    channels = block.shape[1]
    mono[:] = block[:, 0]
    if channels == 1:
        return
    for channel in range(1, channels):
        np.add(mono, block[:, channel], out=mono)
    np.multiply(mono, np.float32(1 / channels), out=mono)
