"""Drum parts: the genre's groove, the artist's fills, builds and crashes."""

from __future__ import annotations

import numpy as np

from engine.corpus.artists import Artist
from engine.corpus.form import Part
from engine.corpus.genres import Genre, Groove
from engine.corpus.score import STEPS_PER_BAR

# (step from the start of the section, drum name, velocity 0..1)
Stroke = tuple[float, str, float]

_VELOCITY = {"X": 1.0, "x": 0.78, "o": 0.42}
_NO_CRASH = {"ambient", "lofi", "bossa", "techno", "trap"}
_FILLS: dict[str, tuple[tuple[float, str, float], ...]] = {
    "snare": ((12, "snare", 0.6), (13, "snare", 0.7), (14, "snare", 0.85), (15, "snare", 1.0)),
    "tom": (
        (8, "tom_high", 0.8),
        (9, "tom_high", 0.7),
        (11, "tom", 0.8),
        (12, "tom", 0.9),
        (14, "tom_low", 1.0),
        (15, "tom_low", 0.8),
    ),
    "clap": ((12, "clap", 0.7), (14, "clap", 0.8), (15, "clap", 0.9)),
    "kick": ((11, "kick", 0.7), (13, "kick", 0.9), (15, "snare", 0.6)),
    "rim": ((10, "rim", 0.7), (13, "rim", 0.8), (15, "rim", 0.7)),
    "hat_roll": tuple((12 + i / 2, "hat", 0.4 + 0.07 * i) for i in range(8)),
    "hat_stop": (),
    "none": (),
}
# Drums that fall silent under a fill, from its first step on.
_SILENCED: dict[str, set[str]] = {
    "snare": {"snare", "clap"},
    "tom": {"snare", "clap", "hat", "open_hat", "ride"},
    "clap": {"clap"},
    "kick": {"kick"},
    "rim": {"rim"},
    "hat_roll": {"hat"},
    "hat_stop": {"kick"},
    "none": set(),
}


def _bar(groove: Groove, bar: int) -> list[Stroke]:
    strokes: list[Stroke] = []
    for drum, pattern in groove.items():
        offset = (bar * STEPS_PER_BAR) % len(pattern)
        for step, sign in enumerate(pattern[offset : offset + STEPS_PER_BAR]):
            if sign in _VELOCITY:
                strokes.append((float(step), drum, _VELOCITY[sign]))
    return strokes


def _with_fill(strokes: list[Stroke], fill: str) -> list[Stroke]:
    added = _FILLS[fill]
    first = added[0][0] if added else 12.0
    kept = [s for s in strokes if s[0] < first or s[1] not in _SILENCED[fill]]
    return kept + list(added)


def _build(bar: int, bars: int) -> list[Stroke]:
    progress = bar / bars
    every = 4 if progress < 0.5 else 2 if progress < 0.75 else 1
    strokes: list[Stroke] = [
        (float(step), "snare", 0.35 + 0.5 * (bar + step / STEPS_PER_BAR) / bars)
        for step in range(0, STEPS_PER_BAR, every)
    ]
    if progress < 0.75:
        strokes += [(float(step), "kick", 0.9) for step in range(0, STEPS_PER_BAR, 4)]
    return strokes


def _ghosts(strokes: list[Stroke], density: float, rng: np.random.Generator) -> list[Stroke]:
    """Up to two soft strokes between the written ones, the same in every bar of the section."""
    taken = {(step, drum) for step, drum, _ in strokes}
    source = [drum for drum in ("snare", "hat", "shaker", "rim") if any(s[1] == drum for s in strokes)]
    if not source or rng.random() > density:
        return []
    drum = source[int(rng.integers(len(source)))]
    steps = [float(s) for s in rng.choice((3, 5, 7, 9, 11, 15), size=2, replace=False)]
    return [(step, drum, 0.32) for step in steps if (step, drum) not in taken]


def drum_part(
    part: Part, genre: Genre, artist: Artist, groove: Groove, last: bool, rng: np.random.Generator
) -> list[Stroke]:
    """Strokes of one section. `groove` is the song's choice among the genre's main ones; `last` ends the
    song.
    """
    quiet = {drum: pattern for drum, pattern in genre.light.items() if drum != "kick"}
    grooves = {"main": groove, "light": genre.light, "full": genre.full, "none": quiet}
    chosen = grooves.get(part.drums, groove)
    ghosts = _ghosts(_bar(chosen, 0), artist.density, rng) if part.drums in ("main", "full") else []
    strokes: list[Stroke] = []
    for bar in range(part.bars):
        if last and bar == part.bars - 1:
            here: list[Stroke] = [
                (0.0, "kick", 1.0),
                (0.0, "crash" if genre.name not in _NO_CRASH else "hat", 0.8),
            ]
        elif part.drums == "build":
            here = _build(bar, part.bars)
        else:
            here = [s for s in _bar(chosen, bar) if not (s[1] == "crash" and bar % 4)] + ghosts
            if bar == part.bars - 1 and not last:
                here = _with_fill(here, artist.fill)
            elif bar % 4 == 3 and rng.random() < 0.5 * artist.density:
                here = [*here, (14.0, "snare" if artist.fill != "rim" else "rim", 0.5)]
        if bar == 0 and part.name == "chorus" and genre.name not in _NO_CRASH:
            here = [s for s in here if s[1] != "crash"] + [(0.0, "crash", 0.8)]
        strokes += [(bar * STEPS_PER_BAR + step, drum, velocity) for step, drum, velocity in here]
    return sorted(set(strokes))
