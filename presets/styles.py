"""From what a producer types to a style: a preset, a genre, an artist, or a mix of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from engine.errors import BadArguments, NoStyle, OutOfRange
from engine.request import Style
from presets.library import factory_presets
from presets.playing import fitted_style
from presets.schema import Preset, key_of

UNKNOWN = "unknown"


def resolve_style(
    name: str,
    artists: Sequence[str],
    genres: Sequence[str],
    genre_words: bool = False,
    presets: Mapping[str, Preset] | None = None,
) -> Style:
    """The style called ``name``, of a model that knows ``artists`` and ``genres`` (label 0 is "unknown").

    ``genre_words``: its genres are words, and several of them in a row are a genre too ("country rock").
    ``presets``: those that can be named, by key; the factory's where none are given. Of a preset, what the model does
    not know is left out (:func:`presets.playing.fitted_style`).
    ``name`` is a preset, a genre, an artist, ``unknown`` (no style), or a mix ``house:0.7+lofi:0.3`` of them
    (weight 1 where none is given). In a mix, genres and artists are weighed separately: a part that names no
    artist leaves the artists to the others. Case, spaces, ``-`` and ``_`` do not matter.

    Raises:
        NoStyle: a name that is not known; the message offers the nearest ones.
        BadArguments: a weight that is not a number, or an empty part.
        OutOfRange: a weight that is not above 0.
    """
    known = _Known(artists, genres, genre_words, factory_presets() if presets is None else presets)
    mixed_artists: dict[str, float] = {}
    mixed_genres: dict[str, float] = {}
    for part in name.split("+"):
        label, weight = _part(part, name)
        style = known.style(label)
        _add(mixed_artists, style.artists, weight)
        _add(mixed_genres, style.genres, weight)
    return Style(artists=mixed_artists, genres=mixed_genres)


def _part(part: str, whole: str) -> tuple[str, float]:
    label, colon, number = (text.strip() for text in part.partition(":"))
    if not label:
        raise BadArguments(
            f"the style '{whole}' has an empty part; name a preset, genre or artist, "
            "or a mix like house:0.7+lofi:0.3"
        )
    if not colon:
        return label, 1.0
    try:
        weight = float(number)
    except ValueError:
        raise BadArguments(
            f"the weight '{number}' of '{label}' is not a number; write it like {label}:0.7"
        ) from None
    if not (math.isfinite(weight) and weight > 0):
        raise OutOfRange(f"the weight of '{label}' is {number}; it must be a number above 0")
    return label, weight


def _add(mix: dict[str, float], weights: Mapping[str, float], factor: float) -> None:
    total = sum(weights.values())
    for name, weight in weights.items():
        mix[name] = mix.get(name, 0.0) + factor * weight / total


class _Known:
    """The names one model understands, and the presets that it can play."""

    def __init__(
        self,
        artists: Sequence[str],
        genres: Sequence[str],
        genre_words: bool,
        presets: Mapping[str, Preset],
    ) -> None:
        self._labels = (artists, genres, genre_words)
        self._genre_words = genre_words
        self._presets = presets
        self._artists = {key_of(name): name for name in artists if name != UNKNOWN}
        self._genres = {key_of(name): name for name in genres if name != UNKNOWN}

    def style(self, label: str) -> Style:
        """The style of one part of a mix. Raises NoStyle."""
        key = key_of(label)
        preset = self._presets.get(key)
        if preset is not None:
            return fitted_style(preset, *self._labels).style
        if key in self._genres:
            return Style(genres={self._genres[key]: 1.0})
        if key in self._artists:
            return Style(artists={self._artists[key]: 1.0})
        words = re.findall("[a-z0-9]+", key) if self._genre_words else []
        if words and all(word in self._genres for word in words):
            return Style(genres={label: 1.0})
        if key == UNKNOWN:
            return Style()
        raise NoStyle(f"style '{label}' is unknown; {self._offer(key)}")

    def _offer(self, key: str) -> str:
        names = [*self._presets, *self._genres, *self._artists]
        near = get_close_matches(key, names, n=3, cutoff=0.6)
        if near:
            return "did you mean " + " or ".join(f"'{name}'" for name in near) + "?"
        return f"known genres are {', '.join(self._genres.values()) or 'none'}"
