"""Style and words."""

from __future__ import annotations

from bridge.midi import Program
from bridge.osc.peer import Peer
from bridge.osc.table import Call
from bridge.session.desk import Desk
from bridge.session.lyrics import LyricSheet
from engine.errors import NotReady


class StyleHandlers:
    """Presets, genres and artists by name, and what is sung."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def set_style(self, call: Call, peer: Peer) -> None:
        """Choose a style, or read it."""
        if call.values:
            self._desk.stage.presets.name(str(call.values[0]), peer)
        else:
            self._desk.properties.reply(call, peer)

    def style_select(self, call: Call, peer: Peer) -> None:
        """Choose by place in the list."""
        self._desk.stage.presets.select(int(call.values[0]), peer)

    def style_pad(self, call: Call, peer: Peer) -> None:
        """Choose a preset of the page."""
        self._desk.stage.presets.pad(int(call.values[0]), peer)

    def style_page(self, call: Call, peer: Peer) -> None:
        """Turn the page, or say which it is."""
        if call.values:
            self._desk.stage.presets.turn_page(int(call.values[0]), peer)
        else:
            self._desk.properties.reply(call, peer)

    def style_program(self, call: Call, peer: Peer) -> None:
        """Choose by bank and program."""
        bank, page, number = (int(value) for value in call.values)
        self._desk.stage.presets.program(Program(bank, page, number), peer)

    def style_browse(self, call: Call, peer: Peer) -> None:
        """Choose a preset further on."""
        self._desk.stage.presets.browse(int(call.values[0]), peer)

    def style_morph(self, call: Call, peer: Peer) -> None:
        """Go between two presets, or say where."""
        if call.values:
            self._desk.stage.presets.morph(float(call.values[0]), peer)
        else:
            self._desk.properties.reply(call, peer)

    def style_morph_ends(self, call: Call, peer: Peer) -> None:
        """Set the two presets, or name them."""
        if call.values:
            first, second = (str(value) for value in call.values)
            self._desk.stage.presets.set_ends(first, second, peer)
        else:
            self._desk.properties.reply(call, peer)

    def styles(self, call: Call, peer: Peer) -> None:
        """A page of what can be chosen."""
        ready, notices = self._desk.engine_ready(), self._desk.notices
        names = self._desk.stage.presets.styles(ready).names
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
