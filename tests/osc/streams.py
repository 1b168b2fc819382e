"""OSC clients over TCP, framed by python-osc's SLIP and by struct: not by the code under test."""

from __future__ import annotations

import socket
import struct
import time

from pythonosc import slip

from tests.bridge.client import OscClient

END = b"\xc0"


class TcpClient(OscClient):
    """Frames by ``style``: "size", "slip", or "single" (one END, behind each packet)."""

    def __init__(self, port: int, style: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.style = style
        self.received = b""
        self.heard = []
        self.packets = 0

    def frame(self, data: bytes) -> bytes:
        if self.style == "size":
            return struct.pack(">i", len(data)) + data
        framed: bytes = slip.encode(data)
        return framed if self.style == "slip" else framed.lstrip(END)

    def send_raw(self, data: bytes) -> None:
        self.socket.sendall(self.frame(data))

    def receive(self, seconds: float) -> bytes | None:
        deadline = time.monotonic() + max(0.001, seconds)
        while True:
            packet = self._whole()
            if packet is not None:
                return packet
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                return None
            if not data:
                return None
            self.received += data

    def _whole(self) -> bytes | None:
        if self.style == "size":
            if len(self.received) < 4:
                return None
            (size,) = struct.unpack(">i", self.received[:4])
            if len(self.received) < 4 + size:
                return None
            packet, self.received = self.received[4 : 4 + size], self.received[4 + size :]
            return packet
        while self.received.startswith(END + END):
            self.received = self.received[1:]
        end = self.received.find(END, 1)
        if end < 0:
            return None
        framed, self.received = self.received[: end + 1], self.received[end + 1 :]
        return slip.decode(framed)

    def is_closed(self, timeout: float = 10.0) -> bool:
        """Whether the other side ends the connection in time; what comes before is dropped."""
        self.socket.settimeout(timeout)
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True
