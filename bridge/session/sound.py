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
from typing import Any

from bridge.audio.protocol import (
    DeviceInfo,
    Disarmed,
    Finished,
    InputLost,
    InputOpened,
    Lost,
    Meters,
    Opened,
    Playing,
    Report,
    Stats,
    Stopped,
)
from bridge.audio.supervisor import AudioClient
from engine.errors import SegueError

log = logging.getLogger("segue.play")


@dataclass(frozen=True)
class SoundSetup:
    """Where the sound goes: ``device`` as :meth:`AudioClient.open` takes it, ``fallback`` the WAV if there is none."""

    device: str | None = None
    fallback: Path | None = None
    rate: int = 44_100


def _ignore(*_: Any) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class SoundEvents:
    """Called on the event loop. Voices go by their label, which is the ring's name unless it was given.

    ``finished``: a voice was played to its end (label, frames, underruns); ``unplayable``: a voice cannot be played;
    ``note``: a line for people. ``playing``, ``stopped``, ``disarmed``: a voice begins, ends before its end, was taken
    back. ``stats``, ``meters``: at their rates. ``opened``: there is another stream, whose frames count from 0;
    ``lost``: there is none. ``input_opened``: what is recorded from now on does not join on to what was;
    ``input_lost``: nothing is recorded.
    """

    finished: Callable[[str, int, int], None]
    unplayable: Callable[[str], None]
    note: Callable[[str], None]
    playing: Callable[[Playing], None] = _ignore
    stopped: Callable[[Stopped], None] = _ignore
    disarmed: Callable[[str], None] = _ignore
    stats: Callable[[Stats], None] = _ignore
    meters: Callable[[Meters], None] = _ignore
    opened: Callable[[Opened], None] = _ignore
    lost: Callable[[str], None] = _ignore
    input_opened: Callable[[InputOpened], None] = _ignore
    input_lost: Callable[[str], None] = _ignore


@dataclass(frozen=True)
class _Order:
    """Something to be done; ``label`` if it is a voice to be played."""

    do: Callable[[], Awaitable[Any]]
    answer: asyncio.Future[Any]
    label: str = ""


