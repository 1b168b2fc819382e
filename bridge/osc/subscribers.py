"""Who is told what happens: any number of clients, each with a lease (facts/daw.md §1.4, §1.9 rule 4)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bridge.osc.endpoint import Peer
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
    lease_seconds: int
    expires_at: float


class Subscribers:
    """Subscriptions by the address the request came from; ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clients: dict[Peer, _Client] = {}
        self._clock = clock
        self._next_number = 1

    def add(self, source: Peer, port: int | None, lease_seconds: int | None) -> tuple[int, int]:
        """Subscribe or renew ``source``; notices go to its own port or to ``port`` on the same host.

        Returns (client number, lease in seconds). Raises :class:`TooManyClients`.
        """
        self._drop_expired()
        lease = lease_seconds or DEFAULT_LEASE_SECONDS
        target = (source[0], port or source[1])
        known = self._clients.get(source)
        if known is None and len(self._clients) >= MAX_CLIENTS:
            raise TooManyClients(
                f"{MAX_CLIENTS} clients are subscribed already; send /segue/notify 0 from one of them"
            )
        number = known.number if known else self._next_number
        self._next_number += known is None
        self._clients[source] = _Client(number, target, lease, self._clock() + lease)
        return number, lease

    def remove(self, source: Peer) -> int:
        """End a subscription; returns the client's number, 0 when it had none."""
        client = self._clients.pop(source, None)
        return client.number if client else 0

    def touch(self, source: Peer) -> None:
        """Any message of a client renews its lease."""
        client = self._clients.get(source)
        if client is not None:
            client.expires_at = self._clock() + client.lease_seconds

    def targets(self, *also: Peer | None) -> list[Peer]:
        """Where a notice goes, each address once; ``also``: peers that hear it though not subscribed."""
        self._drop_expired()
        extra = [peer for peer in also if peer is not None and peer not in self._clients]
        return list(dict.fromkeys([client.target for client in self._clients.values()] + extra))

    def _drop_expired(self) -> None:
        now = self._clock()
        for source in [s for s, client in self._clients.items() if client.expires_at <= now]:
            del self._clients[source]
