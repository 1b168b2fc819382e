"""Listening to some addresses only, by pattern."""

from __future__ import annotations

from bridge.osc.addresses import TABLE
from bridge.osc.addresses.clients import REPLIES
from bridge.osc.peer import Peer
from bridge.osc.subscribers import Subscribers
from bridge.osc.table import Entry, Role
from bridge.osc.wire import address_problem
from bridge.session.notices import Notices
from bridge.session.properties import Properties
from engine.errors import BadArguments, SegueError

ANSWERS = (".reply", ".item", ".end")


class NoMatch(SegueError):
    """A pattern that reaches nothing that is told."""

    code, slug = 404, "no_match"


def is_told(entry: Entry) -> bool:
    """Whether an address tells what happens, rather than answers somebody."""
    return entry.role in (Role.PROPERTY, Role.READOUT) or (
        entry.role is Role.NOTICE and entry.address not in REPLIES and not entry.address.endswith(ANSWERS)
    )


class Listening:
    """Who is told of what alone."""

    def __init__(self, notices: Notices, subscribers: Subscribers, properties: Properties) -> None:
        self._notices = notices
        self._subscribers = subscribers
        self._properties = properties

    def set(self, peer: Peer, pattern: str, on: bool) -> list[str]:
        """Begin or end to tell a client of what a pattern reaches; returns the addresses.

        Raises :class:`BadArguments` for what cannot be a pattern and :class:`NoMatch` with the nearest address.
        """
        problem = address_problem(pattern)
        if problem:
            raise BadArguments(f"the pattern cannot be used: {problem}")
        found = [entry.address for entry in TABLE.matching(pattern, *Role) if is_told(entry)]
        if not found:
            near = TABLE.nearest(pattern)
            raise NoMatch(f"nothing that is told matches {pattern}; the nearest address is {near}")
        self._subscribers.listen(peer, found, on)
        return found

    def tell(self, peer: Peer, addresses: list[str]) -> None:
        """The values that these addresses have now."""
        for address in addresses:
            if address in self._properties:
                self._notices.reply(peer, address, *self._properties.values(address))
