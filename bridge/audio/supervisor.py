"""The bridge's side of the audio process: what can be asked of it, and its reports."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from bridge.audio.keeper import Keeper
from bridge.audio.protocol import (
    CloseInput,
    DeviceInfo,
    Disarm,
    Drain,
    InputOpened,
    ListModules,
    Message,
    Meter,
    Modules,
    Open,
    Opened,
    OpenInput,
    Play,
    SetGain,
    SetMonitor,
    Stop,
)
from engine.errors import BadArguments, BadFormat, NoDevice, NoFile, NotReady, OutOfRange

_AFRESH_SECONDS = 8.0  # for a fresh process to open a device


class AudioClient(Keeper):
    """Owns the audio process. All methods run on one event loop and none of them blocks it.

    ``start`` and ``close`` begin and end it. Reports go to ``on_report`` (called on the loop), or to the queue
    :attr:`reports` if there is none; when nobody empties the queue, the oldest are dropped. A loss is told as
    :class:`Lost`, the recovery as :class:`Opened`; those of an input as :class:`InputLost` and :class:`InputOpened`.
    """

    async def open(
        self,
        device: str | None = None,
        *,
        rate: int = 44_100,
        block_frames: int = 0,
        channels: int = 2,
        first_channel: int = 1,
        fallback: Path | None = None,
    ) -> Opened:
        """Open an output (see :class:`Open`); what is playing goes on in it.

        Raises :class:`NoDevice` naming the nearest devices; then the output that was open before stays in
        use.
        """
        command = _build(
            Open,
            device=device,
            rate=rate,
            block_frames=block_frames,
            channels=channels,
            first_channel=first_channel,
            fallback=None if fallback is None else str(fallback),
        )
        try:
            opened = await self._request_open(command)
        except NoDevice as error:
            if await self._listed_output(command):
                return await self._open_afresh(command, error)
            raise
        # When a device is lost its return is waited for: a take must not end up in a file unasked.
        again = {"append": True, "fallback": None if opened.audible else command.fallback}
        self.wanted.open = command.model_copy(update=again)
        if self._recovery is not None:  # the user chose another device while the lost one was waited for
            self._recovery.cancel()
            self._recovery = None
            await self._restore(opened)
        else:
            self.opened = opened
            self._tell(opened)
        return opened

    async def _open_afresh(self, command: Open, error: NoDevice) -> Opened:
        """Open a device that came after the process had looked: a fresh process finds it, and goes on playing."""
        before, link = self.wanted.open, self._link
        self.wanted.open = command.model_copy(update={"append": True, "fallback": None})
        if link is not None:
            self._lose(link, "another device has come, which only a fresh audio process can open")
        if self._recovery is not None:
            await asyncio.wait([self._recovery], timeout=_AFRESH_SECONDS)
        if self.opened is None or self.wanted.open is None or self._recovery is not None:
            self.wanted.open = before  # the recovery goes back to it
            raise error
        return self.opened

    async def play(self, ring: str = "", *, file: Path | None = None, **how: object) -> None:
        """Play a ring or a file; ``how`` are the fields of :class:`Play`. Again for the same label to change numbers.

        While the process is being replaced this is remembered and done then. Raises :class:`NoFile` if there is no such
        ring or file, :class:`BadFormat` if it is none that can be played, :class:`NotReady` if nothing was opened.
        """
        if self.wanted.open is None:
            raise NotReady("no output is open; open one before playing")
        command = _build(Play, ring=ring, file=None if file is None else str(file), **how)
        before = replace(self.wanted)
        self.wanted.plays(command)
        try:
            await self._do(command)
        except (NoFile, BadFormat):
            self.wanted = before
            raise

    async def disarm(self) -> None:
        """Take back what is armed, if anything; told as :class:`Disarmed`, unless it had begun."""
        await self._do(Disarm())
        if self.recovering:
            self.wanted.armed = None

    async def stop(self, fade_ms: float = 5.0) -> None:
        """Fade out; unread frames stay in the ring, and playing it again goes on from there. What is armed stays so."""
        command = _build(Stop, fade_ms=fade_ms)
        self.wanted.play = None
        await self._do(command)

    async def drain(self) -> None:
        """Skip what waits in the ring that is being played."""
        await self._do(Drain())

    async def set_gain(self, gain: float) -> None:
        """Linear output gain, 0 to 4, kept over restarts."""
        command = _build(SetGain, gain=gain)
        self.wanted.gain = gain
        await self._do(command)

    async def set_monitor(self, gain: float) -> None:
        """Linear gain, 0 to 4, at which the input is heard; kept over restarts."""
        command = _build(SetMonitor, gain=gain)
        self.wanted.monitor = gain
        await self._do(command)

    async def meter(self, on: bool) -> None:
        """Whether :class:`Meters` are reported; kept over restarts."""
        self.wanted.metering = on
        await self._do(Meter(on=on))

    async def open_input(
        self,
        device: str | None = None,
        *,
        capture: str,
        channels: int = 2,
        first_channel: int = 1,
        everywhere: bool = False,
    ) -> InputOpened:
        """Record an input into a capture ring (see :class:`OpenInput`) until :meth:`close_input`, over all losses.

        Raises :class:`NoDevice` naming the nearest inputs; then there is none.
        """
        command = _build(
            OpenInput,
            device=device,
            capture=capture,
            channels=channels,
            first_channel=first_channel,
            everywhere=everywhere,
        )
        self._forget_input()
        try:
            opened = await self._request_input(command)
        except NoDevice:
            if self.wanted.open is None or not await self._listed(command):
                raise
            await self._request_open(
                self.wanted.open
            )  # it came after the process had looked: this looks again
            opened = await self._request_input(command)
        self.wanted.input = command
        self._input_runs(opened)
        return opened

    async def close_input(self) -> None:
        """Record no more."""
        self._forget_input()
        await self._do(CloseInput())

    async def devices(self) -> tuple[DeviceInfo, ...]:
        """The devices that exist now, also those that came after the process was started."""
        return await self._looking.listed()

    async def modules(self) -> list[str]:
        """Names of the Python modules that the audio process has loaded."""
        report = await self._request(ListModules())
        return report.names if isinstance(report, Modules) else []


_Command = TypeVar("_Command", bound=Message)


def _build(kind: type[_Command], **fields: object) -> _Command:
    """A command whose numbers are in range. Raises :class:`OutOfRange` naming the first that is not."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise BadArguments(first["msg"].removeprefix("Value error, ")) from None
        name, rule = first["loc"][0], first["msg"].replace("Input should be", "it must be")
        raise OutOfRange(f"{name} is {first['input']}, but {rule}") from None
