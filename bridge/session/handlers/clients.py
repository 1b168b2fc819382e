"""Who is told what, when all is done, and what goes on inside."""

from __future__ import annotations

from bridge.osc.peer import Peer
from bridge.osc.table import Call
from bridge.session.desk import Desk
from engine.errors import QueueFull

MOST_SYNCS = 64


class ClientHandlers:
    """Subscriptions, dumps and synchronisation."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._syncs = 0

    def notify(self, call: Call, peer: Peer) -> None:
        """Subscribe, renew, or leave."""
        on, port, lease = (*call.values, None, None)[:3]
        subscribers, notices = self._desk.subscribers, self._desk.notices
        if not on:
            number = subscribers.remove(peer)
            notices.done(peer, call.request_tag, call.entry.address, number, 0)
            return
        target = peer.at_port(int(port) if port else None)
        number, seconds = subscribers.add(peer, int(port) if port else None, int(lease) if lease else None)
        notices.done(peer, call.request_tag, call.entry.address, number, seconds)
        self._tell_everything(target)

    def listen(self, call: Call, peer: Peer) -> None:
        """Begin or end to tell a client of what a pattern reaches."""
        desk = self._desk
        found = desk.listening.set(peer, str(call.values[0]), bool(call.values[1]))
        desk.notices.done(peer, call.request_tag, call.entry.address, len(found))
        if call.values[1]:
            desk.listening.tell(peer, found)

    def refresh(self, call: Call, peer: Peer) -> None:
        """Everything, in bundles."""
        notices = self._desk.notices
        with notices.bundled(peer) as values:
            self._tell_everything(peer)
        notices.reply(peer, "/segue/refresh.end", len(values))

    def sync(self, call: Call, peer: Peer) -> None:
        """Answer once the client's earlier requests have ended."""
        desk = self._desk
        pending = desk.pending_of(peer)
        if not pending:
            desk.notices.reply(peer, "/segue/synced", call.values[0])
            return
        if self._syncs >= MOST_SYNCS:
            raise QueueFull(f"{MOST_SYNCS} answers to /segue/sync are waited for; wait for one of them")

        async def answer() -> None:
            try:
                for wait in pending:
                    await wait()
            finally:
                self._syncs -= 1
            desk.notices.reply(peer, "/segue/synced", call.values[0])

        desk.spawn(answer())
        self._syncs += 1

    def debug_dump(self, call: Call, peer: Peer) -> None:
        """Show packets, or not."""
        self._desk.inside.dump(int(call.values[0]))
        self._desk.notices.done(peer, call.request_tag, call.entry.address)

    def debug_pauses(self, call: Call, peer: Peer) -> None:
        """Watch the loop, and say what was seen."""
        inside = self._desk.inside
        if call.values:
            inside.watch(bool(call.values[0]))
        self._desk.notices.reply(
            peer, "/segue/debug/pauses.reply", *inside.seen(), len(self._desk.subscribers)
        )

    def _tell_everything(self, target: Peer) -> None:
        """Current values for a client that knows none."""
        desk = self._desk
        desk.properties.tell_all(target)
        desk.primes.announce(target)
        desk.jobs.announce_all(target)
        desk.notices.reply(target, "/segue/state", str(desk.status()[0]))
        for sentence in desk.problems():
            desk.notices.reply(target, "/segue/error", sentence)
