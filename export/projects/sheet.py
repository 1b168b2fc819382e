"""A session sheet: what lies where on a song's time line, in exact numbers, whoever writes it down.

Places are beats (quarter notes) from the beginning of the time line, as fractions; lengths inside a sound are
samples. The tempo is constant from one change to the next, so seconds are fractions too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

DEFAULT_BPM = Fraction(120)


@dataclass(frozen=True)
class Signature:
    """``numerator`` notes of 1/``denominator`` make a bar."""

    numerator: int = 4
    denominator: int = 4

    @property
    def beats(self) -> Fraction:
        """Quarter notes in a bar."""
        return Fraction(4 * self.numerator, self.denominator)


@dataclass(frozen=True)
class TempoChange:
    """From beat ``at`` on, ``bpm`` quarter notes a minute, in bars of ``signature``."""

    at: Fraction
    bpm: Fraction
    signature: Signature = Signature()


@dataclass(frozen=True)
class Marker:
    """A named place, or with ``end`` a named region, in beats; ``color`` as ``#rrggbb``."""

    at: Fraction
    name: str
    color: str
    end: Fraction | None = None


@dataclass(frozen=True)
class Sound:
    """A WAV that a project refers to: its ``name`` there (ASCII, no spaces) and the file that is copied.

    ``frames`` samples at ``rate`` Hz; ``channels`` 1 or more.
    """

    name: str
    source: Path
    frames: int
    rate: int
    channels: int = 1


@dataclass(frozen=True)
class Clip:
    """A sound on the time line, to its end.

    ``start`` and ``length`` in beats of the time line; ``bpm``: the sound's own tempo, with which it is warped to
    the beats, None for a sound without one, which stays as long as it is in seconds; ``offset``: frames of the sound
    before what is heard first. ``note``: its recipe in a line.
    """

    name: str
    color: str
    note: str
    sound: Sound
    start: Fraction
    length: Fraction
    bpm: Fraction | None = None
    offset: int = 0

    @property
    def end(self) -> Fraction:
        """The beat where it ends."""
        return self.start + self.length


@dataclass(frozen=True)
class Slot:
    """Alternatives: takes that go on from the same place of the same thing.

    ``after``: the name of what they go on from; ``active``: which of ``clips`` is to be heard; ``heard``: whether
    any is, unless somebody listens elsewhere; ``cut``: the beat at which the music leaves the active clip for one
    that goes on from there, at its end or before.
    """

    after: str
    clips: tuple[Clip, ...]
    active: int = 0
    heard: bool = True
    cut: Fraction | None = None

    @property
    def start(self) -> Fraction:
        """The beat where all begin."""
        return self.clips[0].start

    @property
    def end(self) -> Fraction:
        """The beat where the longest ends."""
        return max(clip.end for clip in self.clips)


@dataclass(frozen=True)
class Section:
    """A prime (None where takes began from nothing) and everything that goes on from it."""

    name: str
    prime: Clip | None
    slots: tuple[Slot, ...]

    @property
    def start(self) -> Fraction:
        """The beat of its first sound."""
        return self.prime.start if self.prime else min(slot.start for slot in self.slots)

    @property
    def end(self) -> Fraction:
        """The beat after which nothing of it sounds."""
        return max([slot.end for slot in self.slots] + ([self.prime.end] if self.prime else []))


@dataclass(frozen=True)
class Sheet:
    """A session as projects show it.

    ``rate``: Hz of the project; ``tempo``: changes, the first at beat 0; ``notes``: sentences about what had to be
    left out.
    """

    title: str
    rate: int
    tempo: tuple[TempoChange, ...]
    markers: tuple[Marker, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        places = [change.at for change in self.tempo]
        if not places or places[0] != 0 or places != sorted(set(places)):
            raise ValueError("tempo changes come in order of time, the first at beat 0")

    @property
    def end(self) -> Fraction:
        """The beat after which nothing sounds."""
        return max((section.end for section in self.sections), default=Fraction(0))

    def clips(self) -> Iterator[Clip]:
        """Every clip, primes before what goes on from them."""
        for section in self.sections:
            if section.prime:
                yield section.prime
            for slot in section.slots:
                yield from slot.clips

    def sounds(self) -> dict[str, Sound]:
        """Every sound once, by name."""
        return {clip.sound.name: clip.sound for clip in self.clips()}

    def bpm_at(self, beat: Fraction) -> Fraction:
        """The tempo that holds from ``beat`` on."""
        return self.tempo[self._change(beat)].bpm

    def seconds_at(self, beat: Fraction) -> Fraction:
        """The time of a beat, exactly, in seconds from the beginning of the time line."""
        seconds, number = Fraction(0), self._change(beat)
        for change, after in zip(self.tempo[:number], self.tempo[1:], strict=False):
            seconds += (after.at - change.at) * 60 / change.bpm
        last = self.tempo[number]
        return seconds + (beat - last.at) * 60 / last.bpm

    def sample_at(self, beat: Fraction, rate: int | None = None) -> int:
        """The nearest sample to a beat, at ``rate`` Hz (the project's when None)."""
        return round(self.seconds_at(beat) * (rate or self.rate))

    def _change(self, beat: Fraction) -> int:
        return max(0, bisect_right([change.at for change in self.tempo], beat) - 1)


def beats_of(frames: int, rate: int, bpm: Fraction) -> Fraction:
    """How many beats ``frames`` samples last at ``bpm``.

    A number of sixteenths of a beat that comes within a sample of it is meant: whole bars are rarely whole samples.
    """
    exact = Fraction(frames, rate) * bpm / 60
    grid = Fraction(round(exact * 16), 16)
    return grid if abs(grid - exact) * 60 * rate <= bpm else exact
