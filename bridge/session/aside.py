"""Slow work, such as that of a disk, beside the event loop: one piece after the other in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from engine.errors import SegueError

log = logging.getLogger("segue")

Result = TypeVar("Result")


class Aside:
    """Work is done in the order in which it was given. ``tell``: says a sentence of what failed."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="segue-aside")

    def run(
        self,
        work: Callable[[], Result],
        then: Callable[[Result], None] = lambda result: None,
        failed: Callable[[SegueError], None] | None = None,
    ) -> None:
        """Do ``work``, then give its result to ``then`` on the event loop; or its failure to ``failed``."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)

        def ended(done: asyncio.Future[Any] | Future[Any]) -> None:
            if done.cancelled():
                return
            error = done.exception()
            if error is None:
                try:
                    then(done.result())
                    return
                except SegueError as refused:  # what it was wanted for is no longer there
                    error = refused
            if not isinstance(error, SegueError):
                log.error("work beside the event loop failed", exc_info=error)
                error = SegueError(f"something failed unexpectedly ({type(error).__name__}); see the log")
            (failed or (lambda known: self.tell(known.message)))(error)

        future.add_done_callback(ended)

    def close(self) -> None:
        """Finish what was given; returns when all of it is done."""
        self._pool.shutdown(wait=True)
