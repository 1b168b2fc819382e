"""A client of a running session, for commands: a UDP socket that waits for answers."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

from bridge.osc.wire import Message, Sendable, encode_message, parse_packet
from engine.errors import OutOfRange

LONGEST_WAIT_SECONDS = 3600.0


class Client:
    """Raises :class:`OutOfRange` for an address that there cannot be."""

    def __init__(self, host: str, port: int) -> None:
        try:
            family, kind, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        except (OSError, OverflowError) as error:
            raise OutOfRange(f"{host}:{port} is no address; use a host like 127.0.0.1 and a port") from error
        self._target = target
        self._socket = socket.socket(family, kind)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, address: str, *values: Sendable) -> None:
        """Send one message."""
        self._socket.sendto(encode_message(address, *values), self._target)

    def heard(self, seconds: float) -> Iterator[Message]:
        """What comes within ``seconds``; ends early where nobody listens at the other end."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(min(left, LONGEST_WAIT_SECONDS))
            try:
                yield from parse_packet(self._socket.recv(65536))
            except TimeoutError:
                continue
            except ConnectionError:
                return
