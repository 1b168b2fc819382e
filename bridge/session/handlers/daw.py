"""DAWs: takes go in, primes come out."""

from __future__ import annotations

from bridge.osc.endpoint import Peer, is_loopback
from bridge.osc.table import Call
from bridge.session.daws import LEASE_SECONDS
from bridge.session.desk import Desk
from bridge.session.entries import TakeEntry
from bridge.session.handlers.jobs import ask, seed_was_used
from bridge.session.handlers.prime import submit
from bridge.session.jobs import TERMINAL
from bridge.session.notices import Sendable
from bridge.session.primes import absolute_path
from bridge.session.sources import FromPrime
from engine.errors import SegueError
from engine.request import PrimeRef

SEND = "/segue/send"


class DawHandlers:
    """Sending takes, and what scripts in DAWs say."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._expected: dict[str, str] = {}  # the DAW that waits for the takes of a job
        desk.notices.taps.append(self._hear)

    def send_take(self, call: Call, peer: Peer) -> None:
        """Put a take into a DAW."""
        daws = self._desk.stage.daws
        take = self._desk.takes.find(call.values[0])
        daw, track, slot = str(call.values[1]), *(int(value) for value in (*call.values[2:], 0, 0)[:2])
        if daw != "bitwig":
            daws.find(daw)
        self._desk.spawn(self._send(take, daw, track, slot, peer, call.request_tag), peer)

    async def _send(self, take: TakeEntry, daw: str, track: int, slot: int, peer: Peer, tag: str) -> None:
        notices = self._desk.notices
        try:
            await self._desk.stage.daws.send(take, daw, track, slot)
        except SegueError as error:
            notices.fail(peer, tag, SEND, error)
            return
        notices.done(peer, tag, SEND, take.number, daw)

    def daws(self, call: Call, peer: Peer) -> None:
        """Which are there."""
        hosts = self._desk.stage.daws.hosts
        for daw, host in hosts.items():
            self._desk.notices.reply(peer, "/segue/daws.item", daw, host.version)
        self._desk.notices.reply(peer, "/segue/daws.end", len(hosts))

    def daw_grab(self, call: Call, peer: Peer) -> None:
        """Ask for what is selected."""
        daw, generate = str(call.values[0]), int((*call.values[1:], 0)[0])
        host = self._desk.stage.daws.find(daw)
        self._desk.notices.reply(host.peer, "/segue/daw/grabbing", generate)
        self._desk.notices.done(peer, call.request_tag, call.entry.address, daw)

    def daw_here(self, call: Call, peer: Peer) -> None:
        """A script is there."""
        daw, version = (str(value) for value in (*call.values, "")[:2])
        self._desk.stage.daws.here(daw, version, peer)
        self._desk.notices.done(peer, call.request_tag, call.entry.address, LEASE_SECONDS)

    def daw_prime(self, call: Call, peer: Peer) -> None:
        """A clip becomes the prime, and is continued if that is wished."""
        desk = self._desk
        desk.engine_ready()
        daw, path = str(call.values[0]), absolute_path(str(call.values[1]))
        start, length, bpm, end = (float(value) for value in call.values[2:6])
        ref = PrimeRef(path=path, start_seconds=start, length_seconds=length or None)
        asker = self._script_of(daw, peer)
        prime = desk.primes.take(ref, asker, call.request_tag, call.entry.address)
        prime.tempo, prime.end_seconds = bpm or None, None if end < 0 else end
        desk.stage.daws.mark(ref, daw, str(call.values[6]))
        submit(desk, prime, peer)
        if call.values[7:] and call.values[7]:
            job = ask(
                desk,
                FromPrime(prime, desk.stage.launching.chosen),
                asker,
                call.request_tag,
                "/segue/generate",
            )
            self._expected[job] = daw
            seed_was_used(desk)

    def _script_of(self, daw: str, peer: Peer) -> Peer:
        """Who is answered: the script that hears, where a part of it that does not has sent this (Ardour's actions)."""
        host = self._desk.stage.daws.hosts.get(daw)
        return host.peer if host is not None and is_loopback(peer) else peer

    def daw_imported(self, call: Call, peer: Peer) -> None:
        """A take is there."""
        self._desk.stage.daws.answered(int(call.values[0]))

    def daw_refused(self, call: Call, peer: Peer) -> None:
        """A take cannot be."""
        self._desk.stage.daws.answered(int(call.values[0]), str(call.values[1]) or "it does not say why")

    def _bring(self, take: TakeEntry, daw: str) -> None:
        """Send a take to the DAW that has asked for it."""
        try:
            host = self._desk.stage.daws.find(daw)
            self._desk.spawn(self._send(take, daw, 0, 0, host.peer, ""))
        except SegueError as error:
            self._desk.notices.publish("/segue/error", f"{take.name} is made, but {error.message}")

    def _hear(self, address: str, values: tuple[Sendable, ...]) -> None:
        """Takes of a job that a DAW waits for go there as soon as they are made."""
        if address == "/segue/take" and self._expected:
            take = self._desk.takes.find(values[0])
            daw = self._expected.get(take.job)
            if daw is not None:
                self._bring(take, daw)
        elif address == "/segue/job" and values[1] in TERMINAL:
            self._expected.pop(str(values[0]), None)
