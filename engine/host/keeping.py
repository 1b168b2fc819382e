"""What is left of a take that was cut short: the engine reports it, and the bridge when the engine is gone."""

from __future__ import annotations

from pathlib import Path

from engine.errors import NoFile
from engine.host.protocol import KeptTake
from engine.take import recover


def kept_take(index: int, folder: Path) -> KeptTake | None:
    """Makes a partial take of take ``index`` of a job; None when nothing of it can be gone on from.

    Raises what :func:`engine.take.recover` does, but for a take that was not begun.
    """
    try:
        take = recover(folder)
    except NoFile:
        return None
    info = take.info
    if not info.held:
        return None
    return KeptTake(
        index=index,
        folder=str(take.folder),
        wav=str(take.wav),
        seed=info.head.request.seed,
        seconds=info.seconds,
        held=info.held,
    )
