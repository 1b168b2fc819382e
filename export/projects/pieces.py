"""A sheet as tracks: one for every prime and take, in pieces where the music leaves a take before its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from export.projects.sheet import Clip, Sheet, beats_of

ROOM = "choose another folder to export to"


@dataclass(frozen=True)
class Piece:
    """A part of a clip: ``start`` and ``length`` in beats of the time line, ``into`` the sound in its own beats and
    from sample ``frame`` of it; ``on``: whether it is heard when its track is."""

    clip: Clip
    start: Fraction
    length: Fraction
    into: Fraction
    frame: int
    on: bool = True

    @property
    def end(self) -> Fraction:
        """The beat where it ends."""
        return self.start + self.length


@dataclass(frozen=True)
class Lane:
    """A track of one prime or take."""

    name: str
    color: str
    note: str
    muted: bool
    pieces: tuple[Piece, ...]


def lanes_of(sheet: Sheet) -> Iterator[Lane]:
    """The tracks, each prime before the takes that go on from it."""
    for section in sheet.sections:
        if section.prime:
            yield _lane(section.prime, False, pieces_of(section.prime, None, sheet))
        for slot in section.slots:
            for number, clip in enumerate(slot.clips):
                active = number == slot.active
                cut = slot.cut if active else None
                yield _lane(clip, not (active and slot.heard), pieces_of(clip, cut, sheet))


def _lane(clip: Clip, muted: bool, pieces: tuple[Piece, ...]) -> Lane:
    return Lane(clip.name, clip.color, clip.note, muted, pieces)


def pieces_of(clip: Clip, cut: Fraction | None, sheet: Sheet) -> tuple[Piece, ...]:
    """The clip, or its two parts: what is heard up to the beat ``cut``, and the silent rest."""
    if cut is None or cut >= clip.end:
        return (piece_of(clip, clip.start, clip.end, sheet),)
    return piece_of(clip, clip.start, cut, sheet), piece_of(clip, cut, clip.end, sheet, on=False)


def piece_of(clip: Clip, start: Fraction, end: Fraction, sheet: Sheet, *, on: bool = True) -> Piece:
    """What a clip plays between two beats of the time line."""
    rate = clip.sound.rate
    if clip.bpm is None:
        frame = clip.offset + round((sheet.seconds_at(start) - sheet.seconds_at(clip.start)) * rate)
        return Piece(clip, start, end - start, Fraction(frame, rate), frame, on)
    into = beats_of(clip.offset, rate, clip.bpm) + start - clip.start
    return Piece(clip, start, end - start, into, round(into * 60 / clip.bpm * rate), on)
