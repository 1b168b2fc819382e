"""Controllers."""

from __future__ import annotations

from bridge.midi.settings import Binding
from bridge.osc.peer import Peer
from bridge.osc.table import Call
from bridge.session.desk import Desk
from engine.errors import SegueError


class MidiHandlers:
    """Ports, learning, forgetting."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def midi_ports(self, call: Call, peer: Peer) -> None:
        """What is open."""
        names, notices = self._desk.stage.controllers.midi.open_ports, self._desk.notices
        for name in names:
            notices.reply(peer, "/segue/midi/ports.item", name)
        notices.reply(peer, "/segue/midi/ports.end", len(names))

    def midi_learn(self, call: Call, peer: Peer) -> None:
        """Wait for a control."""
        key, notices = str(call.values[0]), self._desk.notices

        def ended(outcome: Binding | SegueError) -> None:
            if isinstance(outcome, SegueError):
                notices.fail(peer, call.request_tag, call.entry.address, outcome)
                return
            notices.done(peer, call.request_tag, call.entry.address, key, str(outcome))
            notices.publish("/segue/midi/learned", key, str(outcome))

        self._desk.stage.controllers.midi.learn(key, ended)

    def midi_forget(self, call: Call, peer: Peer) -> None:
        """The default controls hold again."""
        count = self._desk.stage.controllers.midi.forget(str(call.values[0]) if call.values else "")
        self._desk.notices.done(peer, call.request_tag, call.entry.address, count)
