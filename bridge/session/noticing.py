"""What other processes do in the takes folder while a session runs: the command line, another session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.session.aside import Aside
from bridge.session.takes import TakeBook
from engine.shelf.index import Index
from engine.shelf.lines import Change

LOOK_SECONDS = 1.0


class Noticing:
    """Reads on in the index every second, and tells the book. ``growing``: whether the take in a folder is one that a
    job of this session makes, and of which it tells itself."""

    def __init__(self, index: Index, takes: TakeBook, aside: Aside, growing: Callable[[str], bool]) -> None:
        self._index, self._takes, self._aside, self._growing = index, takes, aside, growing
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the running loop."""
        self._task = asyncio.create_task(self._look())

    def close(self) -> None:
        """Notice nothing more."""
        if self._task is not None:
            self._task.cancel()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._aside.run(self._index.foreign, self._notice)

    def _notice(self, changes: list[Change]) -> None:
        for folder in dict.fromkeys(change.entry.folder for change in changes):
            entry = self._index.of_folder(folder)
            if entry is not None and not self._growing(str(self._index.root / folder)):
                self._takes.notice(entry)
