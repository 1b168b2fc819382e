"""What is continued."""

from __future__ import annotations

import asyncio

from bridge.osc.endpoint import Peer, is_loopback
from bridge.osc.table import Call
from bridge.session.desk import Desk
from bridge.session.primes import Prime, absolute_path, allowed_path
from engine.errors import OutOfRange, SegueError
from engine.request import MAX_BPM, MIN_BPM, PrimeRef


def submit(desk: Desk, prime: Prime, peer: Peer) -> None:
    """Have a prime read. Other hosts reach the folders only that are open to them."""
    if is_loopback(peer):
        desk.primes.submit(prime)
        return

    async def check_then_submit() -> None:
        try:
            real = await asyncio.to_thread(allowed_path, prime.ref.path, desk.roots)
            prime.ref = prime.ref.model_copy(update={"path": real})
            desk.primes.submit(prime)
        except SegueError as error:
            desk.primes.settle(prime, error)

    desk.spawn(check_then_submit())


class PrimeHandlers:
    """Taking a prime and forgetting it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def prime_file(self, call: Call, peer: Peer) -> None:
        """A file, or a span of it."""
        desk = self._desk
        desk.engine_ready()
        path, start, length, bpm = (*call.values, 0.0, 0.0, 0.0)[:4]
        if bpm and not MIN_BPM <= float(bpm) <= MAX_BPM:
            raise OutOfRange(
                f"the tempo is {float(bpm):g} bpm; it must be 0 (as heard) or from {MIN_BPM:g} to {MAX_BPM:g}"
            )
        ref = PrimeRef(
            path=absolute_path(str(path)), start_seconds=float(start), length_seconds=float(length) or None
        )
        prime = desk.primes.take(ref, peer, call.request_tag)
        prime.tempo = float(bpm) or None
        submit(desk, prime, peer)

    def prime_capture(self, call: Call, peer: Peer) -> None:
        """The last bars of the input."""
        bars = float(call.values[0]) if call.values else None
        self._desk.stage.capturing.capture_bars(bars, peer, call.request_tag, call.entry.address)

    def prime_capture_seconds(self, call: Call, peer: Peer) -> None:
        """The last seconds of the input."""
        seconds = float(call.values[0])
        self._desk.stage.capturing.capture_seconds(seconds, peer, call.request_tag, call.entry.address)

    def input_device(self, call: Call, peer: Peer) -> None:
        """Choose the input, or name it."""
        desk = self._desk
        if not call.values:
            desk.properties.reply(call, peer)
            return

        name, channel = (*call.values, 1)[:2]

        async def change() -> None:
            try:
                await desk.stage.capturing.open(str(name).strip(), int(channel))
                desk.properties.reply(call, peer)
            except SegueError as error:
                desk.notices.fail(peer, call.request_tag, call.entry.address, error)

        desk.spawn(change(), peer)

    def prime_take(self, call: Call, peer: Peer) -> None:
        """A take, or the beginning of it."""
        desk = self._desk
        take = desk.takes.find(call.values[0])
        at = float(call.values[1]) if call.values[1:] else 0.0
        frames = max(1, round(at * take.rate)) if at else None
        desk.primes.go_on_from(take, frames, peer, call.request_tag, call.entry.address)

    def prime_clear(self, call: Call, peer: Peer) -> None:
        """Forget the prime."""
        self._desk.primes.clear()
        self._desk.notices.done(peer, call.request_tag, call.entry.address)
        self._desk.primes.announce()
