"""Controllers: where their pads and knobs are, and what makes them light up. One TOML file each.

Shipped ones lie in ``profiles/``; files in the folder ``midi`` beside the user's settings come before them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from bridge.midi.actions import BY_NAME, ControlKind, find
from bridge.midi.relative import Encoding
from bridge.midi.settings import Binding, complaint
from engine.errors import BadFormat, SegueError
from engine.request import Frozen

SHIPPED = Path(__file__).parent / "profiles"
GENERIC = "generic"

_Byte = Annotated[int, Field(ge=0, le=127)]


class Light(StrEnum):
    """What the LED of a button tells."""

    EMPTY = "empty"  # there is nothing behind it
    READY = "ready"
    QUEUED = "queued"  # will run, or is armed for the next bar
    RUNNING = "running"
    DONE = "done"
    ERROR = "error"
    SELECTED = "selected"


class Shade(Frozen):
    """How a light is sent: ``velocity`` is the controller's colour; ``channel`` 1..16, 0: that of the button."""

    velocity: _Byte
    channel: Annotated[int, Field(ge=0, le=16)] = 0


class Spot(Frozen):
    """A run of neighbouring controls: ``note`` or ``cc`` is the first one's number, ``action`` its action or key.

    A whole action takes as many controls as it has slots, a key (``take.9``) as many as ``run`` says.
    """

    action: str
    note: _Byte | None = None
    cc: _Byte | None = None
    run: Annotated[int, Field(ge=1, le=16)] = 1
    encoding: Encoding | None = None

    @model_validator(mode="after")
    def _one_control(self) -> Spot:
        if (self.note is None) == (self.cc is None):
            raise ValueError(f"'{self.action}' needs a note or a cc, and not both")
        return self

    def bindings(self, channel: int) -> list[Binding]:
        """One binding a control. Raises ValueError when an action cannot be reached in this way."""
        kind = ControlKind.CC if self.note is None else ControlKind.NOTE
        first = (self.cc or 0) if self.note is None else self.note
        if self.action in BY_NAME:
            keys = BY_NAME[self.action].keys
        else:
            action, slot = find(self.action)
            keys = action.keys[slot - 1 : slot - 1 + self.run]
        return [
            Binding(action=key, channel=channel, kind=kind, number=first + place, encoding=self.encoding)
            for place, key in enumerate(keys)
        ]


class Profile(Frozen):
    """One kind of controller.

    ``match``: parts of port names, in any case; ``channel``: the one it sends and listens on, 0: that of the
    settings; ``hello``: system exclusive messages as hexadecimal bytes, sent when it is opened; ``echo``: whether its
    knobs can be told values; ``lights``: velocity by light, and by action where that has colours of its own.
    """

    name: Annotated[str, Field(min_length=1)]
    match: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    channel: Annotated[int, Field(ge=0, le=16)] = 0
    echo: bool = True
    hello: tuple[Annotated[str, Field(pattern=r"^F0( [0-7][0-9A-F])+ F7$")], ...] = ()
    lights: dict[Light, Shade | _Byte]
    lights_of: dict[str, dict[Light, Shade | _Byte]] = {}
    spot: tuple[Spot, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Profile:
        missing = [light for light in Light if light not in self.lights]
        if missing:
            raise ValueError(f"lights has no {missing[0]}; give every one of {', '.join(Light)}")
        unknown = [name for name in self.lights_of if name not in BY_NAME]
        if unknown:
            raise ValueError(f"lights_of.{unknown[0]}: there is no action '{unknown[0]}'")
        try:
            places = [binding.place for binding in self.bindings]
        except SegueError as error:
            raise ValueError(error.message) from None
        twice = next((place for place in places if places.count(place) > 1), None)
        if twice:
            raise ValueError(f"{twice[2]} {twice[3]} is given twice; a control has one action")
        return self

    @property
    def bindings(self) -> list[Binding]:
        """Its controls, in place of the default ones."""
        return [binding for spot in self.spot for binding in spot.bindings(self.channel)]

    def shade(self, action: str, light: Light) -> Shade:
        """How a light of an action (by name, not key) is sent."""
        shade = self.lights_of.get(action, {}).get(light, self.lights[light])
        return shade if isinstance(shade, Shade) else Shade(velocity=shade)

    def fits(self, port: str) -> bool:
        """Whether a port's name is that of such a controller."""
        return any(part.casefold() in port.casefold() for part in self.match)


def load_profile(path: Path) -> Profile:
    """One profile. Raises :class:`BadFormat` naming file and field."""
    try:
        return Profile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadFormat(f"profile {path.name} cannot be read as TOML ({error}); it is left out") from error
    except ValidationError as error:
        raise BadFormat(f"profile {path.name}: {complaint(error)}; it is left out") from error


class Profiles:
    """The profiles there are. ``problems`` has one sentence for each file that was left out."""

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        self.problems: list[str] = []
        found: dict[str, Profile] = {}
        for folder in (*folders, SHIPPED):
            for path in sorted(folder.glob("*.toml")):
                try:
                    profile = load_profile(path)
                except BadFormat as error:
                    self.problems.append(error.message)
                else:
                    found.setdefault(profile.name, profile)
        self.generic = found[GENERIC]
        self._others = tuple(profile for profile in found.values() if profile is not self.generic)

    def __iter__(self) -> Iterator[Profile]:
        return iter((*self._others, self.generic))

    def of(self, port: str) -> Profile:
        """The profile of a port: the first that fits its name, else the generic one."""
        return next((profile for profile in self._others if profile.fits(port)), self.generic)
