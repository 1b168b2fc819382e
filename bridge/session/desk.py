"""What handlers work on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bridge.osc.peer import Peer
from bridge.osc.subscribers import Subscribers
from bridge.session.aside import Aside
from bridge.session.choices import Choosing
from bridge.session.history import History
from bridge.session.inside import Inside
from bridge.session.jobs import JobBook
from bridge.session.listening import Listening
from bridge.session.models import ModelDesk
from bridge.session.notices import Notices, Sendable
from bridge.session.playback import Player
from bridge.session.primes import PrimeDesk
from bridge.session.properties import Properties
from bridge.session.sound import Sound
from bridge.session.stage import Stage
from bridge.session.takes import TakeBook
from bridge.session.transport import MusicalTime
from engine.errors import QueueFull
from engine.host.protocol import Ready

MOST_TASKS = 128


@dataclass
class Desk:
    """The parts of a session. ``engine_ready`` raises :class:`~engine.errors.NotReady` unless the engine is ready;
    ``problems``: sentences for people that were said before they could listen.
    """

    notices: Notices
    subscribers: Subscribers
    properties: Properties
    choosing: Choosing
    primes: PrimeDesk
    jobs: JobBook
    takes: TakeBook
    history: History
    aside: Aside
    models: ModelDesk
    player: Player
    sound: Sound
    inside: Inside
    listening: Listening
    time: MusicalTime
    stage: Stage
    engine_ready: Callable[[], Ready]
    status: Callable[[], tuple[Sendable, ...]]
    problems: Callable[[], tuple[str, ...]]
    quit: Callable[[], None]
    roots: tuple[Path, ...]
    version: tuple[str, str]
    _tasks: dict[asyncio.Task[None], Peer | None] = field(default_factory=dict, repr=False)

    def spawn(self, work: Coroutine[None, None, None], peer: Peer | None = None) -> None:
        """Run something that takes longer than a handler may; ``/segue/sync`` of ``peer`` waits for it.

        Raises :class:`QueueFull`.
        """
        if len(self._tasks) >= MOST_TASKS:
            work.close()
            raise QueueFull(f"{MOST_TASKS} requests are being worked on; wait for their answers")
        task = asyncio.create_task(work)
        self._tasks[task] = peer
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    def pending_of(self, peer: Peer) -> list[Callable[[], Awaitable[object]]]:
        """What this client has asked for and is still going on: how each is waited for."""
        primes = [prime.settled.wait for prime in self.primes.pending_of(peer)]
        tasks = [partial(asyncio.wait, [task]) for task, whose in self._tasks.items() if whose == peer]
        return [*primes, *tasks]