class Sound:
    """Owns the audio client. What is ordered returns at once, and is done in that order.

    The futures that some calls return bring the result, or the :class:`SegueError`; nobody has to wait for them.
    """

    def __init__(self, setup: SoundSetup, events: SoundEvents) -> None:
        self._setup = setup
        self._events = events
        self._client = AudioClient(self._report)
        self._orders: asyncio.Queue[_Order] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None
        self._device = ""
        self.reason = ""

    @property
    def device(self) -> str:
        """What plays: a device's name, ``file:PATH``, ``none``, or "" while there is nothing."""
        return self._device

    @property
    def rate(self) -> int:
        """Rate of the output's stream in Hz (that of the last one while there is none)."""
        return self._client.opened.rate if self._client.opened else self._setup.rate

    @property
    def first_channel(self) -> int:
        """The device's channel that gets the left side, from 1."""
        return self._client.opened.first_channel if self._client.opened else 1

    @property
    def latency_ms(self) -> float:
        """Output latency as measured in the callback."""
        return self._client.opened.latency_ms if self._client.opened else 0.0

    @property
    def audible(self) -> bool:
        """Whether a sound device plays, rather than a file."""
        return self._client.opened is not None and self._client.opened.audible

    @property
    def input(self) -> InputOpened | None:
        """The input that is being recorded, None while there is none."""
        return self._client.input_opened

    @property
    def stats(self) -> Stats | None:
        """The last figures of the audio process."""
        return self._client.stats

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
        while not self._orders.empty():
            self._orders.get_nowait().answer.cancel()
        await self._client.close()

    def kill(self) -> None:
        """End the process now."""
        if self._client.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._client.pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)

    # -- orders --------------------------------------------------------------------------------------------

    def play(
        self,
        ring: str,
        prebuffer_frames: int,
        total_frames: int | None,
        *,
        at_frame: int | None = None,
        fade_ms: float = 5.0,
        skip_frames: int = 0,
        label: str = "",
    ) -> None:
        """Play a ring from its read position on, or arm it (see ``Play`` in bridge/audio/protocol.py); again for the
        same label to change its numbers.
        """
        self._put(
            lambda: self._client.play(
                ring,
                prebuffer_frames=prebuffer_frames,
                total_frames=total_frames,
                at_frame=at_frame,
                fade_ms=fade_ms,
                skip_frames=skip_frames,
                label=label,
            ),
            label or ring,
        )

    def play_file(
        self,
        path: Path,
        *,
        from_frame: int = 0,
        loop: bool = False,
        at_frame: int | None = None,
        fade_ms: float = 5.0,
        label: str = "",
    ) -> None:
        """Play a WAV from ``from_frame`` (at its own rate) on, or arm it; its label is its path if none is given."""
        self._put(
            lambda: self._client.play(
                file=path, from_frame=from_frame, loop=loop, at_frame=at_frame, fade_ms=fade_ms, label=label
            ),
            label or str(path),
        )

    def disarm(self) -> None:
        """Take back what is armed, if anything."""
        self._put(self._client.disarm)

    def stop(self, fade_ms: float = 5.0) -> None:
        """Fade out what plays. What is armed stays armed."""
        self._put(lambda: self._client.stop(fade_ms))

    def set_gain(self, gain: float) -> asyncio.Future[None]:
        """Linear output gain, 0 to 4."""
        return self._put(lambda: self._client.set_gain(gain))

    def set_monitor(self, gain: float) -> asyncio.Future[None]:
        """Linear gain at which the input is heard through the output, 0 to 4."""
        return self._put(lambda: self._client.set_monitor(gain))

    def meter(self, on: bool) -> None:
        """Whether ``meters`` are told."""
        self._put(lambda: self._client.meter(on))

    def open_output(
        self,
        device: str | None = None,
        *,
        rate: int | None = None,
        channels: int = 2,
        first_channel: int = 1,
        fallback: Path | None = None,
    ) -> asyncio.Future[Opened]:
        """Change the output; what plays goes on in it. On failure the one before stays in use."""
        return self._put(
            lambda: self._client.open(
                device,
                rate=rate or self._setup.rate,
                channels=channels,
                first_channel=first_channel,
                fallback=fallback,
            )
        )

    def open_input(
        self,
        device: str | None = None,
        *,
        capture: str,
        channels: int = 2,
        first_channel: int = 1,
        everywhere: bool = False,
    ) -> asyncio.Future[InputOpened]:
        """Record an input, or ``"reastream[:PORT]"``, into the capture ring of this name from now on."""
        return self._put(
            lambda: self._client.open_input(
                device, capture=capture, channels=channels, first_channel=first_channel, everywhere=everywhere
            )
        )

    def close_input(self) -> asyncio.Future[None]:
        """Record no more."""
        return self._put(self._client.close_input)

    async def devices(self) -> tuple[DeviceInfo, ...]:
        """The devices that exist now; takes a fraction of a second, and disturbs nothing."""
        return await self._client.devices()

    def _put(self, do: Callable[[], Awaitable[Any]], label: str = "") -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._orders.put_nowait(_Order(do, answer, label))
        return answer

    async def _work(self) -> None:
        while True:
            order = await self._orders.get()
            try:
                result = await order.do()
                if not order.answer.done():
                    order.answer.set_result(result)
            except SegueError as error:
                log.warning("the audio process refused an order: %s", error.message)
                if not order.answer.done():
                    order.answer.set_exception(error)
                    order.answer.exception()  # seen: nobody has to wait for it
                if order.label:
                    self._events.unplayable(order.label)

    def _report(self, report: Report) -> None:
        events = self._events
        match report:
            case Finished(label=label, ring=ring):
                events.finished(label or ring, report.frames, report.underruns)
            case Lost():
                self._device = ""
                events.note(f"the sound output is lost: {report.reason}; it is being replaced")
                events.lost(report.reason)
            case Opened():
                self._output_runs(report)
            case Playing():
                events.playing(report)
            case Stopped():
                events.stopped(report)
            case Disarmed(label=label):
                events.disarmed(label)
            case Stats():
                events.stats(report)
            case Meters():
                events.meters(report)
            case InputOpened():
                log.info("%s is recorded at %d Hz", report.label, report.rate)
                events.input_opened(report)
            case InputLost():
                events.note(f"the sound input is lost: {report.reason}; it is opened again when it is back")
                events.input_lost(report.reason)
            case _:
                pass

    def _output_runs(self, opened: Opened) -> None:
        self._device = opened.device
        self.reason = opened.reason
        if opened.reason:
            log.warning("%s: sound is written to %s", opened.reason, opened.device.removeprefix("file:"))
        else:
            log.info("sound goes to %s at %d Hz", opened.device, opened.rate)
        self._events.opened(opened)
