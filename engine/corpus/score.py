"""A song on paper: notes in seconds, sections, and the clock that swings the grid."""

from __future__ import annotations

from dataclasses import dataclass

from engine.corpus.theory import Chord

STEPS_PER_BAR = 16
BEATS_PER_BAR = 4


@dataclass(frozen=True)
class Note:
    """One note or drum stroke: onset and length in seconds, MIDI `pitch` (General MIDI key for drums),
    velocity 0..1.
    """

    start: float
    seconds: float
    pitch: int
    velocity: float


@dataclass(frozen=True)
class Section:
    """A part of the form, in bars and in seconds from the start of the song."""

    name: str
    start_bar: int
    bars: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Score:
    """A whole song. `tonic` is a pitch class (0 is C); `tracks` holds notes ordered by onset, `drums` among
    them; `harmony` is one chord per bar.
    """

    genre: str
    artist: str
    bpm: int
    tonic: int
    mode: str
    swing: float
    sections: tuple[Section, ...]
    tracks: dict[str, tuple[Note, ...]]
    harmony: tuple[Chord, ...] = ()

    @property
    def seconds(self) -> float:
        """Length of the form in seconds, without the ring-out of the last notes."""
        return self.sections[-1].end_s


@dataclass(frozen=True)
class Clock:
    """Turns steps (sixteenths, counted from the start of the song) into seconds.

    `swing` 0.5..0.75 is where the off-step falls within its pair; the pair is two sixteenths (`unit` 16) or
    two eighths (`unit` 8).
    """

    bpm: float
    swing: float = 0.5
    unit: int = 16

    @property
    def bar_seconds(self) -> float:
        """Length of a bar in seconds."""
        return BEATS_PER_BAR * 60.0 / self.bpm

    def at(self, step: float) -> float:
        """Seconds from the start of the song to a step."""
        half = 1 if self.unit == 16 else 2
        pair, inside = divmod(step, 2 * half)
        if inside <= half:
            bent = inside * 2 * self.swing
        else:
            bent = 2 * half * self.swing + (inside - half) * 2 * (1 - self.swing)
        return (pair * 2 * half + bent) * 15.0 / self.bpm


def held(pattern: str, start: int) -> int:
    """Steps that the event at `start` lasts in a pattern: itself and the `-` after it."""
    end = start + 1
    while end < len(pattern) and pattern[end] == "-":
        end += 1
    return end - start
