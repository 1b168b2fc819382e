"""The plan of a song: which sections, how long, and who plays in each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.corpus.genres import Genre
from engine.corpus.score import Clock

SHORTEST_S, LONGEST_S = 34.0, 112.0

_FORMS = (
    ("intro", "verse", "chorus", "ending"),
    ("intro", "verse", "chorus", "verse", "chorus", "ending"),
    ("intro", "verse", "chorus", "bridge", "chorus", "ending"),
    ("intro", "verse", "chorus", "verse", "chorus", "bridge", "chorus", "ending"),
)
_HALF = {"intro", "build", "bridge", "break", "ending"}
_ENERGY = {
    "intro": 0.78,
    "verse": 0.86,
    "build": 0.88,
    "chorus": 1.0,
    "bridge": 0.8,
    "break": 0.74,
    "ending": 0.85,
}


@dataclass(frozen=True)
class Part:
    """One planned section. `layers` are track names; `drums` is the groove (`main`, `light`, `full`, `build`,
    `none`).
    """

    name: str
    bars: int
    layers: frozenset[str]
    drums: str
    energy: float


def _names(form: tuple[str, ...], genre: Genre) -> list[str]:
    names: list[str] = []
    for name in form:
        if genre.build and name == "chorus":
            names.append("build")
        names.append("break" if genre.build and name == "bridge" else name)
    return names


def _bars(names: list[str], block: int) -> list[int]:
    return [block // 2 if name in _HALF else block for name in names]


def _layers(name: str, genre: Genre, again: bool, rng: np.random.Generator) -> tuple[set[str], str]:
    colour = set(genre.colour)
    if name == "intro":
        choices: tuple[tuple[set[str], str], ...] = (
            ({"chords"}, "light"),
            ({"chords", genre.colour[0]}, "light"),
            ({"bass", "chords"}, "light"),
            ({"bass"}, "main"),
        )
        return choices[int(rng.integers(len(choices)))]
    if name == "verse":
        layers = {"bass", "chords"}
        if again or rng.random() < 0.3:
            layers |= {genre.colour[-1]}
        if rng.random() < genre.lead_in_verse:
            layers |= {"lead"}
        return layers, "main"
    if name == "build":
        return {"chords", *colour}, "build"
    if name == "chorus":
        return {"bass", "chords", "lead", *colour}, "full"
    if name == "break":
        return {"chords", "lead", genre.colour[0]}, "none"
    if name == "bridge":
        return {"bass", "lead", *colour}, "light"
    return {"bass", "chords"}, "main"


def plan_form(genre: Genre, clock: Clock, rng: np.random.Generator) -> tuple[Part, ...]:
    """Sections of a song of 34 to 112 s: intro, verse, chorus (after a build, where the genre has one),
    ending.
    """
    fitting = []
    for form in _FORMS:
        names = _names(form, genre)
        for block in (4, 8):
            bars = _bars(names, block)
            if SHORTEST_S <= sum(bars) * clock.bar_seconds <= LONGEST_S:
                fitting.append((names, bars))
    names, bars = fitting[int(rng.integers(len(fitting)))]
    parts = []
    seen: set[str] = set()
    for name, count in zip(names, bars, strict=True):
        layers, drums = _layers(name, genre, name in seen, rng)
        seen.add(name)
        parts.append(Part(name, count, frozenset(layers), drums, _ENERGY[name]))
    return tuple(parts)
