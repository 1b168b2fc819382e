"""What ``/segue/style`` accepts: presets, genres and artists by name, and mixes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.request import Style
from presets import Preset, factory_presets, resolve_style
from presets.schema import key_of

UNKNOWN = "unknown"


@dataclass(frozen=True)
class StyleChoice:
    """A chosen style: its name as given, its 1-based place in the list (0 for a mix), and what it stands for.

    ``preset``: the one it is, if it is one, with all that comes with it.
    """

    name: str = UNKNOWN
    index: int = 0
    style: Style = field(default_factory=Style)
    preset: Preset | None = None


class StyleList:
    """The names that a model with these labels can be given, presets first. ``names``: (name, kind) pairs.

    ``presets`` by key; the factory's where none are given.
    """

    def __init__(
        self,
        artists: Sequence[str],
        genres: Sequence[str],
        genre_words: bool = False,
        presets: Mapping[str, Preset] | None = None,
    ) -> None:
        self._artists, self._genres, self._genre_words = artists, genres, genre_words
        self._presets = factory_presets() if presets is None else presets
        self.names: list[tuple[str, str]] = [
            *((preset.name, "preset") for preset in self._presets.values()),
            *((genre, "genre") for genre in genres if genre != UNKNOWN),
            *((artist, "artist") for artist in artists if artist != UNKNOWN),
        ]

    def choose(self, name: str) -> StyleChoice:
        """The style called ``name``; "" stands for no style. Raises what :func:`presets.resolve_style` raises."""
        name = name.strip() or UNKNOWN
        style = resolve_style(name, self._artists, self._genres, self._genre_words, self._presets)
        places = [index for index, (known, _) in enumerate(self.names, 1) if known.lower() == name.lower()]
        preset = self._presets.get(key_of(name))
        return StyleChoice(name, places[0] if places else 0, style, preset)
