"""Scales, chords and voicings: the harmony that every song of the corpus is written with."""

from __future__ import annotations

import re
from dataclasses import dataclass

NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}

PENTATONICS: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 7, 9),
    "minor": (0, 3, 5, 7, 10),
    "dorian": (0, 3, 5, 7, 10),
    "mixolydian": (0, 2, 4, 7, 9),
}

_NUMERALS = {"I": 0, "II": 2, "III": 4, "IV": 5, "V": 7, "VI": 9, "VII": 11}

_QUALITIES: dict[str, tuple[int, ...]] = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "maj7": (0, 4, 7, 11),
    "9": (0, 4, 7, 10, 14),
    "m9": (0, 3, 7, 10, 14),
    "maj9": (0, 4, 7, 11, 14),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "6": (0, 4, 7, 9),
    "dim7": (0, 3, 6, 9),
    "m7b5": (0, 3, 6, 10),
    "5": (0, 7),
}

_CHORD_PATTERN = re.compile(r"^([b#]?)([IViv]+)(maj7|maj9|m7b5|m7|m9|dim7|sus2|sus4|7|9|6|5)?$")


@dataclass(frozen=True)
class Chord:
    """A chord relative to a tonic: `root` in semitones above it (0..11), `tones` in semitones above the
    root.
    """

    root: int
    tones: tuple[int, ...]

    def pitch_classes(self, tonic: int) -> tuple[int, ...]:
        """Pitch classes (0..11) in the order root, third, fifth, ..., for a tonic pitch class."""
        return tuple((tonic + self.root + tone) % 12 for tone in self.tones)

    def tone(self, index: int) -> int:
        """Semitones above the root of the chord tone `index`; past the last one it goes on an octave
        higher.
        """
        octave, place = divmod(index, len(self.tones))
        return self.tones[place] % 12 + 12 * octave


def parse_chord(text: str) -> Chord:
    """A Roman numeral over the major scale, such as `i`, `bVI`, `iv7`, `Vsus4`, `IVmaj7`; lower case is
    minor.

    Raises ValueError for anything else.
    """
    match = _CHORD_PATTERN.match(text)
    if match is None or match[2].upper() not in _NUMERALS:
        raise ValueError(
            f"{text!r} is not a chord: expected a Roman numeral with b or # before and a quality after it"
        )
    accidental = {"": 0, "b": -1, "#": 1}[match[1]]
    quality = match[3] or ""
    if match[2].islower() and quality in ("", "7", "9"):
        quality = "m" + quality
    return Chord((_NUMERALS[match[2].upper()] + accidental) % 12, _QUALITIES[quality])


def parse_progression(text: str) -> tuple[Chord, ...]:
    """Chords of a space-separated progression, such as `i bVI bIII bVII`."""
    return tuple(parse_chord(word) for word in text.split())


def nearest(pitch_class: int, centre: float) -> int:
    """The MIDI pitch of a pitch class that lies nearest to `centre`."""
    base = round(centre)
    up = (pitch_class - base) % 12
    return base + (up if up <= 6 else up - 12)


def snap(pitch: int, pitch_classes: tuple[int, ...]) -> int:
    """The MIDI pitch nearest to `pitch` whose class is one of `pitch_classes` (the lower one of two)."""
    return min((nearest(pc, pitch) for pc in pitch_classes), key=lambda p: (abs(p - pitch), p))


def voice(chord: Chord, tonic: int, centre: float, style: str) -> tuple[int, ...]:
    """MIDI pitches of a chord around `centre`, ascending.

    Styles: `close` (all tones within an octave), `open` (every second tone an octave up), `power` (root,
    fifth, octave), `shell` (without root and fifth, when there are at least four tones), `spread` (root
    below, the others above the centre).
    """
    classes = chord.pitch_classes(tonic)
    if style == "power":
        root = nearest(classes[0], centre - 5)
        return (root, root + 7, root + 12)
    if style == "shell" and len(classes) >= 4:
        classes = (classes[1], *classes[3:])
    close = sorted({nearest(pc, centre) for pc in classes})
    if style == "open":
        return tuple(sorted(p + (12 if i % 2 else 0) for i, p in enumerate(close)))
    if style == "spread":
        return tuple(sorted({nearest(classes[0], centre - 12), *close}))
    return tuple(close)


def scale_pitches(tonic: int, intervals: tuple[int, ...], low: int, high: int) -> tuple[int, ...]:
    """All MIDI pitches of a scale in `low..high`, ascending."""
    classes = {(tonic + i) % 12 for i in intervals}
    return tuple(p for p in range(low, high + 1) if p % 12 in classes)
