"""What a preset holds."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from engine.request import KEYS, MAX_BPM, MAX_LYRICS, MAX_SEED, MIN_BPM, Fidelity, Frozen, Sampling, Style
from presets.quantum import Quantum

MOST_BANK = 16383  # Bank Select is 14 bits


def key_of(name: str) -> str:
    """How names are compared: "Night Tram", "night-tram" and " night_tram " are all ``night_tram``."""
    return "_".join(name.replace("-", " ").replace("_", " ").casefold().split())


class LyricsPolicy(StrEnum):
    """What choosing the preset does to the lyrics of the session.

    ``keep``: nothing. ``clear``: there are none from now on. ``replace``: they are the preset's.
    """

    KEEP = "keep"
    CLEAR = "clear"
    REPLACE = "replace"


Tag = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9 _&-]{0,23}$")]


class Preset(Frozen):
    """A named, MIDI-addressable style with lyrics and sampling settings (DESIGN.md §1).

    ``program`` is the MIDI program number as sent, 0..127 (devices show 1..128; facts/daw.md §2.2), or None
    when the preset is reached by name only; ``bank`` the bank it is in, or None for that of its folder.
    ``colour`` is ``#rrggbb``; ``bars`` the length of a continuation; ``quantum`` where it may begin. ``seed``: a
    number (always that one), ``new`` (another for every take) or ``keep`` (that of the session). ``tempo`` (lowest
    and highest bpm) and ``key`` are hints: they hold where nothing is continued that has a tempo and a key itself.
    """

    name: Annotated[str, Field(min_length=1, max_length=60)]
    description: Annotated[str, Field(max_length=400)] = ""
    tags: tuple[Tag, ...] = ()
    style: Style
    lyrics: Annotated[str, Field(max_length=MAX_LYRICS)] = ""
    lyrics_policy: LyricsPolicy = LyricsPolicy.KEEP
    sampling: Sampling = Sampling()
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | Literal["new", "keep"] = "new"
    bars: Annotated[float, Field(gt=0.0, le=64.0)] = 4.0
    quantum: Quantum = Quantum()
    fidelity: Fidelity = Fidelity.FULL
    tempo: tuple[float, float] | None = None
    key: str | None = None
    colour: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")] = "#808080"
    bank: Annotated[int, Field(ge=0, le=MOST_BANK)] | None = None
    program: Annotated[int, Field(ge=0, le=127)] | None = None

    @property
    def slug(self) -> str:
        """The name as compared: lower case, words joined by ``_``."""
        return key_of(self.name)

    @model_validator(mode="before")
    @classmethod
    def _text_replaces(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("lyrics") and "lyrics_policy" not in value:
            return {**value, "lyrics_policy": LyricsPolicy.REPLACE}
        return value

    @field_validator("seed", mode="before")
    @classmethod
    def _a_seed(cls, seed: Any) -> Any:
        whole = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed <= MAX_SEED
        if not (whole or seed in ("new", "keep")):
            raise ValueError(f"seed is {seed!r}; it must be 'new', 'keep' or a number from 0 to {MAX_SEED}")
        return seed

    @field_validator("tempo")
    @classmethod
    def _a_range(cls, tempo: tuple[float, float] | None) -> tuple[float, float] | None:
        if tempo is not None and not MIN_BPM <= tempo[0] <= tempo[1] <= MAX_BPM:
            raise ValueError(
                f"tempo is {tempo[0]:g} to {tempo[1]:g}; write the lowest and the highest bpm, "
                f"from {MIN_BPM:g} to {MAX_BPM:g}, such as [120, 128]"
            )
        return tempo

    @field_validator("key")
    @classmethod
    def _a_key(cls, key: str | None) -> str | None:
        if key is not None and key not in KEYS:
            raise ValueError(f"'{key}' is no key; write a note and a mode, such as 'C major' or 'F# minor'")
        return key

    @model_validator(mode="after")
    def _whole(self) -> Preset:
        if not self.slug:
            raise ValueError("the name is blank; give one that can be typed")
        if not (self.style.artists or self.style.genres):
            raise ValueError(f"preset '{self.name}' has no style; give it at least one artist or genre")
        if bool(self.lyrics.strip()) != (self.lyrics_policy is LyricsPolicy.REPLACE):
            raise ValueError(
                f"lyrics_policy is '{self.lyrics_policy}', but the preset has lyrics; leave one of them out"
                if self.lyrics.strip()
                else "lyrics_policy is 'replace', but the preset has no lyrics; give them, or write 'clear'"
            )
        return self
