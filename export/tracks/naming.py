"""File names that every system and DAW takes: ASCII, no spaces, at most 100 characters, with tempo and key in them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from text_unidecode import unidecode

from engine.request import Style
from export.tracks.track import FinishedTrack

MAX_NAME = 100  # characters, with the ending and room for a number
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)")  # Windows takes no files of these names


def file_names(track: FinishedTrack) -> Iterator[str]:
    """``A01_house_124bpm_F#min_s7.wav``, then the same with ``-2`` and so on before the ending."""
    ending = f".{track.wishes.format}"
    stem = stem_of(track)
    for number in itertools.count(1):
        again = f"-{number}" if number > 1 else ""
        yield f"{stem[: MAX_NAME - len(ending) - len(again)]}{again}{ending}"


def stem_of(track: FinishedTrack) -> str:
    """The name without its ending, at most 90 characters: what is long is cut, tempo, key and seed never are."""
    tail = "_".join(
        part
        for part in (
            bpm_of(track),
            key_of(track.key),
            f"s{track.take.info.head.request.seed}",
            "full" if track.wishes.full else "",
            "loop" if track.wishes.loop else "",
        )
        if part
    )
    name = plain(track.name)[:32] or plain(track.take.info.head.name) or "take"
    if _RESERVED.fullmatch(name):
        name = f"take-{name}"
    style = style_of(track.take.info.head.request.style)[: MAX_NAME - 10 - len(name) - len(tail) - 2]
    return "_".join(part for part in (name, style.rstrip("-+"), tail) if part)


def bpm_of(track: FinishedTrack) -> str:
    """``124bpm``, ``92.5bpm``, nothing in free time."""
    return "" if track.tempo is None else f"{round(track.tempo.bpm, 2):g}bpm"


def key_of(key: str | None) -> str:
    """``F#min``, ``Cmaj``, as sample libraries write it."""
    if key is None:
        return ""
    note, mode = key.split()
    return f"{note}{mode[:3]}"


def style_of(style: Style) -> str:
    """``house``, or ``house+lofi``, the weightiest first."""
    weights = style.artists | style.genres
    return "+".join(filter(None, (plain(name) for name in sorted(weights, key=lambda name: -weights[name]))))


def plain(text: str) -> str:
    """Letters, digits, dashes: what is written otherwise is transliterated."""
    return re.sub(r"[^A-Za-z0-9]+", "-", unidecode(text)).strip("-")
