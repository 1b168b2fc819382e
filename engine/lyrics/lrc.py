"""LRC files: lines of lyrics with the time at which each is sung.

``[mm:ss.xx]`` before a line (several where it comes again), ``<mm:ss.xx>`` before a word of it (enhanced LRC),
``[offset:ms]`` to shift all of it (above 0: earlier), ``[ar:...]`` and other tags, which are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.errors import BadFormat, OutOfRange
from engine.request import MAX_SECONDS, TimedText

_CLOCK = r"(\d{1,3}):(\d{1,2}(?:[.:]\d{1,3})?)"
_STAMP = re.compile(rf"\s*\[{_CLOCK}\]")
_WORD = re.compile(rf"<{_CLOCK}>")
_OFFSET = re.compile(r"\s*\[offset:\s*([+-]?\d+)\s*\]", re.IGNORECASE)
_TAG = re.compile(r"\s*\[[A-Za-z#][^\]:]*(:[^\]]*)?\]\s*$")


def parse_lrc(text: str, name: str = "the LRC file") -> tuple[TimedText, ...]:
    """Lines and words of an LRC file in order of time; an empty one says when the one before it ends.

    A line without a stamp belongs to the line before it. Raises BadFormat if nothing has a stamp, OutOfRange for
    a time beyond 600 s; ``name`` is what messages call the file.
    """
    pieces: list[tuple[float, str]] = []
    shift = 0.0
    for number, line in enumerate(text.splitlines(), 1):
        if offset := _OFFSET.match(line):
            shift = int(offset[1]) / 1000.0
            continue
        stamps, rest = _stamps(line)
        if not stamps:
            if pieces and rest.strip() and not _TAG.match(line):
                pieces[-1] = (pieces[-1][0], pieces[-1][1] + rest.strip() + "\n")
            continue
        if max(stamps) > MAX_SECONDS:
            raise OutOfRange(
                f"line {number} of {name} is sung at {max(stamps):g} s; a song lasts at most {MAX_SECONDS:g} s"
            )
        for stamp in stamps:
            pieces += _words(rest, stamp, stamp - stamps[0])
    if not pieces:
        raise BadFormat(f"{name} has no line with a time; begin its lines with stamps like [01:23.45]")
    moved = sorted(((min(max(0.0, at - shift), MAX_SECONDS), words) for at, words in pieces), key=_at)
    return tuple(TimedText(seconds=at, text=words) for at, words in moved)


def _at(piece: tuple[float, str]) -> float:
    return piece[0]


def _stamps(line: str) -> tuple[list[float], str]:
    """The stamps that a line begins with, in seconds, and what follows them."""
    stamps, place = [], 0
    while found := _STAMP.match(line, place):
        stamps.append(_seconds(found))
        place = found.end()
    return stamps, line[place:]


def _words(line: str, stamp: float, later: float) -> Iterator[tuple[float, str]]:
    """The timed pieces of one line sung at ``stamp``, which is ``later`` than its word stamps say."""
    starts = [stamp, *(_seconds(found) + later for found in _WORD.finditer(line))]
    words = [word.strip() for word in _WORD.split(line)[::3]]  # (between them: the two groups of each stamp)
    if len(words) > 1 and not words[0]:
        starts, words = starts[1:], words[1:]
    last = max((place for place, word in enumerate(words) if word), default=-1)
    for place, (start, word) in enumerate(zip(starts, words, strict=True)):
        yield start, word and word + ("\n" if place == last else " ")


def _seconds(found: re.Match[str]) -> float:
    return int(found[1]) * 60 + float(found[2].replace(":", "."))
