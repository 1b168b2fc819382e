"""The capture ring: what an input brought lately, always on, for "the last two bars" asked for afterwards.

The bridge makes it in shared memory and reads it; the audio process records into it and overwrites the oldest. Its
count of frames goes on over all restarts of the audio process; where recording was interrupted, the ring remembers
the frame, and no piece across such a place is ever given out (two sides of it are not neighbours in time).
"""

from __future__ import annotations

import time
from typing import Self

import numpy as np
import numpy.typing as npt

from engine.errors import BadArguments, BadFormat, OutOfRange, SegueError
from engine.ring import MAX_CAPACITY, Ring, Samples

MAX_BLOCK = (
    16_384  # frames that are played or recorded at a time: so many of the oldest may be being overwritten
)
INTERRUPTIONS = 10  # remembered; what lies before the oldest of them counts as lost
# Words of the ring's header that a ring between two processes leaves free.
_WRITTEN_AT, _BEAT_AT = 8, 9
_KIND_AT, _COUNT_AT, _GAPS_AT = 18, 19, 20
_SEQUENCE_AT = 12
_ANCHORS_AT = (6, 13)  # two places, used in turn: frame, time
_CAPTURE = 1


class NoInput(SegueError):
    """Nothing is being recorded."""

    code, slug = 409, "no_input"


class RingTooShort(SegueError):
    """A piece of the past that the capture ring does not hold in one piece."""

    code, slug = 422, "ring_too_short"


class NotYet(RingTooShort):
    """A piece that reaches into the future."""


class _Memory(Ring):
    """A ring's shared memory, its name and its owner, without its two ends."""

    def views(self) -> tuple[memoryview, Samples]:
        return self._open_views()

    def order(self) -> None:
        """What was stored or read before this is so before what is after it."""
        self._fence()

    def publish(self, written: int) -> None:
        head, _ = self._open_views()
        self._fence()
        head[_WRITTEN_AT] = written
        head[_BEAT_AT] = time.monotonic_ns()


