"""Who a packet came from, and how a reply gets back there."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple, Protocol


class Link(Protocol):
    """A connection that packets go back on, in whatever way it frames them."""

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent on it any more."""

    def send(self, packet: bytes) -> None:
        """Send one packet; never waits. A reader that is too slow is dropped."""


class Peer(NamedTuple):
    """A client: an address of UDP, or a connection (``link``) with the address at its other end."""

    host: str
    port: int
    link: Link | None = None

    @property
    def is_connected(self) -> bool:
        """Whether it is at the end of a connection, which is over when that is closed."""
        return self.link is not None

    def at_port(self, port: int | None) -> Peer:
        """The same host at another UDP port; without one, this peer."""
        return Peer(self.host, port) if port else self

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def is_reached(host: str) -> bool:
    """Whether other hosts reach who listens at this address of ours."""
    try:
        return not is_loopback(Peer(host, 0))
    except ValueError:
        return host != "localhost"


def is_loopback(peer: Peer) -> bool:
    """Whether a peer's address is on this machine's loopback network."""
    address = ipaddress.ip_address(peer.host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
