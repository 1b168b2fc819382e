"""What the process that exports is told, and what it answers: one JSON object each over a pipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from engine.request import Frozen
from export.tracks.wishes import TrackWishes


class Order(Frozen):
    """Write takes, by their folders, as ``target`` into ``out``; answered by :class:`Written` or :class:`Refused`."""

    takes: tuple[str, ...]
    target: str
    out: str
    wishes: TrackWishes = TrackWishes()


class Written(Frozen):
    """The files are there whole; the path that matters most is the first. ``notes``: what people should know."""

    kind: Literal["written"] = "written"
    paths: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Refused(Frozen):
    """Nothing was written, as a named error says."""

    kind: Literal["refused"] = "refused"
    code: int
    slug: str
    message: str


Answer = Annotated[Written | Refused, Field(discriminator="kind")]
ANSWERS: TypeAdapter[Answer] = TypeAdapter(Answer)
QUIT = b""  # instead of an order
