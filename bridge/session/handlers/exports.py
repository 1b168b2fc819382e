"""Takes for the DAW."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bridge.osc.endpoint import Peer, is_loopback
from bridge.osc.table import Call
from bridge.session.desk import Desk
from bridge.session.entries import TakeEntry
from bridge.session.primes import absolute_path, allowed_path
from engine.errors import SegueError
from export.tracks.targets import USUAL, find_target


class ExportHandlers:
    """Writing takes as tracks."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def export(self, call: Call, peer: Peer) -> None:
        """A take, as a file that a DAW understands."""
        take = self._desk.takes.find(call.values[0])
        target = str(call.values[1]) if call.values[1:] else USUAL
        find_target(target)
        self._desk.spawn(self._export(take, target, call, peer), peer)

    async def _export(self, take: TakeEntry, target: str, call: Call, peer: Peer) -> None:
        notices = self._desk.notices
        notices.publish("/segue/exporting", take.number, "running")
        try:
            written = await self._desk.stage.exporting.write(take.folder, target)
        except SegueError as error:
            notices.fail(peer, call.request_tag, call.entry.address, error)
            notices.publish("/segue/exporting", take.number, "failed")
            return
        notices.done(peer, call.request_tag, call.entry.address, written.paths[0])
        for note in written.notes:
            notices.publish("/segue/export/note", take.number, note, also=peer)
        notices.publish("/segue/exported", take.number, target, written.paths[0])
        notices.publish("/segue/exporting", take.number, "done")

    def export_folder(self, call: Call, peer: Peer) -> None:
        """Choose the folder, or name it. Other hosts choose among those that are open to them."""
        desk, exporting = self._desk, self._desk.stage.exporting
        if not call.values:
            desk.properties.reply(call, peer)
            return
        wanted = str(call.values[0]).strip()
        if not wanted or is_loopback(peer):
            exporting.choose(absolute_path(wanted) if wanted else "", peer)
            return

        async def check_then_choose() -> None:
            try:
                real = await asyncio.to_thread(allowed_path, absolute_path(wanted), desk.roots)
                exporting.choose(str(Path(real)), peer)
            except SegueError as error:
                desk.notices.fail(peer, call.request_tag, call.entry.address, error)

        desk.spawn(check_then_choose(), peer)
