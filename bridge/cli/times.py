"""How the command line is told places and lengths in music: bars, or seconds."""

from __future__ import annotations

import re

from engine.errors import BadArguments, OutOfRange
from engine.request import frames_of_bars

_SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*s(?:ec|econds)?", re.IGNORECASE)
_BARS = re.compile(r"(\d+(?:\.\d+)?)\s*bars?", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)")


def frame_at(text: str, option: str, bpm: float | None, rate: int) -> int:
    """The sample at which ``text`` lies in a continuation: ``5`` is the beginning of bar 5, ``2.5s`` 2.5 seconds.

    Bars are counted from 1, of 4/4 at ``bpm``; ``rate`` in Hz. Raises BadArguments for anything else, OutOfRange
    for a bar before the first or a bar without a tempo.
    """
    if seconds := _SECONDS.fullmatch(text.strip()):
        return round(float(seconds[1]) * rate)
    if not _NUMBER.fullmatch(text.strip()):
        raise BadArguments(f"{option} is '{text}'; write a bar such as 5, or seconds such as 2.5s")
    bar = float(text)
    if bar < 1:
        raise OutOfRange(f"{option} is bar {bar:g}; the first bar of a continuation is 1")
    if bpm is None:
        raise OutOfRange(
            f"{option} is bar {bar:g} but no tempo is known; give the bpm, or seconds such as 2.5s"
        )
    return frames_of_bars(bar - 1, bpm, rate)


def length_in(text: str, option: str) -> tuple[float | None, float | None]:
    """``4bars`` as (4, None) and ``8`` or ``8s`` as (None, 8): bars or seconds. Raises BadArguments."""
    if bars := _BARS.fullmatch(text.strip()):
        return float(bars[1]), None
    seconds = _SECONDS.fullmatch(text.strip()) or _NUMBER.fullmatch(text.strip())
    if seconds is None:
        raise BadArguments(f"{option} is '{text}'; write a length such as 4bars, or seconds such as 8")
    return None, float(seconds[1])
