"""Character vocabularies v2 and v3, and how text is brought into them (facts/jukebox.md §4.3)."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Version = Literal["v2", "v3"]
PADDING = 0  # also the id of a character that is not in the vocabulary
_SHOWN = 5  # characters named in a note

_LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits
# The id of a character is its place here plus 1.
CHARACTERS: dict[Version, str] = {
    "v2": _LETTERS + ".,:;!?-+'\"()[] \t\n",
    "v3": _LETTERS + ".,:;!?-'\"()[] \t\n",
}
_IDS: dict[Version, dict[str, int]] = {
    version: {character: i for i, character in enumerate(characters, 1)}
    for version, characters in CHARACTERS.items()
}


@dataclass(frozen=True)
class Cleaned:
    """Text that holds characters of the vocabulary only, and what to tell the user about the way there."""

    text: str
    notes: tuple[str, ...] = ()


def clean(text: str, version: Version) -> Cleaned:
    """``text`` in the vocabulary: other scripts in Latin letters, a backslash as a new line, the rest left out."""
    spelt = {character: _ascii(character) for character in set(text) if not character.isascii()}
    kept = _IDS[version]
    into = {
        character: "".join(c for c in spelt.get(character, character).replace("\\", "\n") if c in kept)
        for character in set(text)
    }
    cleaned = "".join([into[character] for character in text])
    return Cleaned(cleaned, tuple(_notes(text, into)))


def encode(text: str, version: Version) -> NDArray[np.int64]:
    """Ids int64 [len(text)], one a character."""
    ids = _IDS[version]
    return np.array([ids.get(character, PADDING) for character in text], dtype=np.int64)


def decode(ids: Iterable[int], version: Version) -> str:
    """The text of ``ids``; padding is nothing. Raises IndexError for an id that the vocabulary lacks."""
    characters = CHARACTERS[version]
    return "".join(characters[i - 1] for i in map(int, ids) if i != PADDING)


def _ascii(character: str) -> str:
    # The tables of Unidecode, which the released models' lyrics went through, under a licence that lets any program
    # use them; newer spellings of a few characters (some kana among them) are missing.
    from text_unidecode import unidecode

    if unicodedata.category(character) == "Cs":  # half of a character: nothing can be made of it
        return ""
    return unidecode(character).replace("[?]", "")  # what it writes for a character it does not know


def _notes(text: str, into: Mapping[str, str]) -> Iterable[str]:
    """One sentence for what was spelt otherwise, one for what was left out; accents and line ends are no news."""
    seen = dict.fromkeys(text)  # in the order of the text
    spelt = [c for c in seen if not c.isascii() and into[c]]
    if spelt:
        count = sum(map(text.count, spelt))
        shown = ", ".join(f"{c} as {into[c].strip() or 'a space'}" for c in spelt[:_SHOWN])
        yield f"{_many(count, 'character')} of the lyrics {_were(count)} spelt in Latin letters ({shown})"
    gone = [c for c in seen if not into[c] and not unicodedata.category(c).startswith(("M", "C"))]
    if gone:
        count = sum(map(text.count, gone))
        shown = " ".join(gone[:_SHOWN])
        yield f"{_many(count, 'character')} of the lyrics that no model can read {_were(count)} left out: {shown}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
