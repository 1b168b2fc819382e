"""Takes into Bitwig Studio's clip launcher, through the OSC of the controller extension DrivenByMoss."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.osc.endpoint import open_socket
from bridge.osc.wire import MalformedPacket, Message, encode_message, parse_packet
from engine.errors import Busy, SegueError

PORT, FEEDBACK_PORT = 8000, 9000  # as DrivenByMoss has them when nobody changes them
PATIENCE_SECONDS = 3.0
HOST = "127.0.0.1"


class BitwigAbsent(SegueError):
    """Nothing answers where DrivenByMoss should."""

    code, slug = 503, "daw_absent"


class BitwigTimeout(SegueError):
    """The clip has not come."""

    code, slug = 504, "daw_timeout"


class SlotTaken(SegueError):
    """A slot that holds a clip already."""

    code, slug = 409, "daw_refused"


class Bitwig:
    """``port``: where DrivenByMoss receives; ``feedback_port``: where it sends to, which is listened to meanwhile."""

    def __init__(
        self, port: int = PORT, feedback_port: int = FEEDBACK_PORT, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._port, self._feedback_port, self._patience = port, feedback_port, patience
        self._turn = asyncio.Lock()

    async def insert(self, path: str, track: int, slot: int) -> None:
        """Put a file into an empty slot (both from 1, within DrivenByMoss's bank); returns when the clip is there.

        Raises :class:`BitwigAbsent`, :class:`BitwigTimeout`, :class:`SlotTaken`, and :class:`Busy` when another
        program listens to the feedback.
        """
        async with self._turn:
            try:
                sock = open_socket(HOST, self._feedback_port)
            except Busy:
                raise Busy(
                    f"port {self._feedback_port}, which DrivenByMoss answers to, is in use by another program; "
                    "close that, or let DrivenByMoss send elsewhere and serve with --bitwig RECEIVES:SENDS"
                ) from None
            loop = asyncio.get_running_loop()
            transport, ear = await loop.create_datagram_endpoint(_Ear, sock=sock)
            try:
                await self._insert(transport, ear, path, track, slot)
            finally:
                transport.close()
                await ear.closed.wait()  # only then the port is free for the next take

    async def _insert(
        self, transport: asyncio.DatagramTransport, ear: _Ear, path: str, track: int, slot: int
    ) -> None:
        clip = f"/track/{track}/clip/{slot}"
        has_content = f"{clip}/hasContent"
        where = (HOST, self._port)
        transport.sendto(encode_message("/refresh", 1), where)
        if not await ear.wait(lambda: has_content in ear.values, self._patience):
            raise BitwigAbsent(
                f"DrivenByMoss tells nothing of slot {slot} of track {track}: open Bitwig Studio, add the controller "
                f"'OSC' of DrivenByMoss (receives {self._port}, sends {self._feedback_port}), and scroll its bank to "
                "that slot"
            )
        if ear.values[has_content]:
            raise SlotTaken(f"slot {slot} of track {track} holds a clip in Bitwig Studio; name an empty one")
        transport.sendto(encode_message(f"{clip}/insertFile", path), where)
        if not await ear.wait(lambda: bool(ear.values.get(has_content)), self._patience):
            raise BitwigTimeout(
                f"Bitwig Studio was given the take but tells of no clip in slot {slot} of track {track}; "
                "is that an audio track?"
            )


class _Ear(asyncio.DatagramProtocol):
    """Keeps the last first argument of every address."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.closed = asyncio.Event()
        self._changed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        """The port has been given back."""
        self.closed.set()

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """One packet of DrivenByMoss."""
        try:
            messages: list[Message] = parse_packet(data)
        except MalformedPacket:
            return
        self.values.update({m.address: m.values[0] for m in messages if m.values})
        self._changed.set()

    async def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Until the condition holds; False when it does not in time."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True
