"""What is sung: a small vocabulary, and lines that rhyme, made of an opening and an ending."""

from __future__ import annotations

import hashlib

import numpy as np

_ONE = (
    "I a all and be blue can come dance day down fall feel find fly free glow go heart high hold in it know "
    "let light line love low me mine moon my new night now oh on one play ride run say sea see shine sing "
    "sky slow so stay sun the time to town true way we will with you"
)
_TWO = "away baby over river tonight"
# Syllables of every word that is ever sung.
VOCABULARY: dict[str, int] = {**dict.fromkeys(_ONE.split(), 1), **dict.fromkeys(_TWO.split(), 2)}

# Any opening goes with any ending.
OPENINGS = (
    "I will",
    "we can",
    "let me",
    "you and I",
    "oh my love",
    "in the night",
    "all the time",
    "my heart will",
    "oh baby",
    "now we will",
    "come and",
    "so now I",
    "with you I",
    "over the river",
    "on the moon",
)

RHYMES: dict[str, tuple[str, ...]] = {
    "ay": ("find a way", "run away", "stay and play", "sing all day", "let you say"),
    "ight": ("see the light", "hold the night", "sing tonight", "dance all night", "find the light"),
    "ee": ("be free", "feel the sea", "run to me", "sing with me", "dance and see"),
    "ow": ("go slow", "let it go", "feel the glow", "see you go", "let you know", "go so low"),
    "ue": ("feel so blue", "sing to you", "run to you", "be so true", "feel so new"),
    "own": ("fall down", "run the town", "dance in town", "come down"),
    "y": ("see the sky", "fly so high", "ride the sky", "feel so high", "run and fly"),
    "un": ("see the sun", "run and run", "be the one", "feel the sun"),
    "ine": ("be mine", "see you shine", "hold the line", "let it shine", "feel you shine"),
}

_RESERVED_OF_TEN = 2


def syllables(line: str) -> int:
    """How many syllables a line of the vocabulary has. Raises KeyError for a word outside it."""
    return sum(VOCABULARY[word] for word in line.split())


def reserved(line: str) -> bool:
    """Whether a line is kept for held-out songs: a fifth of all lines, by a hash. Training never hears them."""
    return hashlib.sha256(f"segue line {line}".encode()).digest()[0] % 10 < _RESERVED_OF_TEN


def lines(rhyme: str, held_out: bool) -> tuple[str, ...]:
    """All lines that end on a rhyme, for songs that are held out or for the others."""
    made = (f"{opening} {ending}" for ending in RHYMES[rhyme] for opening in OPENINGS)
    return tuple(line for line in made if reserved(line) == held_out)


def couplet(most: int, held_out: bool, rng: np.random.Generator) -> tuple[str, str]:
    """Two lines of at most `most` syllables (5 or more) that rhyme on different words where they can."""
    rhymes = sorted(RHYMES)
    found = lines(rhymes[int(rng.integers(len(rhymes)))], held_out)
    fitting = [line for line in found if syllables(line) <= most]
    first = fitting[int(rng.integers(len(fitting)))]
    others = [line for line in fitting if line.split()[-1] != first.split()[-1]]
    others = others or [line for line in fitting if line != first] or fitting
    return first, others[int(rng.integers(len(others)))]
