"""What every source of musical time can say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bridge.clock.timeline import Timeline


@dataclass(frozen=True)
class State:
    """Musical time as one source sees it at a moment.

    ``timeline``: position, tempo and bars; None while no tempo is known. ``playing``: the song goes on; a timeline
    that does not play tells tempo and bar length, and the position at which it stands. ``locked``: the tempo can be
    relied on. ``trouble``: one sentence about what is wrong with the source, or "".
    """

    timeline: Timeline | None = None
    playing: bool = False
    locked: bool = False
    trouble: str = ""


class Transport(Protocol):
    """A source of musical time. Not for several threads at once: the bridge's loop feeds it and asks it."""

    name: str

    def state(self, at_ns: int) -> State:
        """What holds at ``at_ns`` (monotonic clock), as far as was heard until now."""
