"""Takes."""

from __future__ import annotations

from bridge.osc.endpoint import Peer
from bridge.osc.table import Call
from bridge.session.desk import Desk
from bridge.session.recalling import recall

PAGE = 100  # takes of an answer to a client that names no limit


class TakeHandlers:
    """Listing, selecting, marking, deleting and recalling."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def takes(self, call: Call, peer: Peer) -> None:
        """A page of takes."""
        book, notices = self._desk.takes, self._desk.notices
        offset, limit = (int(value) for value in (*call.values, *(0, PAGE)[len(call.values) :]))
        for entry in list(book)[offset : offset + limit]:
            notices.reply(peer, "/segue/takes.item", *book.told(entry))
            for address, *values in book.told_marks(entry):
                notices.reply(peer, address, *values)
        notices.reply(peer, "/segue/takes.end", len(book))

    def take_current(self, call: Call, peer: Peer) -> None:
        """Select a take, or say which is."""
        if call.values:
            self._desk.takes.select(self._desk.takes.find(call.values[0]), peer)
        else:
            self._desk.properties.reply(call, peer)

    def take_next(self, call: Call, peer: Peer) -> None:
        """Select the next one."""
        self._step(call, peer, 1)

    def take_prev(self, call: Call, peer: Peer) -> None:
        """Select the one before."""
        self._step(call, peer, -1)

    def _step(self, call: Call, peer: Peer, steps: int) -> None:
        entry = self._desk.takes.step(steps, peer)
        self._desk.notices.done(peer, call.request_tag, call.entry.address, entry.number)

    def take_keep(self, call: Call, peer: Peer) -> None:
        """Keep, or not."""
        self._mark(call, peer, "keep", kept=bool(call.values[1]))

    def take_rate(self, call: Call, peer: Peer) -> None:
        """Rate."""
        self._mark(call, peer, "rate", rating=call.values[1])

    def take_name(self, call: Call, peer: Peer) -> None:
        """Name."""
        self._mark(call, peer, "name", name=str(call.values[1]).strip())

    def take_color(self, call: Call, peer: Peer) -> None:
        """Colour."""
        self._mark(call, peer, "color", color=str(call.values[1]).strip().lower())

    def _mark(self, call: Call, peer: Peer, label: str, **marks: object) -> None:
        entry = self._desk.takes.find(call.values[0])
        self._desk.takes.mark(entry, label, peer, **marks)

    def take_delete(self, call: Call, peer: Peer) -> None:
        """To the trash."""
        entry = self._desk.takes.find(call.values[0])
        self._desk.takes.delete(entry)
        self._desk.notices.done(peer, call.request_tag, call.entry.address, entry.number)

    def take_recall(self, call: Call, peer: Peer) -> None:
        """Everything as it was for a take."""
        entry = self._desk.takes.find(call.values[0])
        recall(self._desk, entry, peer, call.request_tag)
        self._desk.notices.done(peer, call.request_tag, call.entry.address, entry.number)
