"""OSC over TCP: any number of packets on a connection, answered on it (facts/daw.md §1.1).

No client can keep the others waiting: connections take turns, a packet each, for a few milliseconds at a time; what has
not been looked at is left in the socket. A client that does not read, or that begins a packet and does not end it, is
dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections import deque
from collections.abc import Callable

from bridge.osc.framing import Framing, detect
from bridge.osc.intake import Intake
from bridge.osc.peer import Peer
from bridge.osc.wire import MAX_STREAM_PACKET_BYTES, MalformedPacket

log = logging.getLogger("segue.osc")

MAX_CONNECTIONS = 64
READ_BYTES = 1 << 16
MOST_UNSENT_BYTES = 1 << 20
TURN_SECONDS = 0.004
PATIENCE_SECONDS = 10.0  # for the rest of a packet, or the first one
SWEEP_SECONDS = 1.0
KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


class TcpServer:
    """Accepts connections and takes their packets in; ``on_gone`` hears which client's connection has ended."""

    def __init__(self, intake: Intake, on_gone: Callable[[Peer], None]) -> None:
        self.intake = intake
        self.connections: set[TcpConnection] = set()
        self.dropped = 0
        self._on_gone = on_gone
        self._server: asyncio.Server | None = None
        self._turns: deque[TcpConnection] = deque()
        self._working = False
        self._sweep: asyncio.TimerHandle | None = None

    async def listen(self, sock: socket.socket) -> None:
        """Accept connections on a bound socket."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: TcpConnection(self), sock=sock)

    def close(self) -> None:
        """Stop listening and end all connections, what is still to be sent to them included."""
        if self._server is not None:
            self._server.close()
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self.connections):
            connection.end()

    def opened(self, connection: TcpConnection) -> None:
        """A client has connected; when there are too many, the one that has been silent for longest goes."""
        if len(self.connections) >= MAX_CONNECTIONS:
            min(self.connections, key=lambda known: known.heard_at).drop("too many are connected")
        self.connections.add(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._look_for_dawdlers)

    def gone(self, connection: TcpConnection) -> None:
        """A connection has ended; said twice, it is heard once."""
        if connection not in self.connections:
            return
        self.connections.discard(connection)
        self._on_gone(connection.peer)
        connection.let_go()

    def has_work(self, connection: TcpConnection) -> None:
        """Something was received on a connection."""
        if not connection.waiting:
            connection.waiting = True
            self._turns.append(connection)
        if not self._working:  # (not at once: many connections may have something in one round of the loop)
            self._working = True
            asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        """A packet of each connection in turn, until there are none or it is time for other things."""
        until = time.perf_counter() + TURN_SECONDS
        while self._turns and time.perf_counter() < until:
            connection = self._turns.popleft()
            if connection.take_one():
                self._turns.append(connection)
            else:
                connection.waiting = False
                connection.nothing_left()
        self._working = bool(self._turns)
        if self._working:
            for connection in self._turns:
                connection.pause()
            asyncio.get_running_loop().call_soon(self._work)

    def _look_for_dawdlers(self) -> None:
        self._sweep = None
        now = time.monotonic()
        for connection in list(self.connections):
            if connection.owes_since is not None and now - connection.owes_since > PATIENCE_SECONDS:
                connection.drop(f"no whole packet came for {PATIENCE_SECONDS:.0f} s")
        if self.connections:
            self._sweep = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._look_for_dawdlers)


class TcpConnection(asyncio.BufferedProtocol):
    """One client. ``owes_since``: since when the rest of a packet, or the first one, is awaited."""

    def __init__(self, server: TcpServer) -> None:
        self.peer = Peer("", 0, self)
        self.heard_at = time.monotonic()
        self.owes_since: float | None = self.heard_at
        self.waiting = False
        self._server = server
        self._framing: Framing | None = None
        self._received = bytearray()
        self._buffer = bytearray(READ_BYTES)
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._complete = False

    @property
    def closed(self) -> bool:
        """See :class:`~bridge.osc.peer.Link`."""
        return self._transport is None or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        host, port = transport.get_extra_info("peername")[:2]
        self.peer = Peer(str(host), int(port), self)
        sock = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in KEEPALIVE:
                if hasattr(socket, name):
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._server.opened(self)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where the next bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come."""
        self._received += memoryview(self._buffer)[:nbytes]
        if self.owes_since is None:
            self.owes_since = time.monotonic()
        self._server.has_work(self)

    def eof_received(self) -> bool:
        """The client has said all: what it sent is still carried out and answered, then the connection ends."""
        self._complete = True
        if not self.waiting:
            self.end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended; whole packets that came before are still carried out."""
        self._complete = True
        if not self.waiting:
            self._server.gone(self)

    def let_go(self) -> None:
        """Hold on to nothing any more: what refers to itself, with its buffers, waits for a search for garbage."""
        self._transport = None
        self._buffer, self._received = bytearray(), bytearray()
        self.peer = Peer(self.peer.host, self.peer.port)

    def take_one(self) -> bool:
        """Carry out the first packet that was received; False when there is no whole one."""
        try:
            if self._framing is None:
                if not self._received:
                    return False
                self._framing = detect(self._received[0])
            packet = self._framing.next(self._received)
        except MalformedPacket as problem:
            self._server.intake.refuse(self.peer, problem)
            self._received.clear()
            self.drop(str(problem))
            return False
        if packet is None:
            if not self._received:
                self.owes_since = None
            return False
        self.heard_at = time.monotonic()
        self.owes_since = self.heard_at if self._received else None
        self._server.intake.take(packet, self.peer, MAX_STREAM_PACKET_BYTES)
        return True

    def pause(self) -> None:
        """Leave what comes in the socket."""
        if not self._paused and not self.closed and self._transport is not None:
            self._transport.pause_reading()
            self._paused = True

    def nothing_left(self) -> None:
        """Every packet was carried out: read on, or end when there will be no more."""
        if self.closed:
            self._received.clear()
            self._server.gone(self)
        elif self._complete:
            self.end()
        elif self._paused and self._transport is not None:
            self._transport.resume_reading()
            self._paused = False

    def send(self, packet: bytes) -> None:
        """See :class:`~bridge.osc.peer.Link`."""
        if self.closed or self._transport is None or self._framing is None:
            return
        if self._transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            self.drop("it does not read what it is sent")
            return
        self._transport.write(self._framing.wrap(packet))

    def drop(self, why: str) -> None:
        """End the connection at once."""
        if not self.closed and self._transport is not None:
            log.info("the connection of %s is dropped: %s", self.peer, why)
            self._server.dropped += 1
            self._transport.abort()

    def end(self) -> None:
        """Send what is still to be sent, then end the connection."""
        if self._transport is not None:
            self._transport.close()
