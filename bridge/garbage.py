"""Searches for garbage that nobody waits for: a whole one takes tens of milliseconds, in which no note is heard."""

from __future__ import annotations

import gc
from typing import Any

WHOLE = 2  # generation


def search_less() -> None:
    """What has survived a whole search, this one first, is not searched again.

    So a later one looks at what came since. What dies after it has survived one, and refers to itself, is kept for
    good: a million hostile packets left about 4 MB more than with usual searches.
    """
    gc.collect()
    gc.freeze()
    if _keep_survivors not in gc.callbacks:
        gc.callbacks.append(_keep_survivors)


def _keep_survivors(phase: str, info: dict[str, Any]) -> None:
    if phase == "stop" and info["generation"] == WHOLE:
        gc.freeze()
