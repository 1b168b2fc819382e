"""The HTTP and WebSocket server of OSCQuery: one port, one library, no state but who listens (facts/daw.md §1.8)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from bridge.osc.endpoint import Address, open_socket
from bridge.osc.intake import Intake
from bridge.osc.peer import Peer
from bridge.osc.wire import MAX_STREAM_PACKET_BYTES
from bridge.query.guard import may_ask, own_names
from bridge.query.tree import ATTRIBUTES, Tree
from engine.errors import Busy, SegueError

log = logging.getLogger("segue.query")

DEFAULT_PORT = 19771
MAX_CONNECTIONS = 32
MOST_UNSENT = 4_096  # packets
MOST_COMMAND_CHARACTERS = 1_024
NAME = "Segue"

Listen = Callable[[Peer, str, bool], None]


class WebSocketLink:
    """A WebSocket that OSC packets go back on; one that is read too slowly is closed."""

    def __init__(self, connection: ServerConnection) -> None:
        self.closed = False
        self._connection = connection
        self._unsent: deque[bytes | str] = deque()
        self._more = asyncio.Event()

    def send(self, packet: bytes | str) -> None:
        """See :class:`~bridge.osc.peer.Link`; text goes as text."""
        if self.closed:
            return
        if len(self._unsent) >= MOST_UNSENT:
            self.closed = True
            self._connection.transport.abort()
            return
        self._unsent.append(packet)
        self._more.set()

    async def write(self) -> None:
        """Send what is to be sent, until the connection ends."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._more.wait()
                self._more.clear()
                while self._unsent:
                    await self._connection.send(self._unsent.popleft())


class QueryServer:
    """Serves the tree, and takes OSC in over WebSockets like the OSC port does.

    ``listen(peer, path, on)`` begins or ends to tell a client of an address; it raises :class:`SegueError` for one that
    is not told. ``gone`` hears which client has left.
    """

    def __init__(self, tree: Tree, intake: Intake, listen: Listen, gone: Callable[[Peer], None]) -> None:
        self._tree = tree
        self._intake = intake
        self._listen = listen
        self._gone = gone
        self._links: set[WebSocketLink] = set()
        self._server: Server | None = None
        self._names: frozenset[str] = frozenset()
        self._osc: Address = ("", 0)
        self.address: Address | None = None

    async def start(self, host: str, port: int, osc: Address) -> Address:
        """Listen; ``osc``: where OSC itself is. Returns the address. Raises :class:`Busy` for a port that is taken."""
        try:
            sock = open_socket(host, port, socket.SOCK_STREAM)
        except Busy as error:
            raise Busy(f"port {port} is in use; use --query-port with another number, or none") from error
        self._names, self._osc = own_names(host), osc
        self.address = sock.getsockname()[:2]
        self._server = await serve(
            self._client,
            sock=sock,
            process_request=self._answer,
            compression=None,
            max_size=MAX_STREAM_PACKET_BYTES,
            max_queue=16,
            open_timeout=10,
            close_timeout=1,
            server_header=None,
            logger=logging.getLogger("segue.query.websockets"),
        )
        assert self.address is not None
        return self.address

    async def stop(self) -> None:
        """Close all connections."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def path_changed(self, path: str) -> None:
        """Tell all WebSocket clients that a node has another shape now."""
        for link in self._links:
            link.send(json.dumps({"COMMAND": "PATH_CHANGED", "DATA": path}))

    # -- HTTP ----------------------------------------------------------------------------------------------

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a plain request; None lets a WebSocket be opened."""
        headers = request.headers
        if not may_ask(_only(headers.get_all("Host")), _only(headers.get_all("Origin")), self._names):
            return connection.respond(HTTPStatus.FORBIDDEN, "this page may not talk to Segue\n")
        if headers.get("Upgrade", "").lower() == "websocket":
            if len(self._links) >= MAX_CONNECTIONS:
                return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many are connected\n")
            return None
        status, body = self.get(request.path)
        response = connection.respond(status, "" if body is None else json.dumps(body))
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "application/json"
        response.headers["Cache-Control"] = "no-store"
        return response

    def get(self, target: str) -> tuple[HTTPStatus, object | None]:
        """Status and JSON for a path with its query."""
        try:
            parts = urlsplit(target)
        except ValueError:
            return HTTPStatus.BAD_REQUEST, None
        path = unquote(parts.path).rstrip("/") or "/"
        attribute = parts.query.partition("=")[0]
        if attribute == "HOST_INFO":
            return HTTPStatus.OK, self.host_info()
        node = self._tree.node(path)
        if node is None:
            return HTTPStatus.NOT_FOUND, None
        if not attribute:
            return HTTPStatus.OK, node
        if attribute not in ATTRIBUTES:
            return HTTPStatus.BAD_REQUEST, None
        if attribute not in node:
            return HTTPStatus.NO_CONTENT, None
        return HTTPStatus.OK, {attribute: node[attribute]}

    def host_info(self) -> dict[str, object]:
        """What a client needs to know first."""
        extensions = dict.fromkeys(
            ("ACCESS", "VALUE", "RANGE", "DESCRIPTION", "UNIT", "OVERLOADS", "LISTEN", "PATH_CHANGED"), True
        )
        info: dict[str, object] = {
            "NAME": NAME,
            "EXTENSIONS": extensions,
            "OSC_PORT": self._osc[1],
            "OSC_TRANSPORT": "UDP",
        }
        if self._osc[0] not in ("0.0.0.0", "::"):  # then it is where the client has found this
            info["OSC_IP"] = self._osc[0]
        if self.address is not None:
            info["WS_PORT"] = self.address[1]
        return info

    # -- WebSocket -----------------------------------------------------------------------------------------

    async def _client(self, connection: ServerConnection) -> None:
        host, port = connection.remote_address[:2]
        link = WebSocketLink(connection)
        peer = Peer(str(host), int(port), link)
        writer = asyncio.create_task(link.write())
        self._links.add(link)
        try:
            async for message in connection:
                if isinstance(message, str):
                    self._command(message, peer)
                else:
                    self._intake.take(bytes(message), peer, MAX_STREAM_PACKET_BYTES)
                await asyncio.sleep(0)  # others have their turn, however many messages are there already
        except ConnectionClosed:
            pass
        finally:
            link.closed = True
            self._links.discard(link)
            writer.cancel()
            self._gone(peer)

    def _command(self, text: str, peer: Peer) -> None:
        """``{"COMMAND": "LISTEN" | "IGNORE", "DATA": path}``; anything else is ignored, as the proposal wants it."""
        if len(text) > MOST_COMMAND_CHARACTERS:
            return
        try:
            command = json.loads(text)
            what, path = command["COMMAND"], command["DATA"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return
        if what in ("LISTEN", "IGNORE") and isinstance(path, str):
            try:
                self._listen(peer, path, what == "LISTEN")
            except SegueError as error:
                log.info("%s %s of %s: %s", what, path[:80], peer, error.message)


def _only(values: list[str]) -> str | None:
    """A header that is there once; one that is there twice is nobody's."""
    if len(values) > 1:
        return ""
    return values[0] if values else None
