"""From parsed packets to handlers: lookup, validation, order within a bundle, and named failures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from bridge.osc.endpoint import Peer, is_loopback
from bridge.osc.subscribers import Subscribers
from bridge.osc.table import Call, Role, Table, bind
from bridge.osc.wire import Message
from bridge.session.notices import Notices
from engine.errors import SegueError, TooLarge

log = logging.getLogger("segue.osc")

MOST_FAILURES = 32

Handler = Callable[[Call, Peer], None]


class NotLocal(SegueError):
    """Something that only this machine may ask for."""

    code, slug = 403, "not_local"


class Dispatcher:
    """Calls the handler of every message of a packet; a failure is answered and never stops the others.

    Messages of a packet that start jobs come last, so that a bundle of style, seed and generate acts as one. A
    packet of which :data:`MOST_FAILURES` messages failed is not looked at any further: each costs an answer.
    """

    def __init__(
        self, table: Table, handlers: Mapping[str, Handler], subscribers: Subscribers, notices: Notices
    ) -> None:
        self._table = table
        self._handlers = handlers
        self._subscribers = subscribers
        self._notices = notices
        self._failures = 0  # in the packet that is being carried out

    def packet(self, messages: list[Message], peer: Peer) -> None:
        """Carry out one packet of a client."""
        self._subscribers.touch(peer)
        self._failures = 0
        calls = [call for message in messages for call in self._bound(message, peer)]
        for call in sorted(calls, key=lambda call: call.entry.starts_job):
            self._run(call, peer)

    def _bound(self, message: Message, peer: Peer) -> list[Call]:
        calls: list[Call] = []
        if self._failures >= MOST_FAILURES:
            return calls
        try:
            for entry in self._table.find(message):
                if entry.role is Role.NOTICE:
                    continue  # another bridge's answer: replying to it would start a ping-pong
                if entry.local_only and not is_loopback(peer):
                    raise NotLocal(f"{entry.address} is for this machine only; send it from there")
                call = bind(entry, message)
                if call is not None:
                    calls.append(call)
        except SegueError as error:
            self._fail(peer, _tag_of(message), message.address, error)
        return calls

    def _run(self, call: Call, peer: Peer) -> None:
        if self._failures >= MOST_FAILURES:
            return
        try:
            self._handlers[call.entry.handler](call, peer)
        except SegueError as error:
            self._fail(peer, call.request_tag, call.entry.address, error)
        except Exception as error:
            log.exception("%s failed unexpectedly", call.entry.address)
            sentence = SegueError(
                f"{call.entry.address} failed unexpectedly ({type(error).__name__}); see the log"
            )
            self._fail(peer, call.request_tag, call.entry.address, sentence)

    def _fail(self, peer: Peer, request_tag: str, address: str, error: SegueError) -> None:
        self._failures += 1
        self._notices.fail(peer, request_tag, address, error)
        if self._failures == MOST_FAILURES:
            rest = TooLarge(
                f"{MOST_FAILURES} messages of one packet failed; the rest of it was not looked at"
            )
            self._notices.fail(peer, "", address, rest)


def _tag_of(message: Message) -> str:
    """The ``#req`` of a message whose arguments were refused."""
    first = message.values[0] if message.values else None
    return first if isinstance(first, str) and first.startswith("#") and len(first) <= 64 else ""
