"""The process that exports for a session: it computes and writes, so that the session never waits."""

from __future__ import annotations

import contextlib
import logging
import os
from multiprocessing.connection import Connection
from pathlib import Path

from engine.errors import NoFile, NoTake, SegueError
from engine.take import Take
from export.tracks.orders import QUIT, Order, Refused, Written
from export.tracks.targets import export

log = logging.getLogger("segue.export")

NICE = 5  # behind what plays and what makes the next take


def main(connection: Connection, options: dict[str, object]) -> None:
    """Carry out one order after the other until the pipe ends."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICE)
    with contextlib.suppress(EOFError, OSError):
        while (message := connection.recv_bytes()) != QUIT:
            connection.send_bytes(_answer(message).model_dump_json().encode())


def _answer(message: bytes) -> Written | Refused:
    try:
        order = Order.model_validate_json(message)
        takes = [_load(Path(folder)) for folder in order.takes]
        notes: list[str] = []
        paths = export(
            order.target, takes, order.wishes, Path(order.out), lambda track: notes.extend(track.done.notes)
        )
        return Written(paths=tuple(str(path) for path in paths), notes=tuple(notes))
    except SegueError as error:
        return Refused(code=error.code, slug=error.slug, message=error.message)
    except Exception as error:
        log.exception("an export failed")
        return Refused(
            code=SegueError.code,
            slug=SegueError.slug,
            message=f"the export failed unexpectedly ({type(error).__name__}); see the log",
        )


def _load(folder: Path) -> Take:
    try:
        return Take.load(folder)
    except NoFile as error:
        raise NoTake(
            f"the take in '{folder}' is not there any more; somebody has moved or removed it"
        ) from error
