"""The model that makes the music."""

from __future__ import annotations

import asyncio

from bridge.osc.endpoint import Peer, is_loopback
from bridge.osc.table import Call
from bridge.session.desk import Desk
from engine.errors import Busy, PathNotAllowed, SegueError


class ModelHandlers:
    """Listing models and loading another one."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._asking: list[Peer] = []  # who gets the list that is being made
        self._checked = ""  # the name that is being looked for

    def model(self, call: Call, peer: Peer) -> None:
        """Load a model, or say which is loaded. Other hosts may name those that are here, but no folders."""
        desk = self._desk
        if not call.values:
            desk.properties.reply(call, peer)
            return
        desk.models.require_free()
        name = str(call.values[0])
        if self._checked:
            raise Busy(f"the model '{self._checked}' is being looked for; wait until it is, then ask again")
        self._checked = name

        def check() -> None:
            if not is_loopback(peer) and name not in (known := desk.models.catalogue.names()):
                raise PathNotAllowed(f"'{name}' is no model's name; other hosts may load {', '.join(known)}")
            desk.models.catalogue.require(name)

        async def check_then_begin() -> None:
            try:
                try:
                    await asyncio.to_thread(check)
                finally:
                    self._checked = ""
                desk.models.begin(name, peer, call.request_tag)
            except SegueError as error:
                desk.notices.fail(peer, call.request_tag, call.entry.address, error)

        desk.spawn(check_then_begin())

    def models(self, call: Call, peer: Peer) -> None:
        """What can be loaded by name; one look serves all who ask meanwhile."""
        self._asking.append(peer)
        if len(self._asking) == 1:
            self._desk.spawn(self._list())
        else:
            self._asking = list(dict.fromkeys(self._asking))

    async def _list(self) -> None:
        desk = self._desk
        try:
            names = await asyncio.to_thread(desk.models.catalogue.names)
        finally:
            peers, self._asking = self._asking, []
        for peer in peers:
            for number, name in enumerate(names, start=1):
                desk.notices.reply(peer, "/segue/models.item", number, name, desk.models.state(name))
            desk.notices.reply(peer, "/segue/models.end", len(names))
