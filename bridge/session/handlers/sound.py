"""What is heard."""

from __future__ import annotations

import asyncio

from bridge.osc.endpoint import Peer
from bridge.osc.table import Call
from bridge.session.desk import Desk
from engine.errors import SegueError


class SoundHandlers:
    """Playing takes, comparing, levels, silence."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def take_play(self, call: Call, peer: Peer) -> None:
        """Play a take."""
        wanted, quantised = (*call.values, 1)[:2]
        take = self._desk.stage.performing.play(wanted, bool(quantised), call.at_ns)
        self._desk.notices.done(peer, call.request_tag, call.entry.address, take.number)

    def take_stop(self, call: Call, peer: Peer) -> None:
        """End what sounds."""
        self._desk.stage.performing.stop()
        self._desk.notices.done(peer, call.request_tag, call.entry.address)

    def take_browse(self, call: Call, peer: Peer) -> None:
        """Select another take."""
        entry = self._desk.takes.step(int(call.values[0]), peer)
        self._desk.notices.done(peer, call.request_tag, call.entry.address, entry.number)

    def take_hold(self, call: Call, peer: Peer) -> None:
        """Repeat a bar, or go on."""
        holding, notices, address = self._desk.stage.holding, self._desk.notices, call.entry.address
        if not call.values[0]:
            holding.up()
            notices.done(peer, call.request_tag, address, 0)
            return

        def begun(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if isinstance(error, SegueError):
                notices.fail(peer, call.request_tag, address, error)
            elif error is None and not task.cancelled():
                notices.done(peer, call.request_tag, address, 1)

        holding.down().add_done_callback(begun)

    def take_ab(self, call: Call, peer: Peer) -> None:
        """The other side."""
        notices, address = self._desk.notices, call.entry.address
        self._desk.stage.performing.ab(
            lambda name: notices.done(peer, call.request_tag, address, name),
            lambda error: notices.fail(peer, call.request_tag, address, error),
        )

    def mix(self, call: Call, peer: Peer) -> None:
        """Input and takes, or read it."""
        self._level(call, peer, "mix")

    def gain_db(self, call: Call, peer: Peer) -> None:
        """How loud, or read it."""
        self._level(call, peer, "gain_db")

    def monitor_db(self, call: Call, peer: Peer) -> None:
        """How loud the input is heard beside the takes, or read it."""
        self._level(call, peer, "monitor_db")

    def _level(self, call: Call, peer: Peer, name: str) -> None:
        if call.values:
            self._desk.stage.performing.set_levels(**{name: float(call.values[0])})
            self._desk.properties.publish(call.entry.address, peer)
        else:
            self._desk.properties.reply(call, peer)

    def panic(self, call: Call, peer: Peer) -> None:
        """Silence now; jobs go on."""
        self._desk.player.stop_all()
        self._desk.notices.done(peer, call.request_tag, call.entry.address)
