"""The model that makes the music."""

from __future__ import annotations

import asyncio

from bridge.osc.endpoint import Peer, is_loopback
from bridge.osc.table import Call
from bridge.session.desk import Desk
from engine.errors import PathNotAllowed, SegueError


class ModelHandlers:
    """Listing models and loading another one."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def model(self, call: Call, peer: Peer) -> None:
        """Load a model, or say which is loaded. Other hosts may name those that are here, but no folders."""
        desk = self._desk
        if not call.values:
            desk.properties.reply(call, peer)
            return
        desk.models.require_free()
        name = str(call.values[0])

        def check() -> None:
            if not is_loopback(peer) and name not in (known := desk.models.catalogue.names()):
                raise PathNotAllowed(f"'{name}' is no model's name; other hosts may load {', '.join(known)}")
            desk.models.catalogue.require(name)

        async def check_then_begin() -> None:
            try:
                await asyncio.to_thread(check)
                desk.models.begin(name, peer, call.request_tag)
            except SegueError as error:
                desk.notices.fail(peer, call.request_tag, call.entry.address, error)

        desk.spawn(check_then_begin())

    def models(self, call: Call, peer: Peer) -> None:
        """What can be loaded by name."""

        async def answer() -> None:
            names = await asyncio.to_thread(self._desk.models.catalogue.names)
            for number, name in enumerate(names, start=1):
                state = self._desk.models.state(name)
                self._desk.notices.reply(peer, "/segue/models.item", number, name, state)
            self._desk.notices.reply(peer, "/segue/models.end", len(names))

        self._desk.spawn(answer())
