"""Who is told what happens: any number of clients, each with a lease (facts/daw.md §1.4, §1.9 rule 4).

A client hears everything (``/segue/notify``), or the addresses it listens to (``/segue/listen``), or both. The lease of
a client on a connection lasts as long as that.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from bridge.osc.peer import Peer
from engine.errors import SegueError

DEFAULT_LEASE_SECONDS = 600
MAX_CLIENTS = 32


class TooManyClients(SegueError):
    """More subscribers than the bridge keeps."""

    code, slug = 409, "too_many_clients"


@dataclass
class _Client:
    number: int
    target: Peer
    lease_seconds: int = DEFAULT_LEASE_SECONDS
    expires_at: float = 0.0
    everything: bool = False
    listening: set[str] = field(default_factory=set)


class Subscribers:
    """Subscriptions by the client the request came from; ``clock`` gives seconds.

    ``opt_in``: addresses that only those hear who listen to them. ``on_change`` is called when somebody begins or
    ends to hear something.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        opt_in: Collection[str] = (),
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.opt_in = frozenset(opt_in)
        self.on_change = on_change
        self._clients: dict[Peer, _Client] = {}
        self._clock = clock
        self._next_number = 1

    def __len__(self) -> int:
        self._drop_expired()
        return len(self._clients)

    def add(self, source: Peer, port: int | None, lease_seconds: int | None) -> tuple[int, int]:
        """Subscribe or renew ``source``; notices go to it or, by UDP, to ``port`` on the same host.

        Returns (client number, lease in seconds). Raises :class:`TooManyClients`.
        """
        client = self._client(source)
        client.target = source.at_port(port)
        client.lease_seconds = lease_seconds or DEFAULT_LEASE_SECONDS
        client.everything = True
        self._renew(client)
        self.on_change()
        return client.number, client.lease_seconds

    def remove(self, source: Peer) -> int:
        """End a subscription; returns the client's number, 0 when it had none. What it listens to goes on."""
        client = self._clients.get(source)
        if client is None:
            return 0
        client.everything = False
        if not client.listening:
            del self._clients[source]
        self.on_change()
        return client.number

    def listen(self, source: Peer, addresses: Iterable[str], on: bool) -> None:
        """Begin or end to tell ``source`` of these addresses. Raises :class:`TooManyClients`."""
        if not on and source not in self._clients:
            return
        client = self._client(source)
        if on:
            client.listening |= set(addresses)
        else:
            client.listening -= set(addresses)
            if not client.listening and not client.everything:
                del self._clients[source]
        self._renew(client)
        self.on_change()

    def touch(self, source: Peer) -> None:
        """Any message of a client renews its lease."""
        client = self._clients.get(source)
        if client is not None:
            self._renew(client)

    def gone(self, source: Peer) -> None:
        """The client's connection has ended; notices that go elsewhere by UDP go on until the lease ends."""
        client = self._clients.get(source)
        if client is not None and client.target == source:
            del self._clients[source]
            self.on_change()
        elif client is not None:
            client.expires_at = self._clock() + client.lease_seconds

    def targets(self, *also: Peer | None, address: str = "") -> list[Peer]:
        """Where a notice at ``address`` goes, each client once; ``also``: those who hear it though not subscribed."""
        self._drop_expired()
        to_all = address not in self.opt_in
        told = [
            client.target
            for client in self._clients.values()
            if (client.everything and to_all) or address in client.listening
        ]
        extra = [peer for peer in also if peer is not None and self._not_told(peer, address)]
        return list(dict.fromkeys(told + extra))

    def heard(self, address: str) -> bool:
        """Whether anybody would be told of ``address``: what nobody hears need not be measured."""
        return bool(self.targets(address=address))

    def _not_told(self, peer: Peer, address: str) -> bool:
        client = self._clients.get(peer)
        return client is None or not (
            (client.everything and address not in self.opt_in) or address in client.listening
        )

    def _client(self, source: Peer) -> _Client:
        self._drop_expired()
        client = self._clients.get(source)
        if client is None:
            if len(self._clients) >= MAX_CLIENTS:
                raise TooManyClients(
                    f"{MAX_CLIENTS} clients are subscribed already; send /segue/notify 0 from one of them"
                )
            client = self._clients[source] = _Client(self._next_number, source)
            self._next_number += 1
        return client

    def _renew(self, client: _Client) -> None:
        bound = client.target.is_connected
        client.expires_at = math.inf if bound else self._clock() + client.lease_seconds

    def _drop_expired(self) -> None:
        now = self._clock()
        expired = [source for source, client in self._clients.items() if client.expires_at <= now]
        for source in expired:
            del self._clients[source]
        if expired:
            self.on_change()
