"""What an address accepts: declarative entries, lookup, and validation of arguments.

One table of :class:`Entry` drives dispatch, validation, the printed documentation and OSCQuery. Argument rules are
those of facts/daw.md §1.9: numbers are accepted as i, f, d, h, T or F where they convert without loss, text as s or S.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from bridge.osc.nearest import Nearest
from bridge.osc.patterns import matcher
from bridge.osc.wire import Message, Value
from engine.errors import BadArguments, OutOfRange, UnknownAddress

MAX_TEXT_BYTES = 4_096
MAX_TAG_CHARACTERS = 64
TWIN = "/str"
READ = "read"  # the handler of what can only be read: the session's properties answer


class Kind(StrEnum):
    """Type of an argument, as the letter it is sent with."""

    WHOLE = "i"
    NUMBER = "f"
    TEXT = "s"


class Role(StrEnum):
    """What a message to an address does."""

    PROPERTY = "property"  # set with arguments, read without, answered on the same address
    READOUT = "readout"  # read without arguments, told when it changes, never set
    VERB = "verb"
    NOTICE = "notice"  # sent by the bridge only


@dataclass(frozen=True)
class Argument:
    """One argument: its name, type and limits (inclusive; for text ``choices``, when there are any).

    ``number_too``: a text that may be sent as a whole number (3 is read as "3"), as take numbers are.
    """

    name: str
    kind: Kind
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    optional: bool = False
    unit: str = ""
    number_too: bool = False

    @property
    def expected(self) -> str:
        """The right values in words, for messages."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.kind is Kind.TEXT:
            return "a text or a whole number" if self.number_too else "a text"
        noun = "a whole number" if self.kind is Kind.WHOLE else "a number"
        unit = f" {self.unit}" if self.unit else ""
        return f"{noun} from {self.low:.10g} to {self.high:.10g}{unit}"


@dataclass(frozen=True)
class Entry:
    """One address. ``handler`` names a method of the dispatcher's handlers; notices have none.

    ``press``: a controller's button may send a lone 1 (the verb runs without arguments) or 0 (ignored).
    ``id_in_path``: the first argument may be a part of the address, the last or the one before the last
    (``/segue/take/3/play`` is ``/segue/take/play 3``).
    ``timed``: in a bundle whose time tag lies ahead, it waits for that time (:attr:`Call.at_ns`); ``lead_ms``: how
    much earlier its handler gets it, to be there in time.
    ``twin``: a property that is also told as a text at its address followed by ``/str``, for displays.
    ``opt_in``: a notice for those only who asked for it with ``/segue/listen``.
    """

    address: str
    doc: str
    role: Role = Role.VERB
    arguments: tuple[Argument, ...] = ()
    handler: str = ""
    press: bool = False
    local_only: bool = False
    starts_job: bool = False
    id_in_path: bool = False
    timed: bool = False
    lead_ms: float = 0.0
    twin: bool = False
    opt_in: bool = False


def notice(address: str, doc: str, *, opt_in: bool = False) -> Entry:
    """An address that only the bridge sends to; ``doc``: its arguments and what it tells."""
    return Entry(address, doc, Role.NOTICE, opt_in=opt_in)


def readout(address: str, doc: str) -> Entry:
    """A value that can be read and listened to but not set; ``doc``: its arguments and what they are."""
    return Entry(address, doc, Role.READOUT, handler=READ)


@dataclass(frozen=True)
class Call:
    """A validated message: one value per given argument and the optional ``#req`` tag (facts/daw.md, table (a)).

    ``at_ns``: the moment it is meant for on the monotonic clock, when a time tag said one.
    """

    entry: Entry
    values: tuple[int | float | str, ...]
    request_tag: str = ""
    at_ns: int | None = None


class Target(NamedTuple):
    """An entry that a message is for, with the id that was found in the message's address ("": none)."""

    entry: Entry
    path_id: str = ""


