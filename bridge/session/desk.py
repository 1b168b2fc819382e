"""What handlers work on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path

from bridge.osc.subscribers import Subscribers
from bridge.session.choices import Choosing
from bridge.session.jobs import JobBook
from bridge.session.notices import Notices, Sendable
from bridge.session.playback import Player
from bridge.session.primes import PrimeDesk
from bridge.session.properties import Properties
from engine.host.protocol import Ready


@dataclass
class Desk:
    """The parts of a session. ``engine_ready`` raises :class:`~engine.errors.NotReady` unless the engine is ready."""

    notices: Notices
    subscribers: Subscribers
    properties: Properties
    choosing: Choosing
    primes: PrimeDesk
    jobs: JobBook
    player: Player
    engine_ready: Callable[[], Ready]
    status: Callable[[], tuple[Sendable, ...]]
    quit: Callable[[], None]
    roots: tuple[Path, ...]
    version: tuple[str, str]
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, repr=False)

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run something that takes longer than a handler may."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
