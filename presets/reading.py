"""One preset from a file; what is wrong with it in one sentence, with file, line and field."""

from __future__ import annotations

import json
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.errors import BadFormat, NoFile
from engine.request import LevelSampling, Sampling, Style
from presets.schema import Preset

SUFFIXES = (".toml", ".json")
MOST_BYTES = 1 << 17
_FIELDS = [name for model in (Preset, Style, Sampling, LevelSampling) for name in model.model_fields]


def load_preset(path: Path) -> Preset:
    """One preset from a TOML or JSON file.

    Raises:
        NoFile: there is no such file.
        BadFormat: it is neither, or a field is wrong; the message names file, line and field.
    """
    text = _text(path)
    if path.suffix.casefold() == ".json":
        table = _json(path, text)
    else:
        try:
            table = tomllib.loads(text)
        except (
            ValueError,
            RecursionError,
        ) as error:  # (a number of thousands of digits is a plain ValueError)
            raise BadFormat(f"{path.name} is not valid TOML: {_short(str(error), 300)}") from error
    try:
        return Preset.model_validate(table)
    except ValidationError as error:
        raise BadFormat(f"{path.name}{_complaint(error, text)}") from error


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise NoFile(f"{path} is not there; name an existing preset file") from None
    except OSError as error:
        raise BadFormat(f"{path.name} cannot be read ({error.strerror}); a preset is a TOML file") from error
    if len(data) > MOST_BYTES:
        raise BadFormat(f"{path.name} is larger than {MOST_BYTES // 1024} KiB; a preset is a short TOML file")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadFormat(f"{path.name} cannot be read as text ({error}); a preset is a TOML file") from error


def _json(path: Path, text: str) -> Any:
    try:
        table = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BadFormat(f"{path.name} is not valid JSON: {error.msg} (at {where})") from error
    except RecursionError as error:
        raise BadFormat(f"{path.name} is not valid JSON: it is nested too deeply") from error
    except ValueError as error:
        raise BadFormat(f"{path.name} is not valid JSON: {_short(str(error), 300)}") from error
    if not isinstance(table, dict):
        raise BadFormat(f"{path.name} holds no table; a preset begins with {{ and has a name and a style")
    return table


def _complaint(error: ValidationError, text: str) -> str:
    """``, line 4: colour is 'red'; string should match ...`` for the first thing wrong in a preset's text."""
    first = error.errors(include_url=False)[0]
    names = [_short(part) for part in first["loc"] if not isinstance(part, int)]
    if first["type"] == "value_error":
        what = _short(str(first["ctx"]["error"]), 300)
    elif first["type"] == "missing":
        return f": {'.'.join(names)} is missing"
    elif first["type"] == "extra_forbidden":
        near = get_close_matches(names[-1], _FIELDS, n=1, cutoff=0.6)
        offer = f"did you mean '{near[0]}'?" if near else "see `segue presets show` for those there are"
        what = f"{'.'.join(names)} is no field of a preset; {offer}"
    else:
        what = f"{'.'.join(names)} is {_short(repr(first['input']))}; {first['msg'][0].lower()}{first['msg'][1:]}"
    return f"{_line_of(names, text)}: {what}"


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _line_of(names: list[str], text: str) -> str:
    """Where the innermost named field stands: on its own line, else in the table around it, else nothing."""
    lines = text.splitlines()
    for name in reversed(names):
        pattern = re.compile(rf"\s*(?:\[[\w.]*|\{{\s*)?\"?{re.escape(name)}\"?\s*[=\]:]")
        for number, line in enumerate(lines, 1):
            if pattern.match(line):
                return f", line {number}"
    return ""
