"""Label vocabularies: which embedding row stands for which artist or genre (facts/jukebox.md §4.2).

Version ``own`` takes names as they are. ``v2`` knows genres word by word and sums the words of a genre; ``v3``
knows whole genre names.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from engine.errors import BadFormat, NoFile, NoStyle, OutOfRange
from engine.request import Frozen, Style

UNKNOWN = 0  # row of a missing or unknown name
UNKNOWN_NAME = "unknown"
Version = Literal["own", "v2", "v3"]
ReleasedVersion = Literal["v2", "v3"]
Rows = Annotated[int, Field(ge=1)]
# (artist rows, genre rows) of the released embeddings, and how many genre ids a window takes (facts §2.1).
RELEASED_ROWS: dict[ReleasedVersion, tuple[int, int]] = {"v2": (4111, 120), "v3": (7898, 604)}
RELEASED_BAG: dict[ReleasedVersion, int] = {"v2": 5, "v3": 1}


def normalise(name: str, version: Version) -> str:
    """A name as the lists spell it. v2: lower case, runs of anything but a-z and 0-9 are one ``_``, none at the
    ends; v3: lower case; own: as given."""
    if version == "own":
        return name
    lowered = name.lower()
    return lowered if version == "v3" else re.sub("[^a-z0-9]+", "_", lowered).strip("_")


class LabelVocabulary(Frozen):
    """Names of one version to rows of the embeddings, which have ``artist_rows`` and ``genre_rows`` rows.

    ``bag``: most genre words that one name may stand for (None: any number). Row 0 is "unknown".
    """

    version: Version
    artists: dict[str, int]
    genres: dict[str, int]
    artist_rows: Rows
    genre_rows: Rows
    bag: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> LabelVocabulary:
        for what, ids, rows in (
            ("artist", self.artists, self.artist_rows),
            ("genre", self.genres, self.genre_rows),
        ):
            wrong = next((name for name, row in ids.items() if not 0 <= row < rows), None)
            if wrong is not None:
                raise ValueError(
                    f"{what} '{wrong}' has id {ids[wrong]}; the embedding has rows 0 to {rows - 1}"
                )
            if ids.get(UNKNOWN_NAME, UNKNOWN) != UNKNOWN:
                raise ValueError(f"{what} 'unknown' has id {ids[UNKNOWN_NAME]}; it must be {UNKNOWN}")
        return self

    @classmethod
    def own(cls, artists: Sequence[str], genres: Sequence[str]) -> LabelVocabulary:
        """The vocabulary of a model that lists its own names (id = place in the list)."""
        return cls(
            version="own",
            artists={name: row for row, name in enumerate(artists)},
            genres={name: row for row, name in enumerate(genres)},
            artist_rows=max(1, len(artists)),
            genre_rows=max(1, len(genres)),
        )

    @classmethod
    def released(
        cls,
        version: ReleasedVersion,
        artists: Mapping[str, int],
        genres: Mapping[str, int],
        rows: tuple[int, int] | None = None,
    ) -> LabelVocabulary:
        """A v2 or v3 vocabulary; ``rows``: (artist, genre) rows, default those of the released models."""
        artist_rows, genre_rows = rows or RELEASED_ROWS[version]
        return cls(
            version=version,
            artists=dict(artists),
            genres=dict(genres),
            artist_rows=artist_rows,
            genre_rows=genre_rows,
            bag=RELEASED_BAG[version],
        )

    @cached_property
    def artist_names(self) -> tuple[str, ...]:
        """Names to choose an artist from, "unknown" first, then in the order of their ids."""
        return _choices(self.artists)

    @cached_property
    def genre_names(self) -> tuple[str, ...]:
        """Names to choose a genre from (v2: words, to be joined), "unknown" first, then by id."""
        return _choices(self.genres)

    def artist_weights(self, style: Style, *, strict: bool) -> dict[int, float]:
        """Weight of each artist row, summing to 1. Raises NoStyle for an unknown name if ``strict``, else it is
        row 0."""
        rows: dict[int, float] = {}
        for name, weight in _shares(style.artists):
            row = self._row(self.artists, normalise(name, self.version), name, "artist", strict)
            rows[row] = rows.get(row, 0.0) + weight
        return rows

    def genre_weights(self, style: Style, *, strict: bool) -> dict[int, float]:
        """Weight of each genre row. Every word of a v2 genre carries that genre's whole share, since the released
        models sum the words.

        Raises NoStyle for an unknown name or word if ``strict``, else it is row 0; OutOfRange for a genre of
        more words than ``bag`` if ``strict``, else the first ones count.
        """
        rows: dict[int, float] = {}
        for name, weight in _shares(style.genres):
            key = normalise(name, self.version)
            words = key.split("_") if self.version == "v2" else [key]
            if strict and self.bag is not None and len(words) > self.bag:
                raise OutOfRange(
                    f"the genre '{name}' has {len(words)} words; the model takes at most {self.bag}: "
                    f"give '{' '.join(words[: self.bag])}', or several genres as a mix"
                )
            for word in words[: self.bag]:
                row = self._row(self.genres, word, name, "genre", strict)
                rows[row] = rows.get(row, 0.0) + weight
        return rows

    def _row(self, ids: Mapping[str, int], key: str, name: str, what: str, strict: bool) -> int:
        if key in ids:
            return ids[key]
        if not strict:
            return UNKNOWN
        choices = self.artist_names if what == "artist" else self.genre_names
        near = difflib.get_close_matches(key, choices, 3, 0.3) or choices[1:4]
        word = f" (word '{key}')" if self.version == "v2" and what == "genre" and "_" in _v2(name) else ""
        offer = ", ".join(near) or "none, it knows no names"
        raise NoStyle(f"the model knows no {what} '{name}'{word}; nearest: {offer}")


def _v2(name: str) -> str:
    return normalise(name, "v2")


def _choices(ids: Mapping[str, int]) -> tuple[str, ...]:
    named = sorted((row, name) for name, row in ids.items() if name and row != UNKNOWN)
    return (UNKNOWN_NAME, *(name for _, name in named))


def _shares(given: Mapping[str, float]) -> list[tuple[str, float]]:
    """The entries of a mix with weights that sum to 1; "unknown" if there is none."""
    total = sum(given.values())
    return [(name, weight / total) for name, weight in given.items()] or [(UNKNOWN_NAME, 1.0)]


def read_label_list(path: Path) -> dict[str, int]:
    """Ids by lower-case name from a file of ``name;id`` lines; of a name that comes twice the last one counts.

    Raises NoFile, or BadFormat with the first wrong line.
    """
    ids: dict[str, int] = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        name, semicolon, id_text = line.rpartition(";")
        if not line.strip():
            continue
        if not semicolon or not id_text.strip().isdecimal():
            raise BadFormat(
                f"line {number} of {path} is '{line[:60]}'; it must be a name, ';' and a whole number"
            )
        ids[name.strip().lower()] = int(id_text)
    if not ids:
        raise BadFormat(f"{path} holds no labels; it must have lines of a name, ';' and a whole number")
    return ids


def read_label_lists(
    folder: Path, version: ReleasedVersion, rows: tuple[int, int] | None = None
) -> LabelVocabulary:
    """The vocabulary in ``folder``'s ``v2_artist_ids.txt`` and ``v2_genre_ids.txt`` (or ``v3_...``).

    ``rows``: (artist, genre) rows of the embeddings. Raises NoFile or BadFormat.
    """
    lists = [read_label_list(folder / f"{version}_{what}_ids.txt") for what in ("artist", "genre")]
    return _checked(folder, version, lists[0], lists[1], rows)


def read_label_json(
    folder: Path, version: ReleasedVersion, rows: tuple[int, int] | None = None
) -> LabelVocabulary:
    """The vocabulary in a Hugging Face folder's ``artists.json`` and ``genres.json``, which hold both versions:
    v2 names end in ``.v2`` (facts/jukebox.md §6.4). Raises NoFile or BadFormat."""
    lists = [_json_ids(folder / name, version) for name in ("artists.json", "genres.json")]
    return _checked(folder, version, lists[0], lists[1], rows)


def _json_ids(path: Path, version: ReleasedVersion) -> dict[str, int]:
    try:
        found = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise BadFormat(f"{path} is not valid JSON ({error}); copy it from the model's page again") from error
    if not isinstance(found, dict) or not all(type(row) is int for row in found.values()):
        raise BadFormat(f"{path} must hold one object of names and whole numbers")
    ids = {
        name.removesuffix(".v2").lower(): row
        for name, row in found.items()
        if name.endswith(".v2") == (version == "v2")
    }
    if not ids:
        raise BadFormat(f"{path} holds no {version} names; a file of another model was given")
    return ids


def _checked(
    folder: Path,
    version: ReleasedVersion,
    artists: Mapping[str, int],
    genres: Mapping[str, int],
    rows: tuple[int, int] | None,
) -> LabelVocabulary:
    try:
        return LabelVocabulary.released(version, artists, genres, rows)
    except ValueError as error:
        sentence = str(error).partition("Value error, ")[2].partition(" [type=")[0]
        raise BadFormat(f"the {version} lists in {folder} do not fit the model: {sentence}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NoFile(f"{path} is missing; put the label lists there") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadFormat(f"{path} cannot be read as text: {error}") from error