class CaptureRing:
    """The last seconds of an input, mono float32; made by :meth:`create` (the bridge) or :meth:`attach`."""

    def __init__(self, memory: _Memory) -> None:
        self._memory = memory
        self.name = memory.name
        self.rate = memory.rate
        self.capacity = memory.capacity

    @classmethod
    def create(cls, name: str, seconds: float, rate: int = 44_100) -> Self:
        """Make one that holds at least ``seconds`` at ``rate`` Hz; ``name`` comes from ``ring_name``.

        The caller owns it and must :meth:`unlink` it. Raises :class:`OutOfRange` for a length that is not above 0 or
        does not fit, and what ``Ring.create`` raises.
        """
        most = (MAX_CAPACITY - MAX_BLOCK) // rate if rate > 0 else 0
        if not 0 < seconds <= most:
            raise OutOfRange(
                f"a capture ring of {seconds:g} s is impossible; it must be above 0 and at most {most} s"
            )
        frames = int(np.ceil(seconds * rate)) + MAX_BLOCK
        memory = _Memory.create(name, 1 << (frames - 1).bit_length(), rate)
        memory.views()[0][_KIND_AT] = _CAPTURE
        return cls(memory)

    @classmethod
    def attach(cls, name: str) -> Self:
        """Open one that the bridge made. Raises :class:`NoFile`, or :class:`BadFormat` if it is no capture ring."""
        memory = _Memory.attach(name)
        if memory.views()[0][_KIND_AT] != _CAPTURE:
            memory.close()
            raise BadFormat(
                f"'{name}' is a ring to play from, not to record into; make it by CaptureRing.create"
            )
        return cls(memory)

    # -- the side that records -----------------------------------------------------------------------------

    def begin(self) -> int:
        """Say that what is recorded from now on does not join on to what was; returns its first frame."""
        head, _ = self._memory.views()
        written, count = head[_WRITTEN_AT], head[_COUNT_AT]
        newest = head[_GAPS_AT + (count - 1) % INTERRUPTIONS] if count else 0
        if written > newest:
            head[_GAPS_AT + count % INTERRUPTIONS] = written
            head[_COUNT_AT] = count + 1
        return written

    def record(self, samples: Samples) -> None:
        """Append ``samples`` (shape [frames], at most ``MAX_BLOCK``). Neither waits nor allocates buffers."""
        head, data = self._memory.views()
        written = head[_WRITTEN_AT]
        count = len(samples)
        at = written & (self.capacity - 1)
        first = min(count, self.capacity - at)
        data[at : at + first] = samples[:first]
        data[: count - first] = samples[first:]
        self._memory.publish(written + count)

    def anchor_at(self, frame: int, adc_ns: int) -> None:
        """Say that frame ``frame`` was recorded at ``adc_ns`` of the monotonic clock."""
        head, _ = self._memory.views()
        sequence = head[_SEQUENCE_AT] + 1
        place = _ANCHORS_AT[sequence % 2]
        head[place], head[place + 1] = frame, adc_ns
        self._memory.order()
        head[_SEQUENCE_AT] = sequence

    # -- the side that reads -------------------------------------------------------------------------------

    @property
    def written(self) -> int:
        """Frames recorded since the ring was made."""
        return self._memory.written

    @property
    def anchor(self) -> tuple[int, int] | None:
        """A frame and the moment (monotonic ns) it was recorded at, of the last block; None before the first."""
        head, _ = self._memory.views()
        while True:
            sequence = head[_SEQUENCE_AT]
            place = _ANCHORS_AT[sequence % 2]
            found = (head[place], head[place + 1])
            self._memory.order()
            if sequence == head[_SEQUENCE_AT]:
                return found if sequence else None

    @property
    def interruptions(self) -> list[int]:
        """The frames that do not join on to the ones before them, oldest first, as far as they are remembered."""
        head, _ = self._memory.views()
        count = head[_COUNT_AT]
        return [head[_GAPS_AT + i % INTERRUPTIONS] for i in range(max(0, count - INTERRUPTIONS), count)]

    @property
    def since(self) -> int:
        """The first frame from which on all is there in one piece."""
        return max([self._oldest(), *self.interruptions])

    def read(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Frames ``[start, stop)``, shape [stop - start], float32.

        Raises :class:`NoInput` before anything was recorded, :class:`NotYet` if ``stop`` is still to come,
        :class:`RingTooShort` if some of it was overwritten, never recorded, or lies across an interruption.
        """
        if stop < start:
            raise BadArguments(f"a piece cannot end at {stop}, before it begins at {start}; swap the two")
        written = self.written
        if written == 0:
            raise NoInput("no input is being recorded; open one before capturing")
        if stop > written:
            raise NotYet(f"{self._seconds(stop - written)} of it are still to be recorded; wait for them")
        self._check(start, stop)
        out = np.empty(stop - start, np.float32)
        _, data = self._memory.views()
        at = start & (self.capacity - 1)
        first = min(len(out), self.capacity - at)
        out[:first] = data[at : at + first]
        out[first:] = data[: len(out) - first]
        self._check(start, stop)  # it may have been overtaken meanwhile
        return out

    def _check(self, start: int, stop: int) -> None:
        oldest = self._oldest()
        if start < oldest:
            raise RingTooShort(
                f"only the last {self._seconds(self.written - oldest)} of the input are held; ask for less"
            )
        for gap in reversed(self.interruptions):
            if start < gap < stop:
                whole = self._seconds(self.written - gap)
                raise RingTooShort(
                    f"the input was interrupted, and only the last {whole} are whole; ask for less"
                )

    def _oldest(self) -> int:
        """The oldest frame that can be read, if nothing is recorded meanwhile."""
        head, _ = self._memory.views()
        forgotten = head[_COUNT_AT] > INTERRUPTIONS
        overwritten = max(0, self.written + MAX_BLOCK - self.capacity)
        return max(overwritten, self.interruptions[0] if forgotten else 0)

    def _seconds(self, frames: int) -> str:
        return f"{frames / self.rate:.2f} s"

    def close(self) -> None:
        """Let go of the memory; the ring itself stays until its owner unlinks it. May be called twice."""
        self._memory.close()

    def unlink(self) -> None:
        """Remove it from the system, if this is its owner."""
        self._memory.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self.unlink()
