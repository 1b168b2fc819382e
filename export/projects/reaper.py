"""A REAPER project: alternatives are takes of one item, the prime's item before it (facts/daw.md §4.2).

What is heard lies on the first track, from the prime to the last take; everything else lies muted on the tracks
below it: alternatives that go on from something else, and what a take would have played after it was left.
Audio is referred to by paths relative to the project.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from export.projects.pieces import Piece, piece_of
from export.projects.sheet import Marker, Section, Sheet, Slot

HELD = 14  # decimals of a time: below a sample by far
BEATS, SECONDS = 1, 0  # what an item keeps when the tempo changes
SQUARE = 1  # the tempo stays until the next point


@dataclass(frozen=True)
class Item:
    """A place on a track with one or more takes: ``active`` counts them from 0; ``heard``: not muted."""

    start: Fraction
    end: Fraction
    takes: tuple[Piece, ...]
    active: int
    heard: bool


def project_text(sheet: Sheet, folder: str, version: str) -> str:
    """The ``.rpp``; ``folder``: that of the WAVs, relative to the project, with ``/``, "" for beside it."""
    lines = [f"<REAPER_PROJECT 0.1 {quoted(f'7.0/segue-{version}')} 0"]
    lines += [f"  {line}" for line in _settings(sheet)]
    for name, items in _tracks(sheet):
        lines += [f"  {line}" for line in _track(name, items, sheet, folder)]
    return "\n".join([*lines, ">", ""])


def _settings(sheet: Sheet) -> Iterator[str]:
    yield f"TIMELOCKMODE {BEATS}"
    yield f"TEMPOENVLOCKMODE {BEATS}"
    yield f"SAMPLERATE {sheet.rate} 0 0"
    first = sheet.tempo[0]
    yield f"TEMPO {number(first.bpm)} {first.signature.numerator} {first.signature.denominator}"
    if len(sheet.tempo) > 1:
        yield "<TEMPOENVEX"
        yield "  ACT 1 -1"
        yield "  VIS 1 0 1"
        yield f"  DEFSHAPE {SQUARE} -1 -1"
        for change in sheet.tempo:
            at = number(sheet.seconds_at(change.at))
            meter = (change.signature.denominator << 16) + change.signature.numerator
            yield f"  PT {at} {number(change.bpm)} {SQUARE} {meter}"
        yield ">"
    for index, marker in enumerate(sorted(sheet.markers, key=lambda marker: marker.at), 1):
        yield from _marker(index, marker, sheet)


def _marker(index: int, marker: Marker, sheet: Sheet) -> Iterator[str]:
    region, color = int(marker.end is not None), native(marker.color)
    at = number(sheet.seconds_at(marker.at))
    yield f"MARKER {index} {at} {quoted(marker.name)} {region} {color}"
    if marker.end is not None:
        yield f"MARKER {index} {number(sheet.seconds_at(marker.end))} {quoted('')} {region}"


# -- what lies where ---------------------------------------------------------------------------------------------------


def _tracks(sheet: Sheet) -> Iterator[tuple[str, Sequence[Item]]]:
    items = [item for section in sheet.sections for item in _items(section, sheet)]
    heard = _rows([item for item in items if item.heard])
    for index, row in enumerate(heard, 1):
        yield sheet.title if index == 1 else f"{sheet.title} {index}", row
    for index, row in enumerate(_rows([item for item in items if not item.heard]), 1):
        yield f"{sheet.title}: other takes {index}", row


def _rows(items: Sequence[Item]) -> list[list[Item]]:
    """The items on as few tracks as hold them side by side."""
    rows: list[list[Item]] = []
    for item in items:
        row = next((row for row in rows if all(_apart(item, other) for other in row)), None)
        if row is None:
            rows.append(row := [])
        row.append(item)
    return rows


def _apart(one: Item, other: Item) -> bool:
    return one.end <= other.start or other.end <= one.start


def _items(section: Section, sheet: Sheet) -> Iterator[Item]:
    if (prime := section.prime) is not None:
        yield Item(prime.start, prime.end, (piece_of(prime, prime.start, prime.end, sheet),), 0, True)
    for slot in section.slots:
        yield _item(slot, slot.start, slot.cut or slot.end, sheet, heard=slot.heard)
        if slot.cut is not None and slot.cut < slot.end:
            yield _item(slot, slot.cut, slot.end, sheet, heard=False)


def _item(slot: Slot, start: Fraction, end: Fraction, sheet: Sheet, *, heard: bool) -> Item:
    there = [clip for clip in slot.clips if clip.end > start]
    active = slot.clips[slot.active]
    takes = tuple(piece_of(clip, start, min(end, clip.end), sheet) for clip in there)
    return Item(start, end, takes, there.index(active) if active in there else 0, heard)


# -- lines -------------------------------------------------------------------------------------------------------------


def _track(name: str, items: Sequence[Item], sheet: Sheet, folder: str) -> Iterator[str]:
    yield "<TRACK"
    yield f"  NAME {quoted(name)}"
    if items:
        yield f"  PEAKCOL {native(items[0].takes[items[0].active].clip.color)}"
    yield "  NCHAN 2"
    for item in items:
        for line in _item_lines(item, sheet, folder):
            yield f"  {line}"
    yield ">"


def _item_lines(item: Item, sheet: Sheet, folder: str) -> Iterator[str]:
    start = sheet.seconds_at(item.start)
    active = item.takes[item.active]
    yield "<ITEM"
    yield f"  POSITION {number(start)}"
    yield "  SNAPOFFS 0"
    yield f"  LENGTH {number(sheet.seconds_at(item.end) - start)}"
    yield "  LOOP 0"
    yield "  ALLTAKES 0"
    yield f"  COLOR {native(active.clip.color)} B"
    yield f"  BEAT {SECONDS if active.clip.bpm is None else BEATS}"
    yield "  FADEIN 1 0 0"  # the seam is in the samples: no fades of its own
    yield "  FADEOUT 1 0 0"
    yield f"  MUTE {int(not item.heard)} 0"
    yield "  <NOTES"
    yield from (f"    |{take.clip.name}: {take.clip.note}" for take in item.takes)
    yield "  >"
    for index, take in enumerate(item.takes):
        if index:
            yield "  TAKE SEL" if index == item.active else "  TAKE"
        for line in _take_lines(take, sheet, folder, first=index == 0):
            yield f"  {line}"
    yield ">"


def _take_lines(piece: Piece, sheet: Sheet, folder: str, *, first: bool) -> Iterator[str]:
    clip = piece.clip
    rate = Fraction(1) if clip.bpm is None else sheet.bpm_at(piece.start) / clip.bpm
    yield f"NAME {quoted(clip.name)}"
    yield f"TAKECOLOR {native(clip.color)} B"
    yield "VOLPAN 1 0 1 -1" if first else "TAKEVOLPAN 0 1 -1"
    yield f"SOFFS {number(Fraction(piece.frame, clip.sound.rate))}"
    yield f"PLAYRATE {number(rate)} 1 0 -1"
    yield "CHANMODE 0"
    yield "<SOURCE WAVE"
    yield f"  FILE {quoted(f'{folder}/{clip.sound.name}' if folder else clip.sound.name)}"
    yield ">"


def number(value: Fraction) -> str:
    """A number without an exponent, to :data:`HELD` decimals, trailing zeros left out."""
    text = f"{abs(round(value * 10**HELD)):0{HELD + 1}d}"
    sign = "-" if value < 0 else ""
    return sign + f"{text[:-HELD]}.{text[-HELD:]}".rstrip("0").rstrip(".")


def native(color: str) -> int:
    """``#rrggbb`` as REAPER holds a custom colour: red in the lowest byte, and a bit that says that it is one."""
    red, green, blue = bytes.fromhex(color[1:])
    return red | green << 8 | blue << 16 | 0x1000000


def quoted(text: str) -> str:
    """Text as one field. REAPER has three quotes and no escape: of all three, the last stands in for itself."""
    for quote in "\"'`":
        if quote not in text:
            return f"{quote}{text}{quote}"
    return f"`{text.replace('`', chr(39))}`"
