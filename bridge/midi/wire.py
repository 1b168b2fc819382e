"""From the bytes of a port to messages: running status, real-time bytes in between, system exclusive left out.

mido's own parser forgets the status after every message, so running status is kept here; mido then makes the
message.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mido

_SYSEX, _SYSEX_END, _REAL_TIME = 0xF0, 0xF7, 0xF8
_DATA_BYTES = {0x80: 2, 0x90: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2}
_SYSTEM_DATA_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0}
_WANTED_REAL_TIME = {0xF8, 0xFA, 0xFB, 0xFC, 0xFF}  # active sensing is dropped


class Parser:
    """Keeps the running status of one port. Bytes that make no sense are skipped and counted."""

    def __init__(self) -> None:
        self.skipped = 0
        self._status = 0
        self._wanted = 0
        self._data: list[int] = []
        self._in_sysex = False

    def feed(self, data: Iterable[int]) -> list[Any]:
        """The messages (mido.Message) that these bytes complete."""
        found: list[Any] = []
        for byte in data:
            if byte >= _REAL_TIME:
                if byte in _WANTED_REAL_TIME:
                    found.append(mido.Message.from_bytes([byte]))
            elif byte >= 0x80:
                self._begin(byte, found)
            elif self._in_sysex:
                continue
            elif self._status == 0:
                self.skipped += 1
            else:
                self._data.append(byte)
                if len(self._data) == self._wanted:
                    self._finish(found)
        return found

    def _begin(self, status: int, found: list[Any]) -> None:
        self.skipped += len(self._data)  # of a message that broke off
        self._data = []
        self._in_sysex = status == _SYSEX
        if status < 0xF0:
            self._status, self._wanted = status, _DATA_BYTES[status & 0xF0]
        elif status in _SYSTEM_DATA_BYTES:
            self._status, self._wanted = status, _SYSTEM_DATA_BYTES[status]
            if self._wanted == 0:
                self._finish(found)
        else:
            self._status = 0

    def _finish(self, found: list[Any]) -> None:
        found.append(mido.Message.from_bytes([self._status, *self._data]))
        self._data = []
        if self._status >= 0xF0:
            self._status = 0  # system common messages have no running status
