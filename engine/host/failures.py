"""Every error as one with a name."""

from __future__ import annotations

import logging

from engine.errors import SegueError

log = logging.getLogger("segue.engine")


def named(error: BaseException) -> SegueError:
    """Any error as one with a code, a slug and a sentence; what has no name is logged in full."""
    if isinstance(error, SegueError):
        return error
    log.error("unexpected error", exc_info=error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return SegueError(
            "there is not enough memory; ask for a shorter continuation or free some",
            code=507,
            slug="out_of_memory",
        )
    return SegueError(f"the engine met an unexpected error ({type(error).__name__}: {error}); see its log")
