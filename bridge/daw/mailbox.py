"""A mailbox: a folder through which a script in a DAW and a session send each other messages.

``to_segue/NAME.msg`` are letters of the script, ``from_segue`` is one of Segue. A letter is written under another name
and renamed, so that it is there whole or not at all; who takes one renames it away first, so that it is taken once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import deque
from pathlib import Path

from bridge.daw.letters import MAX_LETTER_BYTES, BadLetter, read, written
from bridge.osc.wire import MAX_MESSAGES, Message, parse_packet

log = logging.getLogger("segue.daw")

IN, OUT = "to_segue", "from_segue"
MOST_WAITING = 1_000  # messages that a script which does not look may have waiting
MOST_LETTERS = 32  # that are read at a time
SILENCE_SECONDS = 8.0  # after which a script is gone


class Mailbox:
    """One script's folder; see :class:`bridge.osc.peer.Link`. ``send`` is the event loop's, ``exchange`` blocks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heard_at = 0.0  # by the monotonic clock; 0: never
        self._waiting: deque[Message] = deque(maxlen=MOST_WAITING)
        self._told = False  # that the folder cannot be used

    @property
    def closed(self) -> bool:
        """Whether the script has been silent for so long that it is taken to be gone."""
        return not self.heard_at or time.monotonic() - self.heard_at > SILENCE_SECONDS

    def send(self, packet: bytes) -> None:
        """Messages for the script, with the next exchange."""
        self._waiting.extend(parse_packet(packet))

    def clear(self) -> None:
        """Take away what nobody has taken: letters to a session, or a script, that is not there any more."""
        self._waiting.clear()
        with contextlib.suppress(OSError):
            (self.folder / OUT).unlink(missing_ok=True)
        for letter in self._letters():
            with contextlib.suppress(OSError):
                letter.unlink()

    def exchange(self) -> list[Message]:
        """Take what the script has sent, and leave it what waits for it."""
        messages: list[Message] = []
        for letter in self._letters()[:MOST_LETTERS]:
            messages += self._taken(letter)
        if messages:
            self.heard_at = time.monotonic()
        self._deliver()
        return messages

    def _letters(self) -> list[Path]:
        try:
            with os.scandir(self.folder / IN) as entries:
                names = sorted(entry.name for entry in entries if entry.name.endswith(".msg"))
        except OSError:
            return []  # no script was ever here
        return [self.folder / IN / name for name in names]

    def _taken(self, letter: Path) -> list[Message]:
        mine = letter.with_suffix(".read")
        try:
            os.replace(letter, mine)
            with open(mine, "rb") as file:
                text = file.read(MAX_LETTER_BYTES + 1)
            mine.unlink()
            if len(text) > MAX_LETTER_BYTES:
                raise BadLetter(f"it is longer than {MAX_LETTER_BYTES // 1024} KiB")
            return read(text.decode(errors="replace"))
        except BadLetter as problem:
            log.warning("'%s' of a DAW's script was dropped: %s", letter.name, problem)
        except OSError as error:
            self._tell(error)
        return []

    def _tell(self, error: OSError) -> None:
        """Say once that something is wrong with the folder: it is looked at ten times a second."""
        if not self._told:
            log.warning(
                "the mailbox '%s' cannot be used (%s); make it a folder that Segue may write to",
                self.folder,
                error.strerror,
            )
        self._told = True

    def _deliver(self) -> None:
        out = self.folder / OUT
        if not self._waiting or out.exists():
            return
        messages = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_MESSAGES))]
        part = out.with_name(OUT + ".part")
        try:
            part.write_text(written(messages), encoding="utf-8", newline="\n")
            os.replace(part, out)
        except OSError as error:
            self._waiting.extendleft(reversed(messages))
            self._tell(error)
        else:
            self._told = False