class Table:
    """Entries by address; those with a twin bring it along."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries: dict[str, Entry] = {}
        for entry in entries:
            self._entries[entry.address] = entry
            if entry.twin:
                doc = f"{entry.address} as a text, with its unit"
                self._entries[entry.address + TWIN] = readout(entry.address + TWIN, doc)
        self._nearest = Nearest(e.address for e in self._entries.values() if e.role is not Role.NOTICE)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, address: str) -> Entry | None:
        """The entry of exactly this address."""
        return self._entries.get(address)

    def nearest(self, address: str) -> str:
        """The address that is written most like this one."""
        return self._nearest.to(address)

    def find(self, message: Message) -> list[Entry]:
        """The entries that a message is for; see :meth:`resolve`."""
        return [target.entry for target in self.resolve(message)]

    def resolve(self, message: Message) -> list[Target]:
        """The entries that a message is for; a pattern reaches properties only, never a verb.

        Raises :class:`UnknownAddress` with the nearest address.
        """
        exact = self._entries.get(message.address)
        if exact is not None:
            return [Target(exact)]
        if message.is_pattern:
            found = [Target(entry) for entry in self.matching(message.address)]
            if found:
                return found
            raise UnknownAddress(
                f"no property matches the pattern {message.address}; patterns reach properties only"
            )
        target = self._with_id(message.address)
        if target is not None:
            return [target]
        near = self.nearest(message.address)
        raise UnknownAddress(f"nothing answers to {message.address}; the nearest address is {near}")

    def matching(self, pattern: str, *roles: Role) -> list[Entry]:
        """The entries of these roles (properties, if none is named) whose addresses a pattern reaches."""
        wanted = roles or (Role.PROPERTY,)
        reaches = matcher(pattern)
        return [e for e in self._entries.values() if e.role in wanted and reaches(e.address)]

    def _with_id(self, address: str) -> Target | None:
        """``/segue/take/3/play`` and ``/segue/continue/3``: the id is the last part but one, or the last."""
        parts = address.split("/")
        for place in (-2, -1):
            if len(parts) + place > 1:
                without = parts[:place] + (parts[place + 1 :] if place < -1 else [])
                entry = self._entries.get("/".join(without))
                if entry is not None and entry.id_in_path and parts[place]:
                    return Target(entry, parts[place])
        return None


def bind(entry: Entry, message: Message, path_id: str = "") -> Call | None:
    """Check a message's arguments against an entry; None for a released button, which is ignored.

    Raises :class:`BadArguments` for the wrong number or type, :class:`OutOfRange` with the limits.
    """
    if message.problem:
        raise BadArguments(f"{entry.address}: {message.problem}")
    tags, values, request_tag = message.tags, message.values, tag_of(message)
    if request_tag:
        tags, values = tags[1:], values[1:]
    complete = sum(not argument.optional for argument in entry.arguments) <= bool(path_id)
    if entry.press and complete and len(values) == 1 and tags in ("i", "f", "d", "h", "T", "F", "I", "N"):
        if values[0] == 0:
            return None
        if values[0] == 1 or values[0] is None:
            tags, values = "", ()
    if path_id:
        whole = path_id.isascii() and path_id.isdecimal() and len(path_id) < 10
        tags, values = ("i" if whole else "s") + tags, (int(path_id) if whole else path_id, *values)
    _check_count(entry, len(values))
    bound = tuple(
        _convert(entry.address, number, argument, tag, value)
        for number, (argument, tag, value) in enumerate(
            zip(entry.arguments, tags, values, strict=False), start=1
        )
    )
    return Call(entry, bound, request_tag)


def tag_of(message: Message) -> str:
    """The ``#req`` that a message begins with, or ""."""
    first = message.values[0] if message.values else None
    is_tag = isinstance(first, str) and first.startswith("#") and len(first) <= MAX_TAG_CHARACTERS
    return str(first) if is_tag else ""


def _check_count(entry: Entry, given: int) -> None:
    most = len(entry.arguments)
    least = sum(not argument.optional for argument in entry.arguments)
    if entry.role is Role.PROPERTY and given == 0:
        return
    if least <= given <= most:
        return
    wanted = " ".join(f"[{a.name}]" if a.optional else a.name for a in entry.arguments) or "nothing"
    count = str(most) if least == most else f"{least} to {most}"
    raise BadArguments(f"{entry.address} takes {count} argument{'s' * (most != 1)} ({wanted}), not {given}")


def _convert(address: str, number: int, argument: Argument, tag: str, value: Value) -> int | float | str:
    """One value in the argument's own type."""
    where = f"{address}: argument {number} ({argument.name}) must be {argument.expected}"
    if argument.kind is Kind.TEXT:
        if argument.number_too and tag in ("i", "h", "f", "d") and _is_whole(value):
            return str(int(value))  # type: ignore[arg-type]
        if tag not in ("s", "S") or not isinstance(value, str):
            raise BadArguments(f"{where}, not {_describe(tag, value)}")
        if argument.choices and value not in argument.choices:
            raise OutOfRange(f"{where}, not '{value[:40]}'")
        if len(value.encode()) > MAX_TEXT_BYTES:
            raise OutOfRange(f"{where} of at most {MAX_TEXT_BYTES} bytes")
        return value
    if tag not in ("i", "h", "f", "d", "T", "F") or not isinstance(value, int | float):
        raise BadArguments(f"{where}, not {_describe(tag, value)}")
    if not math.isfinite(value) or not argument.low <= value <= argument.high:
        raise OutOfRange(
            f"{where}, not {float(value):g}" if isinstance(value, float) else f"{where}, not {value}"
        )
    if argument.kind is Kind.NUMBER:
        return float(value)
    if not _is_whole(value):
        raise BadArguments(f"{where}, not {value:g}")
    return int(value)


def _is_whole(value: Value) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value == int(value)


def _describe(tag: str, value: Value) -> str:
    if isinstance(value, str):
        return f"the text '{value[:40]}'"
    names = {"b": "a blob", "t": "a time tag", "c": "a character", "r": "a colour", "m": "a MIDI message"}
    if tag in names:
        return names[tag]
    return f"the number {value}" if isinstance(value, int | float) else f"a value of type '{tag}'"


def signature(arguments: Sequence[Argument]) -> str:
    """Arguments as facts/daw.md writes them: ``path:s [start_s:f]``."""
    return " ".join(f"[{a.name}:{a.kind}]" if a.optional else f"{a.name}:{a.kind}" for a in arguments)
