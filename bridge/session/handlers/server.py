"""The server itself."""

from __future__ import annotations

from bridge.osc.addresses import PROTOCOL_VERSION
from bridge.osc.endpoint import Peer
from bridge.osc.table import Call
from bridge.session.desk import Desk


class ServerHandlers:
    """Presence, and the end."""

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

    def quit(self, call: Call, peer: Peer) -> None:
        """End the session."""
        self._desk.notices.done(peer, call.request_tag, call.entry.address)
        self._desk.quit()
