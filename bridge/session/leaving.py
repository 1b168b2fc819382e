"""Voices that nobody hears any more: their rings are given back a few at a time.

That takes a millisecond each, and a panic may end a hundred takes that wait.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable

from bridge.session.notices import Notices
from bridge.session.voices import Voice

TURN_SECONDS = 0.004


class Leaving:
    """Ends voices, in order."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._voices: deque[Voice] = deque()

    def end(self, voice: Voice, how: str) -> None:
        """At once. ``how``: "end" of its own, or "stopped"."""
        seconds = voice.seconds_played
        give_back(voice)
        self._notices.publish("/segue/sounding", voice.ident, how, float(seconds))

    def stop(self, voices: Iterable[Voice]) -> None:
        """While other things go on."""
        begun = bool(self._voices)
        self._voices.extend(voices)
        if not begun:
            self._go_on()

    def close(self) -> None:
        """Give back what is left."""
        while self._voices:
            give_back(self._voices.popleft())

    def _go_on(self) -> None:
        until = time.perf_counter() + TURN_SECONDS
        while self._voices and time.perf_counter() < until:
            self.end(self._voices.popleft(), "stopped")
        if self._voices:
            asyncio.get_running_loop().call_soon(self._go_on)


def give_back(voice: Voice) -> None:
    """Remove a voice's ring, if it has one."""
    if voice.ring is not None:
        voice.ring.close()
        voice.ring.unlink()
