"""A take as a session knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from engine.errors import OutOfRange
from engine.request import Mode, Request
from engine.shelf.files import CONTINUATION, PRIME, REQUEST
from engine.shelf.lines import Entry, usual_name
from engine.take.marks import Marks
from engine.take.take import TakeHead, read_record

TakeState = Literal["done", "partial"]


@dataclass(frozen=True)
class TakeEntry:
    """A take. ``parent``: the folder of the one that it goes on from, or its name, or "".

    ``frames`` of audio in ``wav`` at ``rate`` Hz; ``held``: frames that it can be continued from, more than ``frames``
    of a take that was cut short. ``job`` and ``index``: the job of this session that made it, and which of its takes.
    ``made_of``: the request, None to have it read when it is wanted.
    """

    number: int
    folder: str
    wav: str
    rate: int
    frames: int
    held: int
    seed: int
    bpm: float | None
    parent: str
    mode: Mode
    state: TakeState = "done"
    job: str = ""
    index: int = 0
    marks: Marks = field(default_factory=Marks)
    made_of: Request | None = None

    @classmethod
    def of_request(cls, number: int, folder: str, request: Request, **more: object) -> TakeEntry:
        """A take that this session made."""
        values = {
            "seed": request.seed,
            "bpm": request.bpm,
            "parent": request.parents[-1].folder if request.parents else "",
            "mode": request.mode,
            "made_of": request,
        }
        return cls(number, folder, **{**values, **more})  # type: ignore[arg-type]

    @classmethod
    def of_disk(cls, number: int, root: Path, entry: Entry) -> TakeEntry:
        """A take that the index of the takes folder tells of."""
        listed, folder = entry.listed, root / entry.place
        return cls(
            number,
            str(folder),
            str(folder / CONTINUATION),
            listed.rate,
            listed.frames,
            listed.held,
            listed.seed,
            listed.bpm,
            str(root / listed.parent) if listed.parent else "",
            Mode(listed.mode) if listed.mode in set(Mode) else Mode.PRIMED,
            "done" if listed.state == "complete" else "partial",
            marks=_marks(listed.marks),
        )

    @cached_property
    def request(self) -> Request:
        """What it was made of. Raises :class:`NoFile` or :class:`BadFormat` where its folder does not say any more."""
        if self.made_of is not None:
            return self.made_of
        return read_record(Path(self.folder), REQUEST, TakeHead).request

    @property
    def name(self) -> str:
        """Its own name, or A01 for number 1."""
        return self.marks.name or usual_name(self.number)

    @property
    def seconds(self) -> float:
        """Length of the continuation."""
        return self.frames / self.rate

    @property
    def from_nothing(self) -> bool:
        """Whether nothing was heard before it."""
        return self.mode is Mode.ANCESTRAL

    @property
    def prime(self) -> str:
        """The file of what was heard before it."""
        return str(Path(self.folder) / PRIME)


def _marks(told: dict[str, object]) -> Marks:
    try:
        return Marks.model_validate(told)
    except ValidationError:
        return Marks()


def beyond(take: TakeEntry, frames: int) -> OutOfRange:
    """What is wrong with going on from frame ``frames`` of a take."""
    return OutOfRange(
        f"the take {take.name} can be continued from 0 to {take.held / take.rate:.2f} s of it, "
        f"not from {frames / take.rate:.2f} s"
    )
