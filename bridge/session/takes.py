"""The takes of a session: numbered from 1, named A01, A02, ..., and what is told of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from bridge.osc.endpoint import Peer
from bridge.session.aside import Aside
from bridge.session.entries import TakeEntry, TakeState
from bridge.session.history import History
from bridge.session.notices import Notices, Sendable
from bridge.session.properties import Properties
from bridge.session.shelf import Shelf
from engine.errors import NoTake, OutOfRange, SegueError
from engine.request import Request
from engine.shelf.changing import bring_back, change_marks, checked, throw_away
from engine.shelf.index import Index, free_number
from engine.shelf.lines import Entry, usual_name
from engine.take.marks import Marks

CURRENT = "/segue/take/current"
MOST_TOLD = 500  # takes on disk that are told when a session begins, the newest ones


@dataclass
class _Marking:
    """A change of marks that can be taken back and done again. ``before``: what the marks were, as the session knew
    them and, once it is written, as they were on disk, where another process may have changed them since;
    ``lines``: of the index, that tell of it and were not taken back."""

    number: int
    label: str
    now: dict[str, object]
    before: dict[str, object]
    lines: list[str] = field(default_factory=list)


class TakeBook:
    """The takes by number, which is that of the index beside them, and is not used twice in a session.

    ``current`` is what a controller's keep and rate mean: the take that was made or selected last.
    """

    def __init__(
        self, notices: Notices, properties: Properties, history: History, aside: Aside, index: Index
    ) -> None:
        self._notices, self._properties = notices, properties
        self._history, self._aside, self._index = history, aside, index
        self._takes: dict[int, TakeEntry] = {}
        self._folders: dict[str, int] = {}  # numbers that were given, of takes that are gone too
        self._waiting: list[Callable[[], object]] | None = None  # takes made while the shelf is read
        self._current = 0
        self._writing: Counter[str] = Counter()  # changes that are not on disk yet, by the folder's name
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
            self._enter(TakeEntry.of_disk(found.number, self._index.root, found))
        for entry in [*self][-MOST_TOLD:]:
            self._tell(entry)
        waiting, self._waiting = self._waiting or [], None
        for add in waiting:
            add()

    def _enter(self, entry: TakeEntry) -> None:
        self._takes[entry.number] = entry
        self._folders[entry.folder] = entry.number

    def _number(self, folder: str, wanted: int = 0) -> int:
        """The number of a take that is new here: the one that the index gives it, unless this session gave it away."""
        if folder in self._folders:
            return self._folders[folder]
        taken = set(self._folders.values())
        return wanted if wanted and wanted not in taken else free_number(Path(folder).name, taken)

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
            number = self._number(folder)
            known = self._takes.get(number)  # (the index may have told of it first)
            entry = TakeEntry.of_request(
                number,
                folder,
                request,
                wav=wav,
                rate=rate,
                frames=frames,
                held=frames if held is None else held,
                state=state,
                job=job,
                index=index,
                marks=Marks() if known is None else known.marks,
            )
            self._enter(entry)
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
        folded = text.casefold()
        for entry in self:
            if entry.name.casefold() == folded:
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
        return self._takes.get(self._folders.get(folder, 0))

    # -- telling --------------------------------------------------------------------------------------------------

    def told(self, entry: TakeEntry) -> tuple[Sendable, ...]:
        """Arguments of ``/segue/take``: id name parent seconds bpm seed rating state path."""
        return (
            entry.number,
            entry.name,
            self._parent(entry),
            float(entry.seconds),
            float(entry.bpm or 0.0),
            entry.seed,
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

    def _parent(self, entry: TakeEntry) -> str:
        """The name of the take that this one goes on from, its folder's where the session does not know it."""
        parent = self.of_folder(entry.parent)
        return Path(entry.parent).name if parent is None else parent.name

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
        new, old = checked(entry.marks, **marks), entry.marks
        if new.name and new.name != old.name:
            self._check_name(entry, new.name)
        now, before = ({name: getattr(state, name) for name in marks} for state in (new, old))
        marking = _Marking(entry.number, label, now, before)
        self._mark(marking, also)
        if new != old:
            what = f"{label} {usual_name(entry.number)}"
            self._history.add(
                what,
                lambda: self._mark(marking, back=True),
                lambda: self._mark(marking),
                kind=what if label == "rate" else "",
            )

    def _check_name(self, entry: TakeEntry, name: str) -> None:
        for other in self._takes.values():
            if other.number != entry.number and other.name.casefold() == name.casefold():
                raise OutOfRange(
                    f"the name '{name}' is that of take {other.number} already; give another one"
                )

    def _mark(self, marking: _Marking, also: Peer | None = None, back: bool = False) -> None:
        """Other marks of a take, here and on disk; ``back``: those that it had before."""
        entry = self._takes.get(marking.number)
        if entry is None:
            return  # it was deleted meanwhile
        self._remark(entry, entry.marks.model_copy(update=marking.before if back else marking.now), also)
        folder = Path(entry.folder).name

        def write() -> None:
            undoes = marking.lines.pop() if back and marking.lines else ""
            marks = marking.before if back else marking.now
            change = change_marks(self._index, folder, label=marking.label, undoes=undoes, **marks)
            if change is not None and not back:
                marking.lines.append(change.id)
                marking.before |= change.marks_before or {}

        self._on_disk(folder, write)

    def _on_disk(
        self, folder: str, work: Callable[[], object], failed: Callable[[SegueError], None] | None = None
    ) -> None:
        """Does on disk what was done here; then the take is as the index has it, whatever others did meanwhile."""
        self._writing[folder] += 1

        def done() -> None:
            self._writing[folder] -= 1
            entry = self._index.of_folder(folder)
            if entry is not None:
                self.notice(entry)

        def failing(error: SegueError) -> None:
            if failed is None:
                self._aside.tell(error.message)
            else:
                failed(error)
            done()

        self._aside.run(work, lambda _: done(), failing)

    def _remark(self, entry: TakeEntry, marks: Marks, also: Peer | None = None) -> None:
        before, entry = entry.marks, replace(entry, marks=marks)
        self._takes[entry.number] = entry
        self._notices.publish("/segue/take", *self.told(entry), also=also)
        if marks.kept != before.kept:
            self._notices.publish("/segue/take/keep", entry.number, int(marks.kept), also=also)
        if marks.color != before.color:
            self._notices.publish("/segue/take/color", entry.number, marks.color, also=also)

    # -- what others do -----------------------------------------------------------------------------------------------

    def notice(self, told: Entry) -> None:
        """A take as the index has it now, after another process has changed it."""
        if self._writing[told.folder]:
            return  # what this session does to it comes after that, and then this is called again
        root = self._index.root
        folder = str(root / told.folder)
        known = self.of_folder(folder)
        if not told.here:
            if known is not None:
                self._remove(known.number)
            return
        if not told.listed.held:
            return
        entry = TakeEntry.of_disk(self._number(folder, told.number), root, told)
        if known is None:
            self._enter(entry)
            self._tell(entry)
        elif (entry.state, entry.frames) != (known.state, known.frames):
            self._enter(replace(entry, job=known.job, index=known.index))
            self._tell(entry)
        elif entry.marks != known.marks:
            self._remark(known, entry.marks)

    # -- going ----------------------------------------------------------------------------------------------------

    def delete(self, entry: TakeEntry) -> None:
        """Move a take's folder to the trash; undo brings it back."""
        lines: list[str] = []
        kept: list[TakeEntry] = []
        folder = Path(entry.folder).name

        def throw() -> None:
            kept.append(self._takes[entry.number])
            self._remove(entry.number)
            self._on_disk(folder, lambda: lines.append(throw_away(self._index, folder).id), stays)

        def stays(error: SegueError) -> None:
            self._notices.publish("/segue/error", error.message)
            if not isinstance(error, NoTake) and kept:
                bring()

        def bring() -> None:
            returned = kept.pop()
            self._takes[returned.number] = returned
            self._tell(returned)
            self._select(returned.number)
            self._on_disk(
                folder, lambda: bring_back(self._index, folder, undoes=lines.pop()) if lines else None
            )

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
