"""Answers to one client and notices to all subscribers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from bridge.osc.endpoint import OscEndpoint
from bridge.osc.peer import Peer
from bridge.osc.subscribers import Subscribers
from bridge.osc.wire import Sendable, encode_bundles, encode_message
from engine.errors import SegueError

__all__ = ["NOBODY", "Notices", "Sendable"]

NOBODY = Peer("", 0)  # who asks without an address to answer to: a controller, or the session itself


class Notices:
    """Done and fail go to the sender, everything else to the subscribers (facts/daw.md §1.9).

    ``told`` counts the messages that were sent. ``taps`` hear every notice within the session, for controllers show
    what subscribers are told. What is refused to :data:`NOBODY` is told to everybody.
    """

    def __init__(self, endpoint: OscEndpoint, subscribers: Subscribers) -> None:
        self.told = 0
        self.taps: list[Callable[[str, tuple[Sendable, ...]], None]] = []
        self._endpoint = endpoint
        self._subscribers = subscribers
        self._held: list[bytes] | None = None  # of a client that is sent bundles
        self._held_for: Peer | None = None

    def reply(self, peer: Peer, address: str, *values: Sendable) -> None:
        """One message to one client."""
        if peer == NOBODY:
            return
        self.told += 1
        packet = encode_message(address, *values)
        if self._held is not None and peer == self._held_for:
            self._held.append(packet)
        else:
            self._endpoint.send_packet(peer, packet)

    def done(self, peer: Peer, request_tag: str, address: str, *values: Sendable) -> None:
        """``/segue/done address values... [#req]`` to the client that asked."""
        self.reply(peer, "/segue/done", address, *values, *_tag(request_tag))

    def fail(self, peer: Peer, request_tag: str, address: str, error: SegueError) -> None:
        """``/segue/fail address code slug message [#req]`` to the client that asked."""
        if peer == NOBODY:
            self.publish("/segue/error", error.message)
        self.reply(peer, "/segue/fail", address, error.code, error.slug, error.message, *_tag(request_tag))

    def publish(
        self,
        address: str,
        *values: Sendable,
        also: Peer | Collection[Peer] | None = None,
        request_tag: str = "",
    ) -> None:
        """A notice to everybody who hears ``address``, and to ``also``, each once."""
        for tap in self.taps:
            tap(address, values)
        others = [also] if isinstance(also, Peer) else also or ()
        targets = self._subscribers.targets(*(peer for peer in others if peer != NOBODY), address=address)
        if targets:
            packet = encode_message(address, *values, *_tag(request_tag))
            self.told += len(targets)
            for target in targets:
                self._endpoint.send_packet(target, packet)

    def heard(self, address: str) -> bool:
        """Whether anybody would be told of ``address``: what nobody hears need not be measured."""
        return self._subscribers.heard(address)

    @contextmanager
    def bundled(self, peer: Peer) -> Iterator[list[bytes]]:
        """Replies to ``peer`` within this context are sent at its end, in as few bundles as hold them."""
        held: list[bytes] = []
        self._held, self._held_for = held, peer
        try:
            yield held
        finally:
            self._held = self._held_for = None
            for packet in encode_bundles(held):
                self._endpoint.send_packet(peer, packet)


def _tag(request_tag: str) -> tuple[str, ...]:
    return (request_tag,) if request_tag else ()
