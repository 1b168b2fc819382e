"""What somebody thinks of a take: its name, rating, colour, and whether it is kept; in a file of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator

from engine.audio.durable import write_durably
from engine.errors import BadFormat
from engine.request import Frozen
from engine.shelf.files import MARKS as MARKS

MAX_NAME = 80
MAX_RATING = 5
_COLOR = re.compile(r"#[0-9a-f]{6}")


class Marks(Frozen):
    """``name`` "" is none of its own; ``rating`` 0 is none, 5 the best; ``color`` as ``#rrggbb``, "" is none."""

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(max_length=MAX_NAME)] = ""
    rating: Annotated[int, Field(ge=0, le=MAX_RATING)] = 0
    color: str = ""
    kept: bool = False

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if name != name.strip() or any(not character.isprintable() for character in name):
            raise ValueError("a name is one line without spaces around it")
        if name.isdigit() or name.startswith("#"):
            raise ValueError(
                f"the name '{name}' would be taken for a number or a tag; begin it with a letter"
            )
        return name

    @field_validator("color")
    @classmethod
    def _hexadecimal(cls, color: str) -> str:
        if color and not _COLOR.fullmatch(color):
            raise ValueError(
                f"the colour is '{color[:40]}'; write it as #rrggbb, such as #e0a030, or as nothing"
            )
        return color


def read_marks(folder: Path) -> Marks:
    """The marks of a take, none where there is no file. Raises :class:`BadFormat` for a broken one."""
    try:
        return Marks.model_validate_json((folder / MARKS).read_bytes())
    except FileNotFoundError:
        return Marks()
    except (OSError, ValidationError) as error:
        raise BadFormat(
            f"'{folder / MARKS}' holds no marks of a take; its name, rating and colour are left out, and the next "
            "mark replaces the file"
        ) from error


def write_marks(folder: Path, marks: Marks) -> None:
    """The file is there whole or not at all. Raises as :func:`engine.audio.durable.writing` does."""
    write_durably(folder / MARKS, marks.model_dump_json(indent=1).encode())
