"""What is heard."""

from __future__ import annotations

from bridge.osc.endpoint import Peer
from bridge.osc.table import Call
from bridge.session.desk import Desk


class SoundHandlers:
    """Silence."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def panic(self, call: Call, peer: Peer) -> None:
        """Silence now; jobs go on."""
        self._desk.player.stop_all()
        self._desk.notices.done(peer, call.request_tag, call.entry.address)
