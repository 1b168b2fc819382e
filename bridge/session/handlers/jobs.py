"""Jobs."""

from __future__ import annotations

from collections.abc import Callable

from bridge.osc.endpoint import Peer
from bridge.osc.table import Call
from bridge.session.desk import Desk
from bridge.session.entries import TakeEntry
from bridge.session.jobs import Job
from bridge.session.settings import fresh_seed
from bridge.session.sources import FromPrime, FromTake, Source, continued, retried, upsampled
from engine.errors import NoPrime
from engine.host.protocol import Ready
from engine.request import Request


def ask(
    desk: Desk, source: Source, peer: Peer, request_tag: str, address: str, at_ns: int | None = None
) -> str:
    """Queue a job, and tell who asked; returns its name. Raises :class:`QueueFull`."""
    name = desk.jobs.new_id()
    launched = desk.stage.launching.on_grid(name, source, at_ns)
    desk.notices.done(peer, request_tag, address, name)
    desk.jobs.add(Job(name, launched, peer, request_tag, address))
    return name


def seed_was_used(desk: Desk) -> None:
    """The next job has a new seed, unless it is locked."""
    choosing = desk.choosing
    choosing.change(step=False, settings=choosing.now.settings.after_job())


class JobHandlers:
    """Asking for takes and calling them off."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def generate(self, call: Call, peer: Peer) -> None:
        """Continue the prime as is chosen now."""
        self._desk.engine_ready()
        prime = self._desk.primes.current
        if prime is None:
            raise NoPrime("there is no prime yet; send /segue/prime/file with the path of a riff first")
        seconds = float(call.values[0]) if call.values else None
        self._ask(call, peer, FromPrime(prime, self._desk.stage.launching.chosen, seconds))
        self._seed_was_used()

    def continue_take(self, call: Call, peer: Peer) -> None:
        """Continue a take as is chosen now."""
        seconds, at = (float(value) or None for value in (*call.values[1:], 0.0, 0.0)[:2])
        chosen = self._desk.stage.launching.chosen

        def make(take: TakeEntry, ready: Ready) -> Request:
            frames = None if at is None else max(1, round(at * take.rate))
            return continued(take, ready, chosen, seconds=seconds, frames=frames)

        self._of_take(call, peer, make, chosen.settings.takes)
        self._seed_was_used()

    def retry_take(self, call: Call, peer: Peer) -> None:
        """Make a take again with another seed."""
        seed = int(call.values[1]) if call.values[1:] else fresh_seed()
        self._of_take(call, peer, lambda take, ready: retried(take, seed))

    def upsample_take(self, call: Call, peer: Peer) -> None:
        """Sample the finer levels of a take."""
        level = int(call.values[1]) if call.values[1:] else 0
        self._of_take(call, peer, lambda take, ready: upsampled(take, level))

    def _of_take(
        self, call: Call, peer: Peer, make: Callable[[TakeEntry, Ready], Request], takes: int = 1
    ) -> None:
        ready = self._desk.engine_ready()
        take = self._desk.takes.find(call.values[0])
        make(take, ready)  # what cannot be made is refused at once
        self._ask(call, peer, FromTake(lambda: take, make, takes))

    def _ask(self, call: Call, peer: Peer, source: Source) -> None:
        ask(self._desk, source, peer, call.request_tag, call.entry.address, call.at_ns)

    def _seed_was_used(self) -> None:
        seed_was_used(self._desk)

    def cancel(self, call: Call, peer: Peer) -> None:
        """Call a job off."""
        self._cancel(call, peer, keep=False)

    def cancel_keep(self, call: Call, peer: Peer) -> None:
        """Call a job off and keep what was made of it; it is not played any more."""
        self._cancel(call, peer, keep=True)

    def _cancel(self, call: Call, peer: Peer, keep: bool) -> None:
        desk = self._desk
        job = desk.jobs.cancel(str(call.values[0]) if call.values else None, keep=keep)
        desk.player.drop(job)
        desk.notices.done(peer, call.request_tag, call.entry.address, job)
