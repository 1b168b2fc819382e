"""Musical time."""

from __future__ import annotations

from bridge.osc.peer import Peer
from bridge.osc.table import Call
from bridge.session.desk import Desk
from presets import Quantum


class TransportHandlers:
    """Clock sources, tempo, signature, grid; start and stop."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._time = desk.time

    def sync_source(self, call: Call, peer: Peer) -> None:
        """Follow another clock, or say which."""
        if call.values:
            self._time.follow(str(call.values[0]), peer)
        else:
            self._desk.properties.reply(call, peer)

    def tempo(self, call: Call, peer: Peer) -> None:
        """Set it where the clock does not, or read it."""
        if call.values:
            self._time.set_tempo(float(call.values[0]), peer)
        else:
            self._desk.properties.reply(call, peer)

    def signature(self, call: Call, peer: Peer) -> None:
        """Set it, or read it."""
        if not call.values:
            self._desk.properties.reply(call, peer)
            return
        numerator, denominator = call.values
        self._time.set_meter(int(numerator), int(denominator), peer)

    def key(self, call: Call, peer: Peer) -> None:
        """Set it, or read it."""
        if call.values:
            self._time.set_key(str(call.values[0]), peer)
        else:
            self._desk.properties.reply(call, peer)

    def quantum(self, call: Call, peer: Peer) -> None:
        """The grid in beats."""
        if call.values:
            self._desk.choosing.change(
                told=call.entry.address, also=peer, quantum=Quantum.of_beats(float(call.values[0]))
            )
        else:
            self._desk.properties.reply(call, peer)

    def quantum_bars(self, call: Call, peer: Peer) -> None:
        """The grid in bars."""
        if call.values:
            self._desk.choosing.change(
                told=call.entry.address, also=peer, quantum=Quantum.of_bars(float(call.values[0]))
            )
        else:
            self._desk.properties.reply(call, peer)

    def song_bars(self, call: Call, peer: Peer) -> None:
        """Set the song's length, or read it."""
        if call.values:
            self._time.set_song_bars(float(call.values[0]), peer)
        else:
            self._desk.properties.reply(call, peer)

    def beat(self, call: Call, peer: Peer) -> None:
        """A DAW says where it is. Not answered: it comes on every beat."""
        self._time.osc_beat(float(call.values[0]))

    def transport_start(self, call: Call, peer: Peer) -> None:
        """The song plays."""
        self._time.start()
        self._desk.notices.done(peer, call.request_tag, call.entry.address)

    def transport_stop(self, call: Call, peer: Peer) -> None:
        """The song stands."""
        self._time.stop()
        self._desk.notices.done(peer, call.request_tag, call.entry.address)

    def transport_locate(self, call: Call, peer: Peer) -> None:
        """The song is moved."""
        self._time.locate(float(call.values[0]))
        self._desk.notices.done(peer, call.request_tag, call.entry.address)
