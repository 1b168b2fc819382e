"""The address table as OSCQuery's tree: a node for every part of an address (facts/daw.md §1.8)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bridge.osc.table import Argument, Entry, Role
from bridge.osc.wire import Sendable

Json = dict[str, Any]
Values = Callable[[str], Sequence[Sendable] | None]  # of an address; None: it has no value that can be read

ATTRIBUTES = ("FULL_PATH", "CONTENTS", "TYPE", "ACCESS", "VALUE", "RANGE", "DESCRIPTION", "UNIT", "OVERLOADS")
ACCESS = {Role.READOUT: 1, Role.NOTICE: 1, Role.VERB: 2, Role.PROPERTY: 3}
IMPULSE = "I"
UNITS = {"s": "time.second", "ms": "time.millisecond", "dB": "gain.db"}


class Tree:
    """Nodes by their path. ``values`` reads what an address holds now, ``choices`` what it can be set to if that
    depends on more than the table."""

    def __init__(
        self,
        entries: Iterable[Entry],
        values: Values,
        choices: Callable[[str], Sequence[str]] = lambda address: (),
    ) -> None:
        self._entries = {entry.address: entry for entry in entries}
        self._values = values
        self._choices = choices
        self._below: dict[str, list[str]] = {"/": []}
        for address in self._entries:
            self._grow(address)

    def node(self, path: str) -> Json | None:
        """A node with everything below it; None when there is none at ``path``."""
        if path not in self._below:
            return None
        node: Json = {"FULL_PATH": path}
        entry = self._entries.get(path)
        node |= self._method(entry) if entry is not None else {"ACCESS": 0}
        children = self._below[path]
        if children:
            node["CONTENTS"] = {child.rpartition("/")[2]: self.node(child) for child in children}
        return node

    def _grow(self, address: str) -> None:
        above = address.rpartition("/")[0] or "/"
        if address in self._below:
            return
        if above not in self._below:
            self._grow(above)
        self._below[above].append(address)
        self._below[address] = []

    def _method(self, entry: Entry) -> Json:
        node: Json = {"DESCRIPTION": entry.doc, "ACCESS": ACCESS[entry.role]}
        values = self._values(entry.address)
        arguments = entry.arguments
        if entry.role is Role.READOUT:
            node["TYPE"] = "".join(_type_of(value) for value in values or ())
        elif entry.role is not Role.NOTICE:
            if entry.press and not any(not argument.optional for argument in arguments):
                node["TYPE"] = IMPULSE
                if arguments:
                    node["OVERLOADS"] = [_signature(arguments)]
            else:
                node |= _signature(arguments)
        listed = self._choices(entry.address)
        if listed and arguments:
            node["RANGE"] = [{"VALS": list(listed)}, *node.get("RANGE", [None] * len(arguments))[1:]]
        if values is not None and "TYPE" in node:
            node["VALUE"] = [_plain(value) for value in values[: len(node["TYPE"])]]
        return node


def _signature(arguments: Sequence[Argument]) -> Json:
    signature: Json = {"TYPE": "".join(str(argument.kind) for argument in arguments)}
    if any(_range(argument) for argument in arguments):
        signature["RANGE"] = [_range(argument) or None for argument in arguments]
    units = [UNITS.get(argument.unit) for argument in arguments]
    if any(units):
        signature["UNIT"] = units
    return signature


def _range(argument: Argument) -> Json:
    if argument.choices:
        return {"VALS": list(argument.choices)}
    limits = {"MIN": argument.low, "MAX": argument.high}
    return {name: limit for name, limit in limits.items() if math.isfinite(limit)}


def _type_of(value: Sendable) -> str:
    return "s" if isinstance(value, str) else "f" if isinstance(value, float) else "i"


def _plain(value: Sendable) -> Sendable | None:
    """JSON has no infinity and no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
