r"""OSC messages as lines of text, for scripts that have no OSC.

A line is an address and its arguments, separated by tabs. An argument is a letter (``i`` whole number, ``f`` number,
``s`` text) and its value; in texts ``\t``, ``\n``, ``\r`` and ``\\`` stand for tab, line feed, return and backslash.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from bridge.osc.wire import MAX_MESSAGES, Message, address_problem

MAX_LETTER_BYTES = 65_536
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_PLAIN = {escaped: plain for plain, escaped in _ESCAPES.items()}
_TO_ESCAPE = re.compile(r"[\\\t\n\r]")
_ESCAPED = re.compile(r"\\(.?)")


class BadLetter(Exception):
    """A letter that cannot be read; one sentence."""


def written(messages: Iterable[Message]) -> str:
    """The lines of messages with arguments of the types i, f and s; others are left out."""
    return "".join("\t".join([m.address, *_arguments(m)]) + "\n" for m in messages)


def _arguments(message: Message) -> Iterable[str]:
    for tag, value in zip(message.tags, message.values, strict=True):
        if tag == "s":
            yield "s" + _TO_ESCAPE.sub(lambda found: _ESCAPES[found[0]], str(value))
        elif tag in ("i", "f") and isinstance(value, int | float):
            yield f"{tag}{value}"


def read(text: str) -> list[Message]:
    """The messages of a letter. Raises :class:`BadLetter` if a line is none; nothing of it is used then."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > MAX_MESSAGES:
        raise BadLetter(f"it holds {len(lines)} messages; at most {MAX_MESSAGES} are read")
    return [_message(line) for line in lines]


def _message(line: str) -> Message:
    address, *arguments = line.split("\t")
    if not address.startswith("/"):
        raise BadLetter(f"'{address[:40]}' is no OSC address")
    tags, values = "", []
    for argument in arguments:
        tag, value = _value(argument)
        tags += tag
        values.append(value)
    return Message(address, tags, tuple(values), problem=address_problem(address))


def _value(argument: str) -> tuple[str, int | float | str]:
    kind, rest = argument[:1], argument[1:]
    try:
        if kind == "s":
            return "s", _ESCAPED.sub(lambda found: _PLAIN.get(found[0], found[1]), rest)
        if kind == "i" and abs(int(rest)) < 2**63:
            return "h", int(rest)
        if kind == "f" and math.isfinite(float(rest)):
            return "d", float(rest)
    except ValueError:
        pass
    raise BadLetter(f"'{argument[:40]}' is no argument; write i, f or s and its value")
