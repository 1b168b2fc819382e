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
        desk = self._desk
        if call.values:
            settings = desk.choosing.now.settings.with_value(call.entry.arguments[0].name, call.values[0])
            desk.choosing.change(told=call.entry.address, settings=settings)
        desk.properties.answer(call, peer)
