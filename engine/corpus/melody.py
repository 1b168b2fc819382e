"""Lead lines: a motif over two bars that repeats, varies and answers itself, bent to the chords beneath."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.corpus.score import STEPS_PER_BAR, held
from engine.corpus.theory import Chord, snap


@dataclass(frozen=True)
class Motif:
    """A rhythm over 32 steps (`x` new note, `-` hold) and one scale step per note, counted from the tonic."""

    rhythm: str
    degrees: tuple[int, ...]


def make_motif(rhythms: tuple[str, ...], rng: np.random.Generator) -> Motif:
    """A motif with a rhythm of the genre and a contour that moves mostly by step and returns towards the
    tonic.
    """
    rhythm = rhythms[int(rng.integers(len(rhythms)))]
    return Motif(rhythm, contour(rhythm.count("x"), rng))


def contour(count: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Scale steps of `count` notes, counted from the tonic, that move mostly by step and stay near it."""
    degree = int(rng.choice((0, 0, 2, 4)))
    degrees = []
    for _ in range(count):
        degrees.append(degree)
        move = int(rng.choice((-2, -1, -1, 0, 1, 1, 2, 3)))
        pull = -1 if degree > 4 else 1 if degree < -3 else 0
        degree += pull * abs(move) if pull else move
    return tuple(degrees)


def vary(motif: Motif, rng: np.random.Generator) -> Motif:
    """The motif with other last notes, as an answer."""
    keep = max(1, len(motif.degrees) - int(rng.integers(2, 4)))
    tail = [int(d + rng.choice((-2, -1, 1, 2))) for d in motif.degrees[keep:]]
    return Motif(motif.rhythm, (*motif.degrees[:keep], *tail))


def phrase(
    motifs: tuple[Motif, ...], bars: int, chords: list[Chord], tonic: int, scale: tuple[int, ...], centre: int
) -> list[tuple[int, int, int]]:
    """Notes (start step, steps, MIDI pitch) over `bars` bars, one motif per two bars in turn.

    `chords` has one chord per bar; `scale` holds ascending MIDI pitches around `centre`. Notes on a beat, or
    longer than a beat, are pulled to the chord; every second motif comes to rest on the tonic where the chord
    holds it.
    """
    tonics = [i for i, pitch in enumerate(scale) if (pitch - tonic) % 12 == 0]
    middle = min(tonics, key=lambda i: abs(scale[i] - centre))
    notes: list[tuple[int, int, int]] = []
    for index in range((bars + 1) // 2):
        motif = motifs[index % len(motifs)]
        onset = 0
        for step, sign in enumerate(motif.rhythm):
            bar = index * 2 + step // STEPS_PER_BAR
            if sign != "x" or bar >= bars:
                continue
            length = held(motif.rhythm, step)
            place = min(max(middle + motif.degrees[onset], 0), len(scale) - 1)
            onset += 1
            pitch = scale[place]
            below = chords[bar].pitch_classes(tonic)[:3]
            if index % 2 and onset == len(motif.degrees) and tonic in below:
                pitch = snap(pitch, (tonic,))
            elif step % 4 == 0 or length >= 4:
                pitch = snap(pitch, below)
            notes.append((index * 2 * STEPS_PER_BAR + step, length, pitch))
    return notes
