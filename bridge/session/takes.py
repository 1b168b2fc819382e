"""The takes of a session: numbered from 1, named A01, A02, ..., and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from bridge.osc.endpoint import Peer
from bridge.session.aside import Aside
from bridge.session.history import History
from bridge.session.notices import Notices, Sendable
from bridge.session.properties import Properties
from bridge.session.shelf import Found, Shelf, bring_back, throw_away
from engine.errors import NoTake, OutOfRange, SegueError
from engine.request import Mode, Request
from engine.take.marks import Marks, write_marks
from engine.take.take import PRIME

CURRENT = "/segue/take/current"
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
        return self.marks.name or usual_name(self.number)

    @property
    def seconds(self) -> float:
        """Length of the continuation."""
        return self.frames / self.rate

    @property
    def from_nothing(self) -> bool:
        """Whether nothing was heard before it."""
        return self.request.mode is Mode.ANCESTRAL

    @property
    def prime(self) -> str:
        """The file of what was heard before it."""
        return str(Path(self.folder) / PRIME)


def usual_name(number: int) -> str:
    """A01 for 1."""
    return f"A{number:02d}"


def beyond(take: TakeEntry, frames: int) -> OutOfRange:
    """What is wrong with going on from frame ``frames`` of a take."""
    return OutOfRange(
        f"the take {take.name} can be continued from 0 to {take.held / take.rate:.2f} s of it, "
        f"not from {frames / take.rate:.2f} s"
    )


class TakeBook:
    """The takes by number. Numbers are not used twice in a session.

    ``current`` is what a controller's keep and rate mean: the take that was made or selected last.
    """

    def __init__(self, notices: Notices, properties: Properties, history: History, aside: Aside) -> None:
        self._notices, self._properties = notices, properties
        self._history, self._aside = history, aside
        self._takes: dict[int, TakeEntry] = {}
        self._last = 0
        self._waiting: list[Callable[[], object]] | None = None  # takes made while the shelf is read
        self._current = 0
        properties.add(CURRENT, lambda: (self._current,))

    def __iter__(self) -> Iterator[TakeEntry]:
        return iter(sorted(self._takes.values(), key=lambda entry: entry.number))

    def __len__(self) -> int:
        return len(self._takes)

    # -- coming ---------------------------------------------------------------------------------------------------

    def expect(self) -> None:
        """The takes that are on disk are being read; those that are made meanwhile get their numbers after them."""
        self._waiting = []

    def take_up(self, shelf: Shelf) -> None:
        """The takes that were on disk; those that were made meanwhile come after them."""
        for found in shelf.found:
            entry = self._of_disk(found)
            self._takes[entry.number] = entry
            self._tell(entry)
        waiting, self._waiting = self._waiting or [], None
        for add in waiting:
            add()

    def _of_disk(self, found: Found) -> TakeEntry:
        self._last += 1
        info = found.take.info
        state: TakeState = "done" if info.state == "complete" else "partial"
        return TakeEntry(
            self._last,
            str(found.take.folder),
            str(found.take.wav),
            info.head.request,
            info.head.rate,
            info.frames,
            info.held,
            state,
            marks=found.marks,
        )

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
    ) -> None:
        """A take that was just made; all subscribers and ``also`` are told. The first of a job is the current one."""

        def enter() -> None:
            self._last += 1
            reach = frames if held is None else held
            entry = TakeEntry(self._last, folder, wav, request, rate, frames, reach, state, job, index)
            self._takes[entry.number] = entry
            self._tell(entry, also)
            if index == 0:
                self._select(entry.number)

        if self._waiting is None:
            enter()
        else:
            self._waiting.append(enter)

    # -- finding --------------------------------------------------------------------------------------------------

    def find(self, wanted: int | float | str) -> TakeEntry:
        """A take by number or name, whatever the case. Raises :class:`NoTake`."""
        text = str(int(wanted) if isinstance(wanted, float) else wanted).strip()
        if text.isascii() and text.isdigit() and int(text) in self._takes:
            return self._takes[int(text)]
        for entry in self:
            if entry.name.casefold() == text.casefold():
                return entry
        raise NoTake(f"there is no take '{text[:40]}'; {self._offer()}")

    def _offer(self) -> str:
        if not self._takes:
            return "none has been made yet"
        first, last = (self._takes[number].name for number in (min(self._takes), max(self._takes)))
        return f"the takes are {first} to {last}" if first != last else f"the only take is {first}"

    def numbered(self, number: int) -> TakeEntry | None:
        """The take of this number, unless it was deleted."""
        return self._takes.get(number)

    def of_job(self, job: str, index: int = 0) -> TakeEntry | None:
        """Take ``index``, from 0, of a job of this session, if it is there."""
        made = (entry for entry in self._takes.values() if (entry.job, entry.index) == (job, index))
        return next(made, None)

    def of_folder(self, folder: str) -> TakeEntry | None:
        """The take in a folder."""
        return next((entry for entry in self._takes.values() if entry.folder == folder), None)

    # -- telling --------------------------------------------------------------------------------------------------

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

    def told_marks(self, entry: TakeEntry) -> Iterator[tuple[str, int, Sendable]]:
        """Marks that ``/segue/take`` does not say, with their addresses, where there are any."""
        if entry.marks.kept:
            yield "/segue/take/keep", entry.number, 1
        if entry.marks.color:
            yield "/segue/take/color", entry.number, entry.marks.color

    def _tell(self, entry: TakeEntry, also: Peer | None = None) -> None:
        self._notices.publish("/segue/take", *self.told(entry), also=also)
        for address, *values in self.told_marks(entry):
            self._notices.publish(address, *values, also=also)

    def _parent(self, request: Request) -> str:
        """The name of the take that a request goes on from, its folder's where the session does not know it."""
        if not request.parents:
            return ""
        folder = request.parents[-1].folder
        parent = self.of_folder(folder)
        return Path(folder).name if parent is None else parent.name

    # -- selecting ------------------------------------------------------------------------------------------------

    @property
    def current(self) -> TakeEntry | None:
        """The selected take."""
        return self._takes.get(self._current)

    def select(self, entry: TakeEntry, also: Peer | None = None) -> None:
        """Make a take the current one."""
        self._select(entry.number, also, always=True)

    def step(self, steps: int, also: Peer | None = None) -> TakeEntry:
        """Select the take so many after the current one, to the ends of the list at most. Raises :class:`NoTake`."""
        order = [entry.number for entry in self]
        if not order:
            raise NoTake("none has been made yet; generate one first")
        place = order.index(self._current) + steps if self._current in order else (0 if steps > 0 else -1)
        number = (
            order[-1] if place == -1 and self._current not in order else order[_within(place, len(order))]
        )
        self._select(number, also, always=True)
        return self._takes[number]

    def _select(self, number: int, also: Peer | None = None, always: bool = False) -> None:
        changed, self._current = self._current != number, number
        if changed or always:
            self._properties.publish(CURRENT, also)

    # -- marks ----------------------------------------------------------------------------------------------------

    def mark(self, entry: TakeEntry, label: str, also: Peer | None = None, **marks: object) -> None:
        """Change marks of a take, on disk too; ``label``: what undoing it is called.

        Raises :class:`OutOfRange` for a name or colour that cannot be.
        """
        try:
            new = Marks.model_validate(entry.marks.model_dump() | marks)
        except ValidationError as error:
            raise OutOfRange(_sentence(error)) from error
        if new.name and new.name != entry.marks.name:
            self._check_name(entry, new.name)
        old = entry.marks
        self._mark(entry.number, new, also)
        if new != old:
            what = f"{label} {usual_name(entry.number)}"
            self._history.add(
                what,
                lambda: self._mark(entry.number, old),
                lambda: self._mark(entry.number, new),
                kind=what if label == "rate" else "",
            )

    def _check_name(self, entry: TakeEntry, name: str) -> None:
        for other in self._takes.values():
            if other.number != entry.number and other.name.casefold() == name.casefold():
                raise OutOfRange(
                    f"the name '{name}' is that of take {other.number} already; give another one"
                )

    def _mark(self, number: int, marks: Marks, also: Peer | None = None) -> None:
        entry = self._takes.get(number)
        if entry is None:
            return  # it was deleted meanwhile
        before, entry = entry, replace(entry, marks=marks)
        self._takes[number] = entry
        self._notices.publish("/segue/take", *self.told(entry), also=also)
        if marks.kept != before.marks.kept:
            self._notices.publish("/segue/take/keep", number, int(marks.kept), also=also)
        if marks.color != before.marks.color:
            self._notices.publish("/segue/take/color", number, marks.color, also=also)
        folder = Path(entry.folder)
        self._aside.run(lambda: write_marks(folder, marks))

    # -- going ----------------------------------------------------------------------------------------------------

    def delete(self, entry: TakeEntry) -> None:
        """Move a take's folder to the trash; undo brings it back."""
        thrown: list[Path] = []
        kept: list[TakeEntry] = []
        folder = Path(entry.folder)

        def throw() -> None:
            kept.append(self._takes[entry.number])
            self._remove(entry.number)
            self._aside.run(lambda: thrown.append(throw_away(folder)), failed=stays)

        def stays(error: SegueError) -> None:
            self._notices.publish("/segue/error", error.message)
            if not isinstance(error, NoTake) and kept:
                bring()

        def bring() -> None:
            returned = kept.pop()
            self._takes[returned.number] = returned
            self._tell(returned)
            self._select(returned.number)
            self._aside.run(lambda: bring_back(thrown.pop(), folder) if thrown else None)

        throw()
        self._history.add(f"delete {entry.name}", bring, throw)

    def _remove(self, number: int) -> None:
        order = [entry.number for entry in self]
        del self._takes[number]
        self._notices.publish("/segue/take/removed", number)
        if self._current == number:
            place = order.index(number)
            order.remove(number)
            self._select(order[_within(place - 1, len(order))] if order else 0)


def _within(place: int, count: int) -> int:
    return min(count - 1, max(0, place))


def _sentence(error: ValidationError) -> str:
    """What is wrong with a mark, in one sentence."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    return (
        f"the {first['loc'][0]} is {str(first['input'])[:40]!r}; {first['msg'][0].lower()}{first['msg'][1:]}"
    )
