"""The audio process as the session uses it: orders in a queue, carried out one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bridge.audio.protocol import Finished, Lost, Opened, Report
from bridge.audio.supervisor import AudioClient
from engine.errors import SegueError

log = logging.getLogger("segue.play")


@dataclass(frozen=True)
class SoundSetup:
    """Where the sound goes: ``device`` as :meth:`AudioClient.open` takes it, ``fallback`` the WAV if there is none."""

    device: str | None = None
    fallback: Path | None = None
    rate: int = 44_100


@dataclass(frozen=True)
class SoundEvents:
    """Called on the event loop: a ring was played to its end; a ring cannot be played; a line for people."""

    finished: Callable[[str, int, int], None]
    unplayable: Callable[[str], None]
    note: Callable[[str], None]


class Sound:
    """Owns the audio client. :meth:`play` and :meth:`stop` return at once and keep their order."""

    def __init__(self, setup: SoundSetup, events: SoundEvents) -> None:
        self._setup = setup
        self._events = events
        self._client = AudioClient(self._report)
        self._orders: asyncio.Queue[tuple[str, Callable[[], Awaitable[None]]]] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None
        self._device = ""
        self.reason = ""

    @property
    def device(self) -> str:
        """What plays: a device's name, ``file:PATH``, ``none``, or "" while there is nothing."""
        return self._device

    @property
    def latency_ms(self) -> float:
        """Output latency as measured in the callback."""
        return self._client.opened.latency_ms if self._client.opened else 0.0

    @property
    def audible(self) -> bool:
        """Whether a sound device plays, rather than a file."""
        return self._client.opened is not None and self._client.opened.audible

    @property
    def xruns(self) -> int:
        """Times that playback ran dry, and blocks that the device called late."""
        stats = self._client.stats
        return stats.underruns + stats.late if stats else 0

    @property
    def pid(self) -> int | None:
        """The audio process."""
        return self._client.pid

    async def start(self) -> None:
        """Start the process and open the output. Raises :class:`NoDevice` for a device that is not there."""
        await self._client.start()
        setup = self._setup
        await self._client.open(setup.device, rate=setup.rate, fallback=setup.fallback)
        self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Fade out and end the process."""
        if self._worker is not None:
            self._worker.cancel()
        await self._client.close()

    def kill(self) -> None:
        """End the process now."""
        if self._client.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._client.pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)

    def play(self, ring: str, prebuffer_frames: int, total_frames: int | None) -> None:
        """Play a ring from its read position on."""

        async def order() -> None:
            await self._client.play(ring, prebuffer_frames=prebuffer_frames, total_frames=total_frames)

        self._orders.put_nowait((ring, order))

    def stop(self) -> None:
        """Fade out what plays."""
        self._orders.put_nowait(("", self._client.stop))

    async def _work(self) -> None:
        while True:
            ring, order = await self._orders.get()
            try:
                await order()
            except SegueError as error:
                log.warning("the audio process refused an order: %s", error.message)
                if ring:
                    self._events.unplayable(ring)

    def _report(self, report: Report) -> None:
        if isinstance(report, Finished):
            self._events.finished(report.ring, report.frames, report.underruns)
        elif isinstance(report, Lost):
            self._device = ""
            self._events.note(f"the sound output is lost: {report.reason}; it is being replaced")
        elif isinstance(report, Opened):
            self._device = report.device
            self.reason = report.reason
            if report.reason:
                log.warning("%s: sound is written to %s", report.reason, report.device.removeprefix("file:"))
            else:
                log.info("sound goes to %s at %d Hz", report.device, report.rate)
