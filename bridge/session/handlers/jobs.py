"""Jobs."""

from __future__ import annotations

from bridge.osc.endpoint import Peer
from bridge.osc.table import Call
from bridge.session.desk import Desk
from bridge.session.jobs import ADDRESS as GENERATE
from bridge.session.jobs import Job
from engine.errors import NoPrime


class JobHandlers:
    """Asking for takes and calling them off."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def generate(self, call: Call, peer: Peer) -> None:
        """Continue the prime as is chosen now."""
        desk = self._desk
        desk.engine_ready()
        prime = desk.primes.current
        if prime is None:
            raise NoPrime("there is no prime yet; send /segue/prime/file with the path of a riff first")
        chosen = desk.choosing.now
        job = Job(
            id=desk.jobs.new_id(),
            settings=chosen.settings,
            seconds=float(call.values[0]) if call.values else None,
            style=chosen.style.style,
            prime=prime,
            requester=peer,
            request_tag=call.request_tag,
            lyrics=chosen.lyrics.text,
        )
        desk.notices.done(peer, call.request_tag, GENERATE, job.id)
        desk.jobs.add(job)
        desk.choosing.change(settings=chosen.settings.after_job())

    def cancel(self, call: Call, peer: Peer) -> None:
        """Call a job off."""
        job = self._desk.jobs.cancel(str(call.values[0]) if call.values else None)
        self._desk.notices.done(peer, call.request_tag, call.entry.address, job)
