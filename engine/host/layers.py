"""One take's audio as it is known of several levels, and the one signal that is made of them while they come."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

FADE_SECONDS = 0.01  # from one level's audio to another's: both are the same music, so amplitudes add to one

Samples = NDArray[np.float32]
_NOTHING: Samples = np.zeros(0, np.float32)


class Layers:
    """Frames from ``position`` on of every level. :meth:`next` hands on the finest there is, fading where that changes.

    ``final``: the level that is not replaced any more; ``position``: the first frame to be handed on; ``total``:
    frames of the take, None while unknown; ``most``: the longest fade in frames.
    """

    def __init__(self, rate: int, final: int, position: int, total: int | None, most: int) -> None:
        self.position = position
        self.played: dict[int, int] = {}  # frames handed on of each level; a fade counts as what it leads to
        self._final, self._total = final, total
        self._fade = max(1, min(most, round(FADE_SECONDS * rate)))
        self._pieces: dict[int, deque[Samples]] = {}
        self._begins: dict[int, int] = {}  # frame at which a level's pieces begin
        self._ends: dict[int, int] = {}
        self._level: int | None = None

    @property
    def reach(self) -> int:
        """Frames of the take that can be heard, at whatever level, those handed on included."""
        return max(self._ends.values(), default=self.position)

    @property
    def over(self) -> bool:
        """Whether nothing is left and nothing more comes."""
        return self._total is not None and self.position >= self._total

    @property
    def waiting(self) -> bool:
        """Whether there is something that could be handed on if there were room."""
        return any(self._usable(level) for level in self._ends)

    def ahead(self, level: int) -> int:
        """Frames of a level that were not handed on yet."""
        return max(0, self._ends.get(level, 0) - self.position)

    def add(self, start: int, samples: Samples, level: int) -> None:
        """Takes in frames of a level; those known before are skipped."""
        end = max(self._ends.get(level, 0), self.position)
        fresh = samples[max(0, end - start) :]
        if fresh.size:
            pieces = self._pieces.setdefault(level, deque())
            if not pieces:
                self._begins[level] = end
            pieces.append(fresh)
            self._ends[level] = start + samples.size

    def close(self) -> None:
        """Says that what the final level has is the whole take."""
        self._total = max(self.position, self._ends.get(self._final, 0))

    def next(self, room: int, coarse_room: int, urgent: bool = True) -> Samples:
        """The next frames, at most ``room``, or ``coarse_room`` where they may still be replaced; perhaps none.

        A change of level is one piece of a fade and comes when there is room for all of it. Back to a coarser level
        it goes only when that is ``urgent``, so that the two do not alternate.
        """
        for level in sorted(self._ends):
            count = min(self._usable(level), room if level == self._final else min(room, coarse_room))
            if level == self._level or self._level is None:
                if count > 0:
                    return self._take(level, count)
            elif level > self._level and not urgent:
                break
            elif (length := self._fade_length(level)) and length <= room and count > 0:
                return self._change(level, length)
        return _NOTHING

    def _usable(self, level: int) -> int:
        """Frames of a level that may go; the last ones are kept for a fade while more can come."""
        ahead = self.ahead(level)
        return ahead if self._ends.get(level) == self._total else max(0, ahead - self._fade)

    def _fade_length(self, level: int) -> int:
        """Frames in which the level can be faded to; 0 when too little is known of one of the two."""
        wanted = self._fade if self._total is None else min(self._fade, self._total - self.position)
        assert self._level is not None
        return wanted if min(self.ahead(level), self.ahead(self._level)) >= wanted else 0

    def _change(self, level: int, length: int) -> Samples:
        assert self._level is not None
        share = ((np.arange(length) + 0.5) / length).astype(np.float32)
        piece = self._look(self._level, length) * (1 - share) + self._look(level, length) * share
        self._level = level
        self._move(length)
        return piece.astype(np.float32)

    def _take(self, level: int, count: int) -> Samples:
        piece = self._look(level, count)
        self._level = level
        self._move(count)
        return piece

    def _move(self, count: int) -> None:
        assert self._level is not None
        self.position += count
        self.played[self._level] = self.played.get(self._level, 0) + count
        for level, pieces in self._pieces.items():
            while pieces and (spare := self.position - self._begins[level]) > 0:
                gone = pieces.popleft()
                if spare < gone.size:
                    pieces.appendleft(gone[spare:])
                self._begins[level] += min(spare, gone.size)

    def _look(self, level: int, count: int) -> Samples:
        """The first ``count`` frames that were not handed on."""
        found: list[Samples] = []
        left = count
        for piece in self._pieces[level]:
            found.append(piece[:left])
            left -= found[-1].size
            if not left:
                break
        return np.concatenate(found)
