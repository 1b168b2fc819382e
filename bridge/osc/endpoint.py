"""Where OSC comes in: UDP and, on the same port, TCP. Replies go to the packet's source, or back on its connection."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable

from bridge.osc.intake import Intake, PacketHandler
from bridge.osc.peer import Peer, is_loopback
from bridge.osc.tcp import TcpServer
from bridge.osc.wire import Sendable, encode_message
from engine.errors import Busy, OutOfRange

__all__ = ["Address", "OscEndpoint", "Peer", "is_loopback", "open_socket"]

log = logging.getLogger("segue.osc")

RECEIVE_BUFFER_BYTES = 4 << 20  # bursts of controllers and fuzzers must not be lost before they are counted
MOST_UNSENT_BYTES = 1 << 20
PORT_ATTEMPTS = 32  # for a free port that is free for UDP and TCP

Address = tuple[str, int]


def open_socket(host: str, port: int, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
    """A bound, non-blocking socket. ``port`` 0 takes a free one.

    Raises :class:`Busy` when the port is taken and :class:`OutOfRange` for a host that is not this machine's.
    """
    try:
        family, _, protocol, _, address = socket.getaddrinfo(host, port, type=kind)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise OutOfRange(
            f"the host '{host}' has no address; use 127.0.0.1, or an address of this machine"
        ) from error
    sock = socket.socket(family, kind, protocol)
    try:
        if kind is socket.SOCK_DGRAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        if kind is socket.SOCK_STREAM:
            sock.listen(64)
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


def _open_both(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on one port; raises what :func:`open_socket` raises."""
    for attempt in range(PORT_ATTEMPTS):
        udp = open_socket(host, port)
        try:
            return udp, open_socket(host, udp.getsockname()[1], socket.SOCK_STREAM)
        except Busy:
            udp.close()
            if port or attempt == PORT_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


class OscEndpoint(asyncio.DatagramProtocol):
    """Receives packets, drops and counts what is not OSC, and sends replies.

    ``on_gone`` is told the clients whose connections have ended.
    """

    def __init__(self, on_packet: PacketHandler, on_gone: Callable[[Peer], None] = lambda peer: None) -> None:
        self.intake = Intake(on_packet)
        self.tcp = TcpServer(self.intake, on_gone)
        self.sent = 0
        self.unsent = 0
        self._transport: asyncio.DatagramTransport | None = None
        self._own_port = 0

    @property
    def received(self) -> int:
        """Packets since the start."""
        return self.intake.received

    @property
    def malformed(self) -> int:
        """Packets since the start that were not OSC."""
        return self.intake.malformed

    async def listen(self, host: str, port: int, *, tcp: bool = False) -> Address:
        """Open the sockets; returns the address they are bound to. Raises what :func:`open_socket` raises."""
        udp, stream = _open_both(host, port) if tcp else (open_socket(host, port), None)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=udp)
        if stream is not None:
            await self.tcp.listen(stream)
        bound = udp.getsockname()
        self._own_port = int(bound[1])
        return bound[0], bound[1]

    def close(self) -> None:
        """Close the sockets; packets that are still in them are lost."""
        self.tcp.close()
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def send(self, peer: Peer | Address, address: str, *values: Sendable) -> None:
        """Send one message; a peer that is gone is not an error."""
        self.send_packet(peer, encode_message(address, *values))

    def send_packet(self, peer: Peer | Address, packet: bytes) -> None:
        """Send an encoded packet."""
        self.sent += 1
        if isinstance(peer, Peer) and peer.link is not None:
            peer.link.send(packet)
        elif self._transport is not None and not self._transport.is_closing():
            waiting: int = self._transport.get_write_buffer_size()  # type: ignore[attr-defined]
            if waiting > MOST_UNSENT_BYTES:
                self.unsent += 1  # the network takes no more: what is told now would be old when it arrives
                return
            with contextlib.suppress(OSError):
                self._transport.sendto(packet, (peer[0], peer[1]))

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """One packet from the UDP socket."""
        peer = Peer(str(addr[0]), int(addr[1]))
        if peer.port == self._own_port and is_loopback(peer):
            return  # a notice that somebody had us send to ourselves: taken up, it would be told again for ever
        self.intake.take(data, peer)

    def error_received(self, exc: Exception) -> None:
        """An earlier reply could not be delivered: the peer has gone, which its lease will notice."""
        log.debug("a reply was refused: %s", exc)
