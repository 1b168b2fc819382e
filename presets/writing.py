"""A preset as the text of a TOML file."""

from __future__ import annotations

import json
import re
from typing import Any

from presets.schema import Preset

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def preset_toml(preset: Preset) -> str:
    """TOML that reads back as the same preset; what is as usual is left out, but for what a preset is about."""
    always = {"name", "style", "bars", "colour", "program"}
    usual = Preset(name="x", style=preset.style).model_dump(mode="json")
    fields = preset.model_dump(mode="json", exclude_none=True)
    told = {name: value for name, value in fields.items() if name in always or value != usual[name]}
    sampling = preset.sampling.model_dump(mode="json", exclude_defaults=True)
    told.pop("sampling", None)
    lines = [f"{name} = {_value(value)}" for name, value in told.items() if not isinstance(value, dict)]
    lines += ["", "[style]", *(f"{name} = {_value(mix)}" for name, mix in fields["style"].items() if mix)]
    for level, values in sampling.items():
        lines += ["", f"[sampling.{level}]", *(f"{name} = {_value(value)}" for name, value in values.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_name(name)} = {_value(part)}" for name, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(part) for part in value) + "]"
    if isinstance(value, str):
        # JSON's strings are TOML's but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def _name(name: str) -> str:
    return name if _BARE.fullmatch(name) else _value(name)
