"""The server itself."""

from __future__ import annotations

from bridge.osc.addresses import PROTOCOL_VERSION
from bridge.osc.endpoint import Peer
from bridge.osc.table import Call
from bridge.session.desk import Desk


class ServerHandlers:
    """Presence, subscriptions, and the end."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def test(self, call: Call, peer: Peer) -> None:
        """Is anybody there?"""
        self._desk.notices.reply(peer, call.entry.address, "ok")

    def version(self, call: Call, peer: Peer) -> None:
        """Name, version, protocol, commit."""
        number, commit = self._desk.version
        self._desk.notices.reply(peer, "/segue/version.reply", "segue", number, PROTOCOL_VERSION, commit)

    def status(self, call: Call, peer: Peer) -> None:
        """What the session does."""
        self._desk.notices.reply(peer, "/segue/status.reply", *self._desk.status())

    def notify(self, call: Call, peer: Peer) -> None:
        """Subscribe, renew, or leave."""
        on, port, lease = (*call.values, None, None)[:3]
        subscribers, notices = self._desk.subscribers, self._desk.notices
        if not on:
            number = subscribers.remove(peer)
            notices.done(peer, call.request_tag, call.entry.address, number, 0)
            return
        number, seconds = subscribers.add(peer, int(port) if port else None, int(lease) if lease else None)
        notices.done(peer, call.request_tag, call.entry.address, number, seconds)
        self._tell_everything((peer[0], int(port or peer[1])))

    def _tell_everything(self, target: Peer) -> None:
        """Current values for a new subscriber."""
        desk = self._desk
        desk.properties.tell_all(target)
        desk.primes.announce(target)
        desk.jobs.announce_all(target)
        desk.notices.reply(target, "/segue/state", str(desk.status()[0]))

    def sync(self, call: Call, peer: Peer) -> None:
        """Answer once the client's earlier requests have ended."""
        pending = self._desk.primes.pending_of(peer)

        async def answer() -> None:
            for prime in pending:
                await prime.settled.wait()
            self._desk.notices.reply(peer, "/segue/synced", call.values[0])

        self._desk.spawn(answer())

    def quit(self, call: Call, peer: Peer) -> None:
        """End the session."""
        self._desk.notices.done(peer, call.request_tag, call.entry.address)
        self._desk.quit()
