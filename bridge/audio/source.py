"""Where the player takes its frames from: a ring at the output's rate, or one that is resampled on the way.

A source is used by two threads: the audio callback (:meth:`ready`, :meth:`read_into`, :meth:`drain`,
:attr:`exhausted`) and the control loop (``total_frames``, :meth:`close`).
"""

from __future__ import annotations

import threading
from typing import Protocol

import numpy as np
import soxr

from engine.ring import Ring, Samples


class Source(Protocol):
    """Frames at the output's rate."""

    total_frames: int | None

    @property
    def position(self) -> int:
        """The frame, of the ring or file, that is played next."""

    @property
    def fill(self) -> int:
        """Frames of the ring or file that wait."""

    def ready(self, frames: int) -> bool:
        """Whether ``frames`` (at the ring's rate) wait, or all that there will ever be."""

    def read_into(self, out: Samples) -> int:
        """Copy what there is into ``out`` (shape [frames]) and return how many frames that were."""

    @property
    def exhausted(self) -> bool:
        """Whether everything was read and nothing more comes."""

    def drain(self) -> None:
        """Skip what waits."""

    def close(self) -> int:
        """Let go of it and return its position."""


def open_source(ring: Ring, total_frames: int | None, rate: int, skip_frames: int = 0) -> Source:
    """The source that plays ``ring`` on an output of ``rate`` Hz, from its frame ``skip_frames`` on."""
    if ring.rate == rate:
        return DirectSource(ring, total_frames, skip_frames)
    return ResampledSource(ring, total_frames, rate, skip_frames)


def _skip(ring: Ring, to_frame: int) -> bool:
    """Leave out what was written before ``to_frame``; whether that has been reached."""
    missing = to_frame - ring.read
    if missing > 0:
        ring.advance(missing)
    return ring.read >= to_frame


def _left(ring: Ring, total_frames: int | None) -> int:
    """Frames that wait in the ring and belong to the take."""
    return ring.fill if total_frames is None else max(0, min(ring.fill, total_frames - ring.read))


def _complete(ring: Ring, total_frames: int | None) -> bool:
    """Whether the producer has written everything."""
    return ring.finished or (total_frames is not None and ring.written >= total_frames)


class DirectSource:
    """The ring itself."""

    def __init__(self, ring: Ring, total_frames: int | None, skip_frames: int = 0) -> None:
        self.ring = ring
        self.total_frames = total_frames
        self._skip_frames = skip_frames

    @property
    def position(self) -> int:
        """See :class:`Source`."""
        return self.ring.read

    @property
    def fill(self) -> int:
        """See :class:`Source`."""
        return self.ring.fill

    def ready(self, frames: int) -> bool:
        """See :class:`Source`."""
        if not _skip(self.ring, self._skip_frames):
            return _complete(self.ring, self.total_frames)
        return self.ring.fill >= min(frames, self.ring.capacity) or _complete(self.ring, self.total_frames)

    def read_into(self, out: Samples) -> int:
        """See :class:`Source`."""
        left = _left(self.ring, self.total_frames)
        return self.ring.read_into(out[:left])

    @property
    def exhausted(self) -> bool:
        """See :class:`Source`."""
        return _complete(self.ring, self.total_frames) and _left(self.ring, self.total_frames) == 0

    def drain(self) -> None:
        """See :class:`Source`."""
        self.ring.drain()

    def close(self) -> int:
        """See :class:`Source`."""
        read = self.ring.read
        self.ring.close()
        return read


class ResampledSource:
    """A feeder thread resamples the ring (soxr, high quality) into a ring of its own, a fraction of a
    second ahead.

    The shared ring's read counter follows what was *played*, not what was resampled: when this process
    dies, its successor begins with the first frame that was not heard (to about a millisecond).
    """

    LEAD_SECONDS = 0.25
    _PORTION = 2_048  # frames of the ring resampled at a time
    _PAUSE = 0.01

    def __init__(self, ring: Ring, total_frames: int | None, rate: int, skip_frames: int = 0) -> None:
        self.ring = ring
        self.total_frames = total_frames
        self._skip_frames = skip_frames
        self._rate = rate
        self._lead = int(self.LEAD_SECONDS * rate)
        self._local = Ring.local(1 << (2 * self._lead).bit_length(), rate)
        self._base, self._local_base, self._taken = ring.read, 0, 0
        self._dry = False  # whether all that waited has been resampled
        self._stop, self._draining = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._feed, name="resampler", daemon=True)
        self._thread.start()

    @property
    def position(self) -> int:
        """See :class:`Source`."""
        return self.ring.read

    @property
    def fill(self) -> int:
        """See :class:`Source`."""
        return self.ring.fill

    def ready(self, frames: int) -> bool:
        """See :class:`Source`."""
        if self._draining.is_set():
            return False
        if self._local.finished:
            return True
        if self.ring.read < self._skip_frames:
            return False
        enough = self.ring.fill >= min(frames, self.ring.capacity) or _complete(self.ring, self.total_frames)
        return enough and self._local.fill >= (1 if self._dry else self._lead // 2)

    def read_into(self, out: Samples) -> int:
        """See :class:`Source`."""
        return 0 if self._draining.is_set() else self._local.read_into(out)

    @property
    def exhausted(self) -> bool:
        """See :class:`Source`."""
        return self._local.finished and self._local.fill == 0

    def drain(self) -> None:
        """See :class:`Source`; the feeder does it, and nothing is read meanwhile."""
        self._draining.set()

    def close(self) -> int:
        """See :class:`Source`."""
        self._stop.set()
        self._thread.join()
        self._settle()
        read = self.ring.read
        self.ring.close()
        self._local.close()
        return read

    def _feed(self) -> None:
        portion = np.empty(self._PORTION, np.float32)
        stream = soxr.ResampleStream(self.ring.rate, self._rate, 1, dtype="float32")
        while not self._stop.is_set():
            if self._draining.is_set():
                stream.clear()
                self._skip()
            if self._taken == 0 and self.ring.read < self._skip_frames:
                _skip(self.ring, self._skip_frames)
                self._base = self.ring.read
            if not self._step(stream, portion):
                self._stop.wait(self._PAUSE)
            self._settle()

    def _step(self, stream: soxr.ResampleStream, portion: Samples) -> bool:
        """Resample one portion if there is need and supply; False if there was nothing to do."""
        if self._local.finished or self._local.fill >= self._lead:
            return False
        complete = _complete(self.ring, self.total_frames)
        if self.ring.read < self._skip_frames and not complete:
            return False
        ahead = self._base + self._taken - self.ring.read
        left = max(0, _left(self.ring, self.total_frames) - ahead)
        count = self.ring.peek_into(portion[:left], ahead)
        self._dry = count == left
        if count:
            self._taken += count
            self._local.write(stream.resample_chunk(portion[:count]))
            return True
        if complete:
            self._local.write(stream.resample_chunk(portion[:0], last=True))
            self._local.finish()
        return False

    def _settle(self) -> None:
        """Move the shared ring's read counter on to what was played."""
        if self._local.finished and self._local.fill == 0:
            heard = self._taken
        else:
            played = self._local.read - self._local_base
            heard = min(self._taken, played * self.ring.rate // self._rate)
        self.ring.advance(max(0, self._base + heard - self.ring.read))

    def _skip(self) -> None:
        self._local.drain()
        self.ring.drain()
        self._base, self._local_base, self._taken = self.ring.read, self._local.read, 0
        self._draining.clear()
