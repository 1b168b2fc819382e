"""The bridge's side of the audio process: commands, reports, and a fresh process whenever the old one is
lost.

What should be the case (device, ring, gain) is kept here; a new process is brought to it. The playing
position is in the ring itself, so playback goes on with the first frame that was not read.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from bridge.audio.link import Link
from bridge.audio.process import SILENCE_LIMIT
from bridge.audio.protocol import (
    Done,
    Drain,
    Failed,
    Finished,
    ListModules,
    Lost,
    Message,
    Modules,
    Open,
    Opened,
    Play,
    Playing,
    Report,
    SetGain,
    Stats,
    Stop,
)
from engine.errors import (
    BadFormat,
    DiskFull,
    NoDevice,
    NoFile,
    NotReady,
    OutOfRange,
    SegueError,
)
from engine.ring import sweep_stale

_WATCH_PERIOD = 0.25
_ANSWER_SECONDS, _OPEN_SECONDS = 5.0, 15.0
_FIRST_WAIT, _LONGEST_WAIT, _WAIT_FACTOR = 0.1, 1.0, 1.5
_MEMORY_SECONDS = 10.0  # losses within this time make the next restart wait longer
_QUEUE_LIMIT = 1_024
_NAMED = {kind.slug: kind for kind in (BadFormat, DiskFull, NoDevice, NoFile, OutOfRange)}


class AudioClient:
    """Owns the audio process. All methods run on one event loop and none of them blocks it.

    Reports go to ``on_report`` (called on the loop), or to the queue :attr:`reports` if there is none; when
    nobody empties the queue, the oldest are dropped. A loss is told as :class:`Lost`, the recovery as
    :class:`Opened`.
    """

    def __init__(self, on_report: Callable[[Report], None] | None = None) -> None:
        self.reports: asyncio.Queue[Report] = asyncio.Queue(_QUEUE_LIMIT)
        self.opened: Opened | None = None
        self.stats: Stats | None = None
        self.restarts = 0
        self._tell = on_report or self._enqueue
        self._link: Link | None = None
        self._open: Open | None = None
        self._play: Play | None = None
        self._begun = False
        self._gain = 1.0
        self._tag = 0
        self._pending: dict[int, asyncio.Future[Report]] = {}
        self._slow_until = 0.0  # while a device is being opened the control loop may be silent
        self._losses: deque[float] = deque(maxlen=20)
        self._watcher: asyncio.Task[None] | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._burials: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the process, after removing the rings that dead bridges left behind.

        Raises :class:`NotReady` if it cannot be started.
        """
        await asyncio.to_thread(sweep_stale)
        await self._launch()
        self._watcher = asyncio.create_task(self._watch())

    async def open(
        self,
        device: str | None = None,
        *,
        rate: int = 44_100,
        block_frames: int = 0,
        channels: int = 2,
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
            fallback=None if fallback is None else str(fallback),
        )
        opened = await self._request_open(command)
        # When a device is lost its return is waited for: a take must not end up in a file unasked.
        again = {"append": True, "fallback": None if opened.audible else command.fallback}
        self._open = command.model_copy(update=again)
        if self._recovery is not None:  # the user chose another device while the lost one was waited for
            self._recovery.cancel()
            self._recovery = None
            await self._restore(opened)
        else:
            self.opened = opened
            self._tell(opened)
        return opened

    async def play(
        self,
        ring: str,
        *,
        prebuffer_frames: int = 0,
        resume_frames: int = 4_410,
        total_frames: int | None = None,
    ) -> None:
        """Play a ring from its next unread frame on (see :class:`Play`); again for the same ring to change
        numbers.

        While the process is being replaced this is remembered and done then. Raises :class:`NoFile` if
        there is no such ring, :class:`NotReady` if nothing was opened.
        """
        if self._open is None:
            raise NotReady("no output is open; open one before playing")
        command = _build(
            Play,
            ring=ring,
            prebuffer_frames=prebuffer_frames,
            resume_frames=resume_frames,
            total_frames=total_frames,
        )
        if self._play is None or self._play.ring != ring:
            self._begun = False
        previous, self._play = self._play, command
        try:
            await self._do(command)
        except (NoFile, BadFormat):
            self._play = previous
            raise

    async def stop(self, fade_ms: float = 5.0) -> None:
        """Fade out; unread frames stay in the ring, and playing it again goes on from there."""
        command = _build(Stop, fade_ms=fade_ms)
        self._play = None
        await self._do(command)

    async def drain(self) -> None:
        """Skip what waits in the ring that is being played."""
        await self._do(Drain())

    async def set_gain(self, gain: float) -> None:
        """Linear output gain, 0 to 4, kept over restarts."""
        command = _build(SetGain, gain=gain)
        self._gain = gain
        await self._do(command)

    async def modules(self) -> list[str]:
        """Names of the Python modules that the audio process has loaded."""
        report = await self._request(ListModules())
        return report.names if isinstance(report, Modules) else []

    @property
    def pid(self) -> int | None:
        """The audio process, None while there is none."""
        return self._link.process.pid if self._link else None

    @property
    def recovering(self) -> bool:
        """Whether a lost process or device is being replaced."""
        return self._recovery is not None

    async def close(self) -> None:
        """Fade out and end the process; it is killed if it does not come back. May be called twice."""
        tasks = [task for task in (self._watcher, self._recovery) if task is not None]
        self._watcher = self._recovery = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._burials, return_exceptions=True)
        link, self._link = self._link, None
        self._abandon_pending()
        self._open = self._play = self.opened = None
        if link is not None:
            await link.quit()

    # -- talking to the process ----------------------------------------------------------------------------

    async def _do(self, command: Message) -> None:
        """Carry a command out now, or leave it to the recovery that is under way."""
        if self._recovery is None:
            try:
                await self._request(command)
            except NotReady:
                if self._recovery is None:
                    raise

    async def _request_open(self, command: Open) -> Opened:
        self._slow_until = time.monotonic() + _OPEN_SECONDS
        try:
            report = await self._request(command, _OPEN_SECONDS)
        finally:
            self._slow_until = 0.0
        if not isinstance(report, Opened):
            raise NotReady(f"the audio process answered '{report.kind}' instead of opening; restart Segue")
        return report

    async def _request(self, command: Message, patience: float = _ANSWER_SECONDS) -> Report:
        link = self._link
        if link is None:
            raise NotReady("the audio process is not running; try again in a second")
        self._tag += 1
        tag = self._tag
        answer: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self._pending[tag] = answer
        try:
            link.send(command.model_copy(update={"tag": tag}))
            return await asyncio.wait_for(answer, patience)
        except TimeoutError:
            self._lose(link, f"the audio process gave no answer for {patience:.0f} s")
            raise NotReady("the audio process gave no answer and is being replaced; try again") from None
        finally:
            self._pending.pop(tag, None)

    def _receive(self, link: Link, report: Report) -> None:
        if link is not self._link:
            return
        if isinstance(report, (Done, Opened, Modules, Failed)) and report.tag:
            self._settle(report)
            return
        if isinstance(report, Lost):
            self._lose(link, report.reason)
            return
        if isinstance(report, Stats):
            self.stats = report
        if isinstance(report, Playing):
            self._begun = True
        if isinstance(report, Finished) and self._play and self._play.ring == report.ring:
            self._play = None
        self._tell(report)

    def _settle(self, report: Done | Opened | Modules | Failed) -> None:
        answer = self._pending.get(report.tag)
        if answer is None or answer.done():
            return
        if isinstance(report, Failed):
            kind = _NAMED.get(report.slug, SegueError)
            answer.set_exception(kind(report.message, code=report.code, slug=report.slug))
        else:
            answer.set_result(report)

    def _enqueue(self, report: Report) -> None:
        if self.reports.full():
            self.reports.get_nowait()
        self.reports.put_nowait(report)

    # -- losing and replacing it ---------------------------------------------------------------------------

    async def _launch(self) -> None:
        link = Link(self._receive, lambda link: self._lose(link, "the audio process ended"))
        await link.start()
        self._link = link

    async def _watch(self) -> None:
        """Look at the heartbeat; two looks in a row must find it silent, lest a sleeping machine count."""
        strikes = 0
        while True:
            await asyncio.sleep(_WATCH_PERIOD)
            link = self._link
            silent = link is not None and self._recovery is None and self._silence(link)
            strikes = strikes + 1 if silent else 0
            if link is not None and silent and strikes > 1:
                strikes = 0
                self._lose(link, silent)

    def _silence(self, link: Link) -> str:
        """What is silent for too long, as a reason; empty if all is well."""
        if time.monotonic() < self._slow_until:
            return ""
        if link.heart.control_age > SILENCE_LIMIT:
            return f"the audio process has been silent for {link.heart.control_age:.1f} s"
        if link.heart.output_age > SILENCE_LIMIT:
            return f"the device has asked for no sound for {link.heart.output_age:.1f} s"
        return ""

    def _lose(self, link: Link, reason: str) -> None:
        if link is not self._link:
            return
        self._link, self.opened = None, None
        self._abandon_pending()
        burial = asyncio.create_task(link.kill())
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)
        if self._recovery is None:
            self._tell(Lost(reason=reason))
            self._losses.append(time.monotonic())
            self._recovery = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        """Start a process, open the device, go on playing; as often as it takes (the device may be away)."""
        recent = sum(time.monotonic() - lost < _MEMORY_SECONDS for lost in self._losses)
        wait = 0.0 if recent < 2 else _FIRST_WAIT * _WAIT_FACTOR**recent
        while True:
            if self._burials:
                await asyncio.wait(self._burials)  # unlike gather, leaves them be when this is cancelled
            await asyncio.sleep(min(wait, _LONGEST_WAIT))
            wait = max(_FIRST_WAIT, wait * _WAIT_FACTOR)
            try:
                if self._link is None:
                    await self._launch()
                    self.restarts += 1
                opened = None if self._open is None else await self._request_open(self._open)
            except SegueError:
                continue
            break
        self._recovery = None
        await self._restore(opened)

    async def _restore(self, opened: Opened | None) -> None:
        """Bring a fresh process to what should be the case."""
        self.opened = opened
        if opened is not None:
            self._tell(opened)
        try:
            await self._request(SetGain(gain=self._gain))
            if self._play is not None:
                await self._request(self._continued(self._play))
        except NotReady:
            return  # lost again; the next recovery does it
        except SegueError as error:
            self._play = None
            self._tell(Failed(tag=0, code=error.code, slug=error.slug, message=error.message))

    def _continued(self, play: Play) -> Play:
        if not self._begun:
            return play
        return play.model_copy(update={"prebuffer_frames": play.resume_frames, "fade_in": True})

    def _abandon_pending(self) -> None:
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(NotReady("the audio process was lost and is being replaced; try again"))
        self._pending.clear()


_Command = TypeVar("_Command", bound=Message)


def _build(kind: type[_Command], **fields: object) -> _Command:
    """A command whose numbers are in range. Raises :class:`OutOfRange` naming the first that is not."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name, rule = first["loc"][0], first["msg"].replace("Input should be", "it must be")
        raise OutOfRange(f"{name} is {first['input']}, but {rule}") from None
