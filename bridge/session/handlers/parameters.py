"""Parameters of the next request."""

from __future__ import annotations

from bridge.osc.endpoint import Peer
from bridge.osc.table import Call
from bridge.session.desk import Desk


class ParameterHandlers:
    """``/segue/param/*``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def parameter(self, call: Call, peer: Peer) -> None:
        """Set one, with those that follow from it; or read it."""
        choosing = self._desk.choosing
        if not call.values:
            self._desk.properties.reply(call, peer)
            return
        settings = choosing.now.settings.with_value(call.entry.arguments[0].name, call.values[0])
        choosing.change(told=call.entry.address, also=peer, settings=settings)
