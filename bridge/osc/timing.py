"""Time tags of bundles and the monotonic clock that everything else runs by."""

from __future__ import annotations

import time

from bridge.osc.wire import IMMEDIATELY
from engine.errors import SegueError

NTP_TO_UNIX_SECONDS = 2_208_988_800  # from 1900 to 1970
MOST_AHEAD_SECONDS = 30.0
PUNCTUAL_MS = 1.0  # a packet that is late by less is not late


class TimetagTooFar(SegueError):
    """A bundle that is due later than the bridge keeps it for."""

    code, slug = 422, "timetag_too_far"


def unix_ns(tag: int) -> int:
    """Nanoseconds since 1970 of a 64-bit NTP time tag."""
    return ((tag - (NTP_TO_UNIX_SECONDS << 32)) * 1_000_000_000) >> 32


def time_tag(at_unix_ns: int) -> int:
    """The NTP time tag of a moment in nanoseconds since 1970."""
    return (NTP_TO_UNIX_SECONDS << 32) + (at_unix_ns << 32) // 1_000_000_000


def monotonic_ns(tag: int) -> int | None:
    """When a time tag is due by ``time.monotonic_ns``; None for "immediately".

    The two clocks are compared anew each time, so that a wall clock that is set does not matter for long.
    """
    if tag <= IMMEDIATELY:
        return None
    return unix_ns(tag) - time.time_ns() + time.monotonic_ns()
