"""An OSC client of the tests: a plain UDP socket, python-osc's builder and python-osc's parser."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

Heard = tuple[str, tuple[Any, ...]]


def messages_of(data: bytes) -> list[Heard]:
    """What python-osc reads in a packet, bundles flattened."""
    if OscBundle.dgram_is_bundle(data):
        return [heard for content in OscBundle(data) for heard in messages_of(content.dgram)]
    message = OscMessage(data)
    return [(message.address, tuple(message.params))]


class OscClient:
    """Sends to one port and keeps everything that comes back, in order."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind(("127.0.0.1", 0))
        self.target = ("127.0.0.1", port)
        self.heard: list[Heard] = []
        self.packets = 0

    @property
    def port(self) -> int:
        return self.socket.getsockname()[1]

    def send(self, address: str, *values: Any) -> None:
        builder = OscMessageBuilder(address)
        for value in values:
            builder.add_arg(value)
        self.send_raw(builder.build().dgram)

    def send_typed(self, address: str, *pairs: tuple[str, Any]) -> None:
        builder = OscMessageBuilder(address)
        for tag, value in pairs:
            builder.add_arg(value, tag)
        self.send_raw(builder.build().dgram)

    def send_raw(self, data: bytes) -> None:
        self.socket.sendto(data, self.target)

    def receive(self, seconds: float) -> bytes | None:
        """One packet; None when none came in time."""
        self.socket.settimeout(max(0.001, seconds))
        try:
            return self.socket.recv(65536)
        except TimeoutError:
            return None

    def listen(self, seconds: float) -> bool:
        """Take one packet in; False when none came in time."""
        data = self.receive(seconds)
        if data is None:
            return False
        self.packets += 1
        self.heard += messages_of(data)
        return True

    def wait(self, address: str, *first: Any, timeout: float = 10.0) -> tuple[Any, ...]:
        """Arguments of the first message not yet waited for with this address and these first arguments."""
        deadline = time.monotonic() + timeout
        seen = 0
        while True:
            for index in range(seen, len(self.heard)):
                known, values = self.heard[index]
                if known == address and values[: len(first)] == first:
                    del self.heard[index]
                    return values
            seen = len(self.heard)
            left = deadline - time.monotonic()
            if left <= 0 or not self.listen(left):
                raise AssertionError(f"no {address} {first} within {timeout} s; heard {self.heard}")

    def ask(
        self, address: str, *values: Any, reply: str | None = None, timeout: float = 10.0
    ) -> tuple[Any, ...]:
        """Send, and wait for the answer on ``reply`` (or the same address); what was heard there before is dropped."""
        while self.listen(0.001):
            pass
        self.heard = [entry for entry in self.heard if entry[0] != (reply or address)]
        self.send(address, *values)
        return self.wait(reply or address, timeout=timeout)

    def drain(self, seconds: float = 0.2) -> list[Heard]:
        """Everything that was heard and comes until nothing has come for ``seconds``."""
        while self.listen(seconds):
            pass
        heard, self.heard = self.heard, []
        return heard

    def close(self) -> None:
        self.socket.close()


def prime(client: OscClient, riff: Path) -> None:
    """Send a prime and wait until it is encoded."""
    client.send("/segue/prime/file", str(riff))
    client.wait("/segue/done", "/segue/prime/file")
