"""Sound devices."""

from __future__ import annotations

from bridge.osc.endpoint import Peer, is_loopback
from bridge.osc.table import Call
from bridge.session.desk import Desk
from bridge.session.dispatch import NotLocal
from engine.errors import Busy, SegueError

FILE = "file:"


class AudioHandlers:
    """Listing devices and choosing the output."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._opening = False

    def devices(self, call: Call, peer: Peer) -> None:
        """What is plugged in now."""
        desk = self._desk

        async def answer() -> None:
            try:
                found = await desk.sound.devices()
            except SegueError as error:
                desk.notices.fail(peer, call.request_tag, call.entry.address, error)
                return
            for number, one in enumerate(found, start=1):
                values = (number, one.name, one.host_api, one.outputs, one.inputs, one.rate)
                desk.notices.reply(peer, "/segue/audio/devices.item", *values)
            desk.notices.reply(peer, "/segue/audio/devices.end", len(found))

        desk.spawn(answer(), peer)

    def device(self, call: Call, peer: Peer) -> None:
        """Play through another one, or say which plays. Only this machine may have a file written."""
        desk = self._desk
        if not call.values:
            desk.properties.reply(call, peer)
            return
        name, channel = (*call.values, 1)[:2]
        if str(name).startswith(FILE) and not is_loopback(peer):
            raise NotLocal(f"{call.entry.address} {FILE}... is for this machine only; name a device")
        if self._opening:
            raise Busy("another output is being opened; send it again in a second")
        self._opening = True
        opening = desk.sound.open_output(str(name) or None, first_channel=int(channel))

        async def answer() -> None:
            try:
                opened = await opening
            except SegueError as error:
                desk.notices.fail(peer, call.request_tag, call.entry.address, error)
                return
            finally:
                self._opening = False
            values = (opened.label, opened.rate, float(opened.latency_ms))
            desk.notices.done(peer, call.request_tag, call.entry.address, *values)

        desk.spawn(answer(), peer)
