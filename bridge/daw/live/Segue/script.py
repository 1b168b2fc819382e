"""The script: says every two seconds that Live is there, tells Segue of the selected clip, and brings takes in.

It has a socket of its own, which Segue answers to, and looks at it ten times a second without ever waiting, for it
lives in Live's own thread.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Any

from ableton.v2.control_surface import ControlSurface

from .clips import Refusal, insert, mark_of, selected_span
from .wire import MOST_PACKETS, Value, decode, encode

PORT = 19770
HERE_SECONDS = 2.0


class Segue(ControlSurface):
    """One for each time that it is chosen under Control Surface."""

    def __init__(self, c_instance: Any) -> None:
        super().__init__(c_instance)
        self._target = ("127.0.0.1", int(os.environ.get("SEGUE_PORT", PORT)))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._next_sign = 0.0
        self.schedule_message(1, self._turn)

    def disconnect(self) -> None:
        """Live closes, or another script was chosen."""
        self._socket.close()
        super().disconnect()

    def extend_selected_clip(self, generate: bool = True) -> None:
        """Make the selected clip the prime, and have it continued."""
        song = self.song
        clip = song.view.detail_clip
        try:
            span = selected_span(clip, float(song.tempo))
        except Refusal as refusal:
            self.show_message(f"Segue: {refusal}")
            return
        values = (span.path, span.start, span.length, span.bpm, -1.0, mark_of(clip, song), int(generate))
        self._send("/segue/daw/prime", "live", *values)
        self.show_message(f"Segue: {'extending' if generate else 'primed with'} {clip.name}")

    # -- Segue ----------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        if self._socket.fileno() < 0:
            return  # disconnected
        try:
            if time.monotonic() >= self._next_sign:
                self._next_sign = time.monotonic() + HERE_SECONDS
                self._send("/segue/daw/here", "live", self._version())
            for packet in self._packets():
                for address, values in decode(packet):
                    self._handle(address, values)
        except Exception as error:  # a bug here must not end the turns
            self.log_message(f"Segue: {type(error).__name__}: {error}")
        self.schedule_message(1, self._turn)

    def _packets(self) -> list[bytes]:
        packets = []
        for _ in range(MOST_PACKETS):
            try:
                packets.append(self._socket.recv(65536))
            except BlockingIOError:
                break
            except OSError:  # Windows says here that an earlier packet found nobody
                continue
        return packets

    def _handle(self, address: str, values: list[Value]) -> None:
        if address == "/segue/daw/take":
            self._bring_in(values)
        elif address == "/segue/daw/grabbing":
            self.extend_selected_clip(bool(values and values[0]))
        elif address == "/segue/fail" and len(values) > 3:
            self.show_message(f"Segue: {values[3]}")

    def _bring_in(self, values: list[Value]) -> None:
        send, _, path, name, _, _, _, track, slot, _, mark = values
        song = self.song
        song.begin_undo_step()
        try:
            insert(song, str(path), str(name), int(track), int(slot), str(mark))
        except Refusal as refusal:
            self._send("/segue/daw/refused", int(send), str(refusal))
        except Exception as error:  # Live says what it does not like in errors of its own
            self._send("/segue/daw/refused", int(send), f"Live says: {error}")
        else:
            self._send("/segue/daw/imported", int(send))
            self.show_message(f"Segue: {name} is there")
        finally:
            song.end_undo_step()

    def _send(self, address: str, *values: Value) -> None:
        try:
            self._socket.sendto(encode(address, *values), self._target)
        except OSError as error:
            self.log_message(f"Segue cannot be reached: {error}")

    def _version(self) -> str:
        application = self.application
        parts = (application.get_major_version, application.get_minor_version, application.get_bugfix_version)
        return ".".join(str(part()) for part in parts)
