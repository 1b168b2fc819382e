"""What a preset holds."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from engine.request import Fidelity, Frozen, Sampling, Style


def key_of(name: str) -> str:
    """How names are compared: "Night Tram", "night-tram" and " night_tram " are all ``night_tram``."""
    return "_".join(name.replace("-", " ").replace("_", " ").casefold().split())


class Preset(Frozen):
    """A named, MIDI-addressable style with lyrics and sampling settings (DESIGN.md §1).

    ``program`` is the MIDI program number as sent, 0..127 (devices show 1..128; facts/daw.md §2.2), or None
    when the preset is reached by name only. ``colour`` is ``#rrggbb``; ``bars`` the length of a continuation.
    """

    name: Annotated[str, Field(min_length=1, max_length=60)]
    description: str = ""
    style: Style
    lyrics: str = ""
    sampling: Sampling = Sampling()
    bars: Annotated[float, Field(gt=0.0, le=64.0)] = 4.0
    fidelity: Fidelity = Fidelity.FULL
    colour: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")] = "#808080"
    program: Annotated[int, Field(ge=0, le=127)] | None = None

    @property
    def key(self) -> str:
        """The name as compared: lower case, words joined by ``_``."""
        return key_of(self.name)

    @model_validator(mode="after")
    def _styled(self) -> Preset:
        if not (self.style.artists or self.style.genres):
            raise ValueError(f"preset '{self.name}' has no style; give it at least one artist or genre")
        return self
