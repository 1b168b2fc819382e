"""Taking back what was done."""

from __future__ import annotations

from bridge.osc.endpoint import Peer
from bridge.osc.table import Call
from bridge.session.desk import Desk


class HistoryHandlers:
    """Back and forth."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def undo(self, call: Call, peer: Peer) -> None:
        """One step back."""
        label = self._desk.history.undo()
        self._desk.notices.done(peer, call.request_tag, call.entry.address, label)

    def redo(self, call: Call, peer: Peer) -> None:
        """One step forth."""
        label = self._desk.history.redo()
        self._desk.notices.done(peer, call.request_tag, call.entry.address, label)
