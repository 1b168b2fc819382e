"""The UDP endpoint: one socket, strict parsing, replies to the packet's source address."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
import time
from collections.abc import Callable

from bridge.osc.wire import MalformedPacket, Message, encode_message, parse_packet
from engine.errors import Busy, OutOfRange

log = logging.getLogger("segue.osc")

RECEIVE_BUFFER_BYTES = 4 << 20  # bursts of controllers and fuzzers must not be lost before they are counted
LOG_INTERVAL_SECONDS = 5.0

Peer = tuple[str, int]
PacketHandler = Callable[[list[Message], Peer], None]


def is_loopback(peer: Peer) -> bool:
    """Whether a peer's address is on this machine's loopback network."""
    host = peer[0].partition("%")[0]
    return ipaddress.ip_address(host).is_loopback


def open_socket(host: str, port: int) -> socket.socket:
    """A bound, non-blocking UDP socket. ``port`` 0 takes a free one.

    Raises :class:`Busy` when the port is taken and :class:`OutOfRange` for a host that is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    except socket.gaierror as error:
        raise OutOfRange(
            f"the host '{host}' has no address; use 127.0.0.1, or an address of this machine"
        ) from error
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        sock.bind(address)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise Busy(
                f"port {port} is in use, perhaps by another Segue; quit it or use --port with another number"
            ) from error
        raise OutOfRange(
            f"cannot listen on {host}:{port} ({error.strerror}); use 127.0.0.1 and a port above 1023"
        ) from error
    sock.setblocking(False)
    return sock


class OscEndpoint(asyncio.DatagramProtocol):
    """Receives packets, drops and counts what is not OSC, and sends replies.

    ``received`` and ``malformed`` count packets since the start.
    """

    def __init__(self, on_packet: PacketHandler) -> None:
        self.received = 0
        self.malformed = 0
        self._on_packet = on_packet
        self._transport: asyncio.DatagramTransport | None = None
        self._logged_at = -LOG_INTERVAL_SECONDS
        self._logged_count = 0

    async def listen(self, host: str, port: int) -> Peer:
        """Open the socket; returns the address it is bound to. Raises what :func:`open_socket` raises."""
        sock = open_socket(host, port)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=sock)
        bound = sock.getsockname()
        return bound[0], bound[1]

    def close(self) -> None:
        """Close the socket; packets that are still in it are lost."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def send(self, peer: Peer, address: str, *values: int | float | str) -> None:
        """Send one message; a peer that is gone is not an error (UDP)."""
        if self._transport is not None and not self._transport.is_closing():
            with contextlib.suppress(OSError):
                self._transport.sendto(encode_message(address, *values), peer)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """One packet from the socket."""
        self.received += 1
        peer = (str(addr[0]), int(addr[1]))
        try:
            messages = parse_packet(data)
        except MalformedPacket as problem:
            self._count_malformed(peer, problem)
            return
        self._on_packet(messages, peer)

    def error_received(self, exc: Exception) -> None:
        """An earlier reply could not be delivered: the peer has gone, which its lease will notice."""
        log.debug("a reply was refused: %s", exc)

    def _count_malformed(self, peer: Peer, problem: MalformedPacket) -> None:
        self.malformed += 1
        now = time.monotonic()
        if now - self._logged_at >= LOG_INTERVAL_SECONDS:
            count = self.malformed - self._logged_count
            log.warning(
                "%d packet(s) dropped that are not OSC; the last from %s:%d: %s", count, *peer, problem
            )
            self._logged_at, self._logged_count = now, self.malformed
