"""Preset files: reading one, reading the factory library."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from engine.errors import BadFormat, NoFile
from presets.schema import Preset, key_of

FACTORY = Path(__file__).parent / "factory"


def load_preset(path: Path) -> Preset:
    """One preset from a TOML file.

    Raises:
        NoFile: there is no such file.
        BadFormat: it is not TOML, or a field is wrong; the message names file, line and field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NoFile(f"{path} is not there; name an existing preset file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadFormat(f"{path.name} cannot be read as text ({error}); a preset is a TOML file") from error
    try:
        return Preset.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadFormat(f"{path.name} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise BadFormat(f"{path.name}{_complaint(error, text)}") from error


def _complaint(error: ValidationError, text: str) -> str:
    """``, line 4: colour is 'red'; string should match ...`` for the first thing wrong in a preset's text."""
    first = error.errors(include_url=False)[0]
    names = [str(part) for part in first["loc"]]
    if first["type"] == "value_error":
        what = str(first["ctx"]["error"])
    elif first["type"] == "missing":
        return f": {'.'.join(names)} is missing"
    else:
        what = f"{'.'.join(names)} is {first['input']!r}; {first['msg'][0].lower()}{first['msg'][1:]}"
    return f"{_line_of(names, text)}: {what}"


def _line_of(names: list[str], text: str) -> str:
    """Where the innermost named field stands: on its own line, else in the table around it, else nothing."""
    lines = text.splitlines()
    for name in reversed(names):
        pattern = re.compile(rf"\s*(\[[\w.]*)?\"?{re.escape(name)}\"?\s*[=\]]")
        for number, line in enumerate(lines, 1):
            if pattern.match(line):
                return f", line {number}"
    return ""


@cache
def factory_presets() -> MappingProxyType[str, Preset]:
    """The presets that come with Segue by key (``night_drive``), in the order of their program numbers."""
    presets = [load_preset(path) for path in sorted(FACTORY.glob("*.toml"))]
    presets.sort(key=lambda preset: (preset.program is None, preset.program or 0, preset.key))
    return MappingProxyType({preset.key: preset for preset in presets})


def find_preset(name: str) -> Preset | None:
    """The factory preset of that name, however it is spelt (case, ``-``, ``_`` and spaces do not matter)."""
    return factory_presets().get(key_of(name))
