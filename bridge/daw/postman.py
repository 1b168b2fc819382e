"""Carries messages between the mailboxes of DAWs and a session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import filelock

from bridge.daw.mailbox import Mailbox
from bridge.daw.places import BY_MAIL
from bridge.osc.peer import Peer
from bridge.osc.wire import Message

log = logging.getLogger("segue.daw")

BRISK_SECONDS = 0.1  # between looks while a script is there
CALM_SECONDS = 1.0


class Postman:
    """``folder`` holds a mailbox for each DAW that has one; where it is not there, nobody has installed a script.

    A second session on this machine leaves the mailboxes to the first.
    """

    def __init__(self, folder: Path | None, gone: Callable[[Peer], None]) -> None:
        self._folder, self._gone = folder, gone
        self._boxes: dict[Mailbox, Peer] = {}
        if folder is not None:
            for name in BY_MAIL:
                box = Mailbox(folder / name)
                self._boxes[box] = Peer("127.0.0.1", 0, box)
        self._here: set[Mailbox] = set()
        self._lock: filelock.BaseFileLock | None = None
        self._told = False
        self._task: asyncio.Task[None] | None = None

    def start(self, take_in: Callable[[list[Message], Peer], None]) -> None:
        """Begin to look, in the running loop; ``take_in``: what is done with messages."""
        if self._folder is not None:
            self._task = asyncio.create_task(self._rounds(take_in))

    def close(self) -> None:
        """Look no more; another session may take over."""
        if self._task is not None:
            self._task.cancel()
        if self._lock is not None:
            self._lock.release()

    async def _rounds(self, take_in: Callable[[list[Message], Peer], None]) -> None:
        while True:
            found = await asyncio.to_thread(self._round)
            for box, messages in found.items():
                if messages:
                    self._here.add(box)
                    take_in(messages, self._boxes[box])
            for box in [box for box in self._here if box.closed]:
                self._here.discard(box)
                self._gone(self._boxes[box])
                await asyncio.to_thread(box.clear)
            await asyncio.sleep(BRISK_SECONDS if self._here else CALM_SECONDS)

    def _round(self) -> dict[Mailbox, list[Message]]:
        if not self._mine():
            return {}
        return {box: box.exchange() for box in self._boxes}

    def _mine(self) -> bool:
        """Whether the mailboxes are this session's. What was left in them for an earlier one is thrown away."""
        if self._lock is not None:
            return True
        if self._folder is None or not self._folder.is_dir():
            return False
        lock = filelock.FileLock(self._folder / "session.lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if not self._told:
                log.info("another session takes care of the DAWs' mailboxes in '%s'", self._folder)
            self._told = True
            return False
        except OSError as error:
            if not self._told:
                log.warning("the DAWs' mailboxes in '%s' cannot be used (%s)", self._folder, error.strerror)
            self._told = True
            return False
        self._lock = lock
        for box in self._boxes:
            box.clear()
        return True
