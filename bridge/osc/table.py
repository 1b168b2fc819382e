"""What an address accepts: declarative entries, validation of arguments, and lookup with the nearest match.

One table of :class:`Entry` drives dispatch and validation (and, later, the printed documentation and OSCQuery).
Argument rules are those of facts/daw.md §1.9: numbers are accepted as i, f, d, h, T or F where they convert
without loss, text as s or S.
"""

from __future__ import annotations

import difflib
import fnmatch
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bridge.osc.wire import Message, Value
from engine.errors import BadArguments, OutOfRange, UnknownAddress

MAX_TEXT_BYTES = 4_096


class Kind(StrEnum):
    """Type of an argument, as the letter it is sent with."""

    WHOLE = "i"
    NUMBER = "f"
    TEXT = "s"


class Role(StrEnum):
    """What a message to an address does."""

    PROPERTY = "property"  # set with arguments, read without, answered on the same address
    VERB = "verb"
    NOTICE = "notice"  # sent by the bridge only


@dataclass(frozen=True)
class Argument:
    """One argument: its name, type and limits (inclusive; for text ``choices``, when there are any)."""

    name: str
    kind: Kind
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    optional: bool = False
    unit: str = ""

    @property
    def expected(self) -> str:
        """The right values in words, for messages."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.kind is Kind.TEXT:
            return "a text"
        noun = "a whole number" if self.kind is Kind.WHOLE else "a number"
        unit = f" {self.unit}" if self.unit else ""
        return f"{noun} from {self.low:.10g} to {self.high:.10g}{unit}"


@dataclass(frozen=True)
class Entry:
    """One address. ``handler`` names a method of the dispatcher's handlers; notices have none.

    ``press``: a controller's button may send a lone 1 (the verb runs without arguments) or 0 (ignored).
    """

    address: str
    doc: str
    role: Role = Role.VERB
    arguments: tuple[Argument, ...] = ()
    handler: str = ""
    press: bool = False
    local_only: bool = False
    starts_job: bool = False


def notice(address: str, doc: str) -> Entry:
    """An address that only the bridge sends to; ``doc``: its arguments and what it tells."""
    return Entry(address, doc, Role.NOTICE)


@dataclass(frozen=True)
class Call:
    """A validated message: one value per given argument and the optional ``#req`` tag (facts/daw.md, table (a))."""

    entry: Entry
    values: tuple[int | float | str, ...]
    request_tag: str = ""


class Table:
    """Entries by address."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = {entry.address: entry for entry in entries}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def find(self, message: Message) -> list[Entry]:
        """The entries that a message is for; a pattern reaches properties only, never a verb.

        Raises :class:`UnknownAddress` with the nearest address.
        """
        exact = self._entries.get(message.address)
        if exact is not None:
            return [exact]
        if message.is_pattern:
            found = [
                e
                for e in self._entries.values()
                if e.role is Role.PROPERTY and _matches(message.address, e.address)
            ]
            if found:
                return found
            raise UnknownAddress(
                f"no property matches the pattern {message.address}; patterns reach properties only"
            )
        known = [e.address for e in self._entries.values() if e.role is not Role.NOTICE]
        nearest = difflib.get_close_matches(message.address[:64], known, n=1, cutoff=0.0)[0]
        raise UnknownAddress(f"nothing answers to {message.address}; the nearest address is {nearest}")


def _matches(pattern: str, address: str) -> bool:
    """OSC pattern matching, one path segment at a time: ``*`` never crosses a slash."""
    wanted, given = pattern.split("/"), address.split("/")
    return len(wanted) == len(given) and all(
        any(fnmatch.fnmatchcase(segment, option) for option in _alternatives(part))
        for part, segment in zip(wanted, given, strict=True)
    )


def _alternatives(part: str) -> list[str]:
    """``a{b,c}d`` as ``abd`` and ``acd``; braces that do not close stand for nothing."""
    head, opened, rest = part.partition("{")
    if not opened:
        return [part]
    inner, closed, tail = rest.partition("}")
    if not closed:
        return []
    return [head + option + end for option in inner.split(",")[:16] for end in _alternatives(tail)]


def bind(entry: Entry, message: Message) -> Call | None:
    """Check a message's arguments against an entry; None for a released button, which is ignored.

    Raises :class:`BadArguments` for the wrong number or type, :class:`OutOfRange` with the limits.
    """
    if message.problem:
        raise BadArguments(f"{entry.address}: {message.problem}")
    tags, values, request_tag = message.tags, message.values, ""
    if tags[:1] in ("s", "S") and str(values[0]).startswith("#") and len(str(values[0])) <= 64:
        tags, values, request_tag = tags[1:], values[1:], str(values[0])
    if entry.press and len(values) == 1 and tags in ("i", "f", "d", "h", "T", "F"):
        if values[0] == 0:
            return None
        if values[0] == 1:
            return Call(entry, (), request_tag)
    _check_count(entry, len(values))
    bound = tuple(
        _convert(entry.address, number, argument, tag, value)
        for number, (argument, tag, value) in enumerate(
            zip(entry.arguments, tags, values, strict=False), start=1
        )
    )
    return Call(entry, bound, request_tag)


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
    if value != int(value):
        raise BadArguments(f"{where}, not {value:g}")
    return int(value)


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
