"""OSCQuery and the announcement as one thing that a session starts and stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from bridge.osc.addresses import TABLE
from bridge.osc.endpoint import Address
from bridge.osc.intake import Intake
from bridge.osc.peer import Peer
from bridge.query.announce import Announcement
from bridge.query.server import QueryServer
from bridge.query.tree import Tree
from bridge.session.listening import Listening
from bridge.session.properties import Properties
from engine.errors import Busy


class QueryService:
    """Serves the address table of one session; does nothing before it is started."""

    def __init__(
        self,
        properties: Properties,
        listening: Listening,
        intake: Intake,
        gone: Callable[[Peer], None],
        choices: Callable[[str], Sequence[str]],
    ) -> None:
        self._properties = properties
        self._listening = listening
        tree = Tree(TABLE, lambda path: properties.values(path) if path in properties else None, choices)
        self._server = QueryServer(tree, intake, self._listen, gone)
        self.announcement = Announcement()
        self._announcing: asyncio.Task[None] | None = None

    @property
    def address(self) -> Address | None:
        """Where it is served; None when it is not."""
        return self._server.address

    async def start(self, host: str, ports: Sequence[int], osc: Address, announce: bool) -> None:
        """Serve at the first of ``ports`` that is free (0: any; none: not at all) and tell the network.

        Raises :class:`Busy` when all are taken.
        """
        for port in ports:
            try:
                await self._server.start(host, port, osc)
                break
            except Busy:
                if port == ports[-1]:
                    raise
        if announce:
            self._announcing = asyncio.create_task(self.announcement.start(osc, self.address))

    async def stop(self) -> None:
        """End both."""
        if self._announcing is not None:
            self._announcing.cancel()
            await asyncio.gather(self._announcing, return_exceptions=True)
        await asyncio.gather(self._server.stop(), self.announcement.stop())

    def path_changed(self, path: str) -> None:
        """A node has another shape now."""
        self._server.path_changed(path)

    def _listen(self, peer: Peer, path: str, on: bool) -> None:
        found = self._listening.set(peer, path, on)
        if on:
            self._listening.tell(peer, found)
