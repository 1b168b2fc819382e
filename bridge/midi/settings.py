"""MIDI settings and learned controls: one TOML file in the user's configuration folder, which may be edited by hand.

A file that cannot be used is never written over: it is put aside as ``midi.toml.broken`` when there is something
new to keep.
"""

from __future__ import annotations

import json
import os
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import Field, ValidationError, model_validator

from bridge.midi.actions import BUTTONS, KNOBS, ControlKind, Kind, NoAction, find
from bridge.midi.relative import Encoding
from engine.errors import BadFormat, SegueError
from engine.request import Frozen

DEFAULT_CHANNEL = 16  # so that an instrument's track does not play Segue by accident (facts/daw.md, map (b))
OMNI = 0


class NotSaved(SegueError):
    """Settings or learned controls could not be written; what was in use before still is."""

    code, slug = 507, "not_saved"


class TakeOver(StrEnum):
    """What a knob does that does not stand where its parameter is."""

    PICKUP = "pickup"  # nothing, until it passes the parameter's value
    JUMP = "jump"  # the parameter jumps to it


class Binding(Frozen):
    """A control of a port, and the key of the action that it reaches.

    ``port``: a port's name without numbers, empty for all; ``channel`` 1..16, 0 for all; ``number`` 0..127.
    """

    action: str
    port: str = ""
    channel: Annotated[int, Field(ge=0, le=16)]
    kind: ControlKind
    number: Annotated[int, Field(ge=0, le=127)]
    encoding: Encoding | None = None

    @property
    def place(self) -> tuple[str, int, ControlKind, int]:
        """What it is that is bound: two bindings of one place cannot both hold."""
        return (self.port, self.channel, self.kind, self.number)

    def __str__(self) -> str:
        control = f"{'CC' if self.kind is ControlKind.CC else 'note'} {self.number}"
        channel = f" on channel {self.channel}" if self.channel else ""
        return f"{control}{channel}{' of ' + self.port if self.port else ''}"

    @model_validator(mode="after")
    def _fitting(self) -> Binding:
        try:
            action, _ = find(self.action)
        except NoAction as error:
            raise ValueError(error.message) from None
        if not action.learnable:
            raise ValueError(f"'{self.action}' has messages of its own; bind another action")
        if self.kind is ControlKind.NOTE and action.kind in KNOBS:
            raise ValueError(f"'{self.action}' needs a knob, a fader or an encoder (kind 'cc'), not a note")
        if self.encoding and (self.kind is ControlKind.NOTE or action.kind in BUTTONS):
            raise ValueError(f"'{self.action}' on {self.kind} {self.number} has no encoding; leave it out")
        if action.kind is Kind.STEPS and self.kind is ControlKind.CC and self.encoding is None:
            raise ValueError(
                f"'{self.action}' needs the encoding of its encoder; one of {', '.join(Encoding)}"
            )
        return self


class MidiSettings(Frozen):
    """What is kept between sessions.

    ``channel``: 1..16, or 0 for all; ``ports``: parts of the names of the ports to open, ``*`` for all;
    ``virtual``: offer a port of our own where the system can.
    """

    channel: Annotated[int, Field(ge=0, le=16)] = DEFAULT_CHANNEL
    takeover: TakeOver = TakeOver.PICKUP
    ports: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    virtual: bool = True
    control: tuple[Binding, ...] = ()


def settings_path() -> Path:
    """Where the settings are: ``SEGUE_MIDI`` where that is set, else ``midi.toml`` in the user's settings."""
    named = os.environ.get("SEGUE_MIDI")
    if named:
        return Path(named).expanduser()
    return platformdirs.user_config_path("segue", appauthor=False) / "midi.toml"


def load(path: Path) -> MidiSettings:
    """The settings of a file; the defaults where there is none.

    Raises :class:`BadFormat` naming file and field when it cannot be used.
    """
    try:
        return MidiSettings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return MidiSettings()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadFormat(
            f"{path.name} cannot be read as TOML ({error}); correct it, or remove it to start afresh"
        ) from error
    except ValidationError as error:
        raise BadFormat(
            f"{path.name}: {complaint(error)}; correct it, or remove it to start afresh"
        ) from error


def complaint(error: ValidationError) -> str:
    """The first thing wrong, in words: ``control.0.number is 200; input should be less than ...``."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "value_error":
        return f"{field}: {first['ctx']['error']}" if field else str(first["ctx"]["error"])
    if first["type"] == "missing":
        return f"{field} is missing"
    if first["type"] == "extra_forbidden":
        return f"there is no setting {field}"
    return f"{field} is {first['input']!r}; {first['msg'][0].lower()}{first['msg'][1:]}"


def save(path: Path, settings: MidiSettings) -> None:
    """Write a settings file; it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(as_toml(settings))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def as_toml(settings: MidiSettings) -> str:
    """The text of a settings file; what is empty is left out. (A JSON string, number or list is TOML, too.)"""
    values = settings.model_dump(mode="json", exclude={"control"})
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
    for binding in settings.control:
        fields = binding.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        lines += ["", "[[control]]"]
        lines += [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    return "\n".join(lines).replace("\x7f", "\\u007f") + "\n"


class Keeper:
    """The settings as they are now and the file they are in. ``problem`` says why the file is not in use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = MidiSettings()
        self.problem = ""
        self._stamp: tuple[int, int] | None = None
        self.reload()

    def reload(self) -> bool:
        """Read the file again if it has changed. Whether it had.

        A file that cannot be used leaves what was in use before, at first the defaults.
        """
        stamp = self._stamp_now()
        if stamp == self._stamp and stamp is not None:
            return False
        changed = stamp != self._stamp
        self._stamp = stamp
        try:
            self.settings, self.problem = load(self.path), ""
        except BadFormat as error:
            self.problem = error.message
        return changed

    def keep(self, settings: MidiSettings) -> None:
        """Use these settings from now on and write them. Raises :class:`NotSaved`, and then changes nothing."""
        try:
            if self.problem and self.path.exists():
                self.path.replace(self.path.with_name(f"{self.path.name}.broken"))
            save(self.path, settings)
        except OSError as error:
            raise NotSaved(
                f"{self.path} cannot be written ({error.strerror}); make its folder writable"
            ) from error
        self.settings, self.problem, self._stamp = settings, "", self._stamp_now()

    def _stamp_now(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return (status.st_mtime_ns, status.st_size)
