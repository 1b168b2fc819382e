"""The takes of a session: numbered from 1, named A01, A02, ..., and what is told of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bridge.osc.endpoint import Peer
from bridge.session.notices import Notices, Sendable
from engine.errors import NoTake
from engine.request import Request
from engine.take.marks import Marks
from engine.take.take import PRIME

TakeState = Literal["done", "partial"]


@dataclass(frozen=True)
class TakeEntry:
    """A take as the session knows it.

    ``frames`` of audio in ``wav`` at ``rate`` Hz; ``held``: frames that it can be continued from, more than ``frames``
    of a take that was cut short. ``job`` and ``index``: the job of this session that made it, and which of its takes.
    """

    number: int
    folder: str
    wav: str
    request: Request
    rate: int
    frames: int
    held: int
    state: TakeState = "done"
    job: str = ""
    index: int = 0
    marks: Marks = field(default_factory=Marks)

    @property
    def name(self) -> str:
        """Its own name, or A01 for number 1."""
        return self.marks.name or f"A{self.number:02d}"

    @property
    def seconds(self) -> float:
        """Length of the continuation."""
        return self.frames / self.rate

    @property
    def prime(self) -> str:
        """The file of what was heard before it."""
        return str(Path(self.folder) / PRIME)


class TakeBook:
    """The takes by number. Numbers are not used twice in a session."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._takes: dict[int, TakeEntry] = {}
        self._last = 0

    def __iter__(self) -> Iterator[TakeEntry]:
        return iter(self._takes.values())

    def add(
        self,
        *,
        folder: str,
        wav: str,
        request: Request,
        rate: int,
        frames: int,
        held: int | None = None,
        state: TakeState = "done",
        job: str = "",
        index: int = 0,
        also: Peer | None = None,
    ) -> TakeEntry:
        """A take that was just made; all subscribers and ``also`` are told."""
        self._last += 1
        reach = frames if held is None else held
        entry = TakeEntry(self._last, folder, wav, request, rate, frames, reach, state, job, index)
        self._takes[entry.number] = entry
        self._notices.publish("/segue/take", *self.told(entry), also=also)
        return entry

    def find(self, wanted: int | float | str) -> TakeEntry:
        """A take by number or name, whatever the case. Raises :class:`NoTake`."""
        text = str(int(wanted) if isinstance(wanted, float) else wanted).strip()
        if text.isdigit() and int(text) in self._takes:
            return self._takes[int(text)]
        for entry in self._takes.values():
            if entry.name.lower() == text.lower():
                return entry
        raise NoTake(f"there is no take '{text[:40]}'; {self._offer()}")

    def _offer(self) -> str:
        if not self._takes:
            return "none has been made yet"
        first, last = (self._takes[number].name for number in (min(self._takes), max(self._takes)))
        return f"the takes are {first} to {last}" if first != last else f"the only take is {first}"

    def of_job(self, job: str, index: int = 0) -> TakeEntry | None:
        """Take ``index``, from 0, of a job of this session, if it is there."""
        made = (entry for entry in self._takes.values() if (entry.job, entry.index) == (job, index))
        return next(made, None)

    def told(self, entry: TakeEntry) -> tuple[Sendable, ...]:
        """Arguments of ``/segue/take``: id name parent seconds bpm seed rating state path."""
        request = entry.request
        return (
            entry.number,
            entry.name,
            self._parent(request),
            float(entry.seconds),
            float(request.bpm or 0.0),
            request.seed,
            entry.marks.rating,
            entry.state,
            entry.wav,
        )

    def _parent(self, request: Request) -> str:
        """The name of the take that a request goes on from, its folder's where the session does not know it."""
        if not request.parents:
            return ""
        folder = request.parents[-1].folder
        named = (entry.name for entry in self._takes.values() if entry.folder == folder)
        return next(named, Path(folder).name)
