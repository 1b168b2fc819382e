"""Answers to one client and notices to all subscribers."""

from __future__ import annotations

from bridge.osc.endpoint import OscEndpoint, Peer
from bridge.osc.subscribers import Subscribers
from engine.errors import SegueError

Sendable = int | float | str


class Notices:
    """Done and fail go to the sender, everything else to the subscribers (facts/daw.md §1.9)."""

    def __init__(self, endpoint: OscEndpoint, subscribers: Subscribers) -> None:
        self._endpoint = endpoint
        self._subscribers = subscribers

    def reply(self, peer: Peer, address: str, *values: Sendable) -> None:
        """One message to one client."""
        self._endpoint.send(peer, address, *values)

    def done(self, peer: Peer, request_tag: str, address: str, *values: Sendable) -> None:
        """``/segue/done address values... [#req]`` to the client that asked."""
        self._endpoint.send(peer, "/segue/done", address, *values, *_tag(request_tag))

    def fail(self, peer: Peer, request_tag: str, address: str, error: SegueError) -> None:
        """``/segue/fail address code slug message [#req]`` to the client that asked."""
        self._endpoint.send(
            peer, "/segue/fail", address, error.code, error.slug, error.message, *_tag(request_tag)
        )

    def publish(
        self, address: str, *values: Sendable, also: Peer | None = None, request_tag: str = ""
    ) -> None:
        """A notice to every subscriber and to ``also``, each once."""
        for target in self._subscribers.targets(also):
            self._endpoint.send(target, address, *values, *_tag(request_tag))


def _tag(request_tag: str) -> tuple[str, ...]:
    return (request_tag,) if request_tag else ()
