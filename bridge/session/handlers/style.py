"""Style and words."""

from __future__ import annotations

from bridge.osc.endpoint import Peer
from bridge.osc.table import Call
from bridge.session.desk import Desk
from bridge.session.lyrics import LyricSheet
from bridge.session.styles import StyleList
from engine.errors import NotReady


class StyleHandlers:
    """Presets, genres and artists by name, and what is sung."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def set_style(self, call: Call, peer: Peer) -> None:
        """Choose a style, or read it."""
        desk = self._desk
        if not call.values:
            desk.properties.reply(call, peer)
            return
        ready = desk.engine_ready()
        names = StyleList(ready.artists, ready.genres, ready.genre_words)
        desk.choosing.change(told=call.entry.address, also=peer, style=names.choose(str(call.values[0])))

    def styles(self, call: Call, peer: Peer) -> None:
        """A page of what can be chosen."""
        ready, notices = self._desk.engine_ready(), self._desk.notices
        names = StyleList(ready.artists, ready.genres).names
        offset, limit = (
            (int(value) for value in (*call.values, 0, len(names))[:2]) if call.values else (0, len(names))
        )
        for index, (name, kind) in enumerate(names[offset : offset + limit], start=offset + 1):
            notices.reply(peer, "/segue/styles.item", index, name, kind)
        notices.reply(peer, "/segue/styles.end", len(names))

    def set_lyrics(self, call: Call, peer: Peer) -> None:
        """All words at once, or read them."""
        if call.values:
            self._sing(LyricSheet(str(call.values[0])), peer)
        else:
            self._desk.properties.reply(call, peer)

    def lyrics_line(self, call: Call, peer: Peer) -> None:
        """One line of them."""
        number, text = call.values
        self._sing(self._desk.choosing.now.lyrics.with_line(int(number), str(text)), peer)

    def lyrics_clear(self, call: Call, peer: Peer) -> None:
        """No words."""
        self._sing(LyricSheet(), peer)

    def _sing(self, sheet: LyricSheet, peer: Peer) -> None:
        """Take the words on, tell everybody, and say what the loaded model makes of them."""
        desk = self._desk
        sheet.check()
        desk.choosing.change(told="/segue/lyrics", also=peer, lyrics=sheet)
        try:
            ready = desk.engine_ready()
        except NotReady:
            return
        for note in sheet.notes(ready.model, ready.lyrics):
            desk.notices.publish("/segue/error", note, also=peer)
