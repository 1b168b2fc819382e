"""From parsed packets to handlers: lookup, validation, order and time of a bundle, and named failures."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from bridge.osc.peer import Peer, is_loopback
from bridge.osc.subscribers import Subscribers
from bridge.osc.table import Call, Role, Table, bind, tag_of
from bridge.osc.timing import MOST_AHEAD_SECONDS, PUNCTUAL_MS, TimetagTooFar, monotonic_ns
from bridge.osc.wire import Message
from bridge.session.notices import Notices
from engine.errors import QueueFull, SegueError, TooLarge

log = logging.getLogger("segue.osc")

MOST_FAILURES = 32
MOST_ANSWERS = 400
MOST_SCHEDULED = 256
MOST_WORK_SECONDS = 0.01  # of this thread: what other programs take of the processor is not the packet's
ALWAYS_DONE = 16  # messages of a packet, however long they take

Handler = Callable[[Call, Peer], None]


class NotLocal(SegueError):
    """Something that only this machine may ask for."""

    code, slug = 403, "not_local"


class Dispatcher:
    """Calls the handler of every message of a packet; a failure is answered and never stops the others.

    The messages of a bundle are applied together, those that start jobs last, so that a bundle of style, seed and
    generate acts as one. A bundle that holds a timed message (:attr:`Entry.timed`) waits as a whole for its time tag;
    any other is applied at once. ``together`` is entered around them. A packet of which :data:`MOST_FAILURES` messages
    failed, or that had more than :data:`MOST_ANSWERS` messages sent, or took :data:`MOST_WORK_SECONDS`, is not looked
    at any further: no packet may keep the others waiting.
    """

    def __init__(
        self,
        table: Table,
        handlers: Mapping[str, Handler],
        subscribers: Subscribers,
        notices: Notices,
        together: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._table = table
        self._handlers = handlers
        self._subscribers = subscribers
        self._notices = notices
        self._together = together
        self._failures = 0  # in the packet that is being carried out
        self._answers_until = 0
        self._work_until = 0.0
        self._done = 0
        self._scheduled: set[asyncio.TimerHandle] = set()

    def packet(self, messages: list[Message], peer: Peer) -> None:
        """Carry out one packet of a client, or have it wait for its time."""
        self._subscribers.touch(peer)
        self._begin()
        bundles: dict[int, list[Message]] = {}
        for message in messages:
            bundles.setdefault(message.due, []).append(message)
        for due, together in bundles.items():
            calls = [call for message in together for call in self._bound(message, peer)]
            if calls:
                self._in_time(due, calls, peer)

    def close(self) -> None:
        """Forget what waits for its time."""
        for handle in self._scheduled:
            handle.cancel()
        self._scheduled.clear()

    def _begin(self) -> None:
        self._failures = self._done = 0
        self._answers_until = self._notices.told + MOST_ANSWERS
        self._work_until = time.thread_time() + MOST_WORK_SECONDS

    # -- time ----------------------------------------------------------------------------------------------

    def _in_time(self, due: int, calls: list[Call], peer: Peer) -> None:
        at_ns = monotonic_ns(due)
        ahead_ns = 0 if at_ns is None else at_ns - time.monotonic_ns()
        timed = [call for call in calls if call.entry.timed]
        if at_ns is None or (ahead_ns > 0 and not timed):
            self._run_all(calls, peer)
        elif ahead_ns <= 0:
            late_ms = -ahead_ns / 1e6
            if late_ms >= PUNCTUAL_MS:
                self._notices.reply(peer, "/segue/late", (timed or calls)[0].entry.address, late_ms)
            self._run_all(calls, peer)
        elif ahead_ns > MOST_AHEAD_SECONDS * 1e9:
            sentence = (
                f"the time tag is {ahead_ns / 1e9:.1f} s ahead; at most {MOST_AHEAD_SECONDS:.0f} s are kept"
            )
            self._refuse(timed, peer, TimetagTooFar(sentence))
        elif len(self._scheduled) >= MOST_SCHEDULED:
            self._refuse(
                timed, peer, QueueFull(f"{MOST_SCHEDULED} bundles wait for their time; send fewer ahead")
            )
        else:
            self._schedule(at_ns, [replace(call, at_ns=at_ns) for call in calls], peer)

    def _schedule(self, at_ns: int, calls: list[Call], peer: Peer) -> None:
        loop = asyncio.get_running_loop()
        lead = max(call.entry.lead_ms for call in calls) / 1e3
        wait = (at_ns - time.monotonic_ns()) / 1e9 - lead

        def now() -> None:
            self._scheduled.discard(handle)
            self._begin()
            self._run_all(calls, peer)

        handle = loop.call_later(max(0.0, wait), now)
        self._scheduled.add(handle)

    # -- one message ---------------------------------------------------------------------------------------

    def _bound(self, message: Message, peer: Peer) -> list[Call]:
        calls: list[Call] = []
        if self._failures >= MOST_FAILURES:
            return calls
        try:
            for entry, path_id in self._table.resolve(message):
                if entry.role is Role.NOTICE:
                    continue  # another bridge's answer: replying to it would start a ping-pong
                if entry.local_only and not is_loopback(peer):
                    raise NotLocal(f"{entry.address} is for this machine only; send it from there")
                call = bind(entry, message, path_id)
                if call is not None:
                    calls.append(call)
        except SegueError as error:
            self._fail(peer, tag_of(message), message.address, error)
        return calls

    def _run_all(self, calls: Iterable[Call], peer: Peer) -> None:
        with self._together():
            for call in sorted(calls, key=lambda call: call.entry.starts_job):
                self._run(call, peer)

    def _run(self, call: Call, peer: Peer) -> None:
        if self._failures >= MOST_FAILURES:
            return
        try:
            self._check_cost(call)
            self._handlers[call.entry.handler](call, peer)
        except SegueError as error:
            self._fail(peer, call.request_tag, call.entry.address, error)
        except Exception as error:
            log.exception("%s failed unexpectedly", call.entry.address)
            sentence = SegueError(
                f"{call.entry.address} failed unexpectedly ({type(error).__name__}); see the log"
            )
            self._fail(peer, call.request_tag, call.entry.address, sentence)

    def _check_cost(self, call: Call) -> None:
        """A packet may have much sent, or take long, but not both without end: others wait meanwhile."""
        self._done += 1
        if self._notices.told > self._answers_until:
            why = f"one packet had {MOST_ANSWERS} messages sent"
        elif self._done > ALWAYS_DONE and time.thread_time() > self._work_until:
            why = f"one packet took {1e3 * MOST_WORK_SECONDS:.0f} ms"
        else:
            return
        self._failures = MOST_FAILURES  # nothing more is answered
        raise TooLarge(f"{why}; from {call.entry.address} on it was left out")

    # -- failures ------------------------------------------------------------------------------------------

    def _refuse(self, calls: list[Call], peer: Peer, error: SegueError) -> None:
        for call in calls[:MOST_FAILURES]:
            self._fail(peer, call.request_tag, call.entry.address, error)

    def _fail(self, peer: Peer, request_tag: str, address: str, error: SegueError) -> None:
        self._failures += 1
        self._notices.fail(peer, request_tag, address, error)
        if self._failures == MOST_FAILURES:
            rest = TooLarge(
                f"{MOST_FAILURES} messages of one packet failed; the rest of it was not looked at"
            )
            self._notices.fail(peer, "", address, rest)
