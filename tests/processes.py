"""Processes that begin without importing everything anew: forked from one that has it all loaded.

What Segue spawns takes seconds to import, most of it the runtimes. Tests that start a process each, and are about
something else, take it from here; those of the processes themselves spawn, as Segue does.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from typing import Any

_LOADED = [
    "bridge.audio.process",
    "bridge.supervision.child",
    "engine.host.mock.process",
    "engine.host.process",
    "engine.backends.torch_backend",
]


class Forking(ForkServerContext):
    """The start method "forkserver", with the environment of now and not of the first process."""

    def Process(self, *, target: Callable[..., None], args: tuple[Any, ...], **more: Any) -> Any:  # type: ignore[override]
        given = (dict(os.environ), os.getcwd(), target, args)
        return super().Process(target=_as_spawned, args=given, **more)


def forking() -> Forking:
    """The context; its server is started with the first process."""
    multiprocessing.set_forkserver_preload(_LOADED)
    return Forking()


def _as_spawned(
    environment: dict[str, str], folder: str, target: Callable[..., None], args: tuple[Any, ...]
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    target(*args)
