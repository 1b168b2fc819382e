"""What makes a genre, as data: tempo, feel, harmony, grooves, patterns, layers.

A bar has 16 steps. Drum strings: `X` accent, `x` hit, `o` ghost, `.` rest. Bass strings: `R` root, `5` fifth,
`8` octave, `3` third, `7` seventh (or sixth), `a` step to the next root; `-` holds, `.` rests. Chord strings:
`x` strikes, `-` holds. Arpeggio strings: digits are chord tones, `-` holds. Lead strings (two bars, 32
steps): `x` a new note, `-` holds. Longer strings than one bar run over several bars.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Groove = dict[str, str]


@dataclass(frozen=True)
class Genre:
    """One genre. Tempo in beats per minute; swing is where the off-step falls in its pair (0.5 is
    straight).
    """

    name: str
    tempo: tuple[int, int]
    progressions: dict[str, tuple[str, ...]]
    main: tuple[Groove, ...]
    light: Groove
    full: Groove
    bass: tuple[str, ...]
    chords: tuple[str, ...]
    lead: tuple[str, ...]
    arp: tuple[str, ...] = ("0-1-2-3-2-1-0-1-",)
    swing: tuple[float, float] = (0.5, 0.5)
    swing_unit: int = 16
    bars_per_chord: int = 1
    colour: tuple[str, ...] = ("pad",)
    pentatonic: bool = False
    pump: float = 0.0
    drums_db: float = 0.0
    build: bool = False
    bass_low: int = 31
    lead_in_verse: float = 0.3
    chord_seconds: float = 0.0
    extra: dict[str, str] = field(default_factory=dict)
