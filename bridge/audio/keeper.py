"""Keeping the audio process: watching over its heartbeat, replacing it when it is lost, bringing a fresh one to what
should be the case.

The playing position is in the ring itself, so playback goes on with the first frame that was not read.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from bridge.audio.anchor import Anchor
from bridge.audio.devices import Looking
from bridge.audio.link import Link
from bridge.audio.process import SILENCE_LIMIT
from bridge.audio.protocol import (
    Disarmed,
    Failed,
    InputLost,
    InputOpened,
    Lost,
    Message,
    Open,
    Opened,
    OpenInput,
    Play,
    Report,
    Stats,
    Stopped,
)
from bridge.audio.wanted import Wanted
from bridge.audio.wires import Wires, look
from engine.errors import NotReady, SegueError
from engine.ring import sweep_stale

_WATCH_PERIOD = 0.25
_ANSWER_SECONDS, _OPEN_SECONDS = 5.0, 15.0
_FIRST_WAIT, _LONGEST_WAIT, _WAIT_FACTOR = 0.1, 1.0, 1.5
_INPUT_WAIT, _LONGEST_INPUT_WAIT = 2.0, 20.0  # between two looks for an input that went away,
_LONGEST_WIRE_WAIT = 5.0  # for one that the JACK server can be asked about
_MUTE_SECONDS, _LONGEST_MUTE_WAIT = (
    1.5,
    20.0,
)  # of utter silence before it is asked whether the input is wired up
_MEMORY_SECONDS = 10.0  # losses within this time make the next restart wait longer
_QUEUE_LIMIT = 1_024


class Keeper:
    """Keeps one audio process running and in the :attr:`wanted` state. All on one event loop, which it never blocks."""

    def __init__(self, on_report: Callable[[Report], None] | None = None) -> None:
        self.reports: asyncio.Queue[Report] = asyncio.Queue(_QUEUE_LIMIT)
        self.opened: Opened | None = None
        self.input_opened: InputOpened | None = None
        self.stats: Stats | None = None
        self.restarts = 0
        self._tell = on_report or self._enqueue
        self._link: Link | None = None
        self.wanted = Wanted()
        self._looking = Looking()
        self._before: Anchor | None = None  # of the stream that was lost
        self._slow_until = 0.0  # while a device is being opened the control loop may be silent
        self._losses: deque[float] = deque(maxlen=20)
        self._watcher: asyncio.Task[None] | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._regaining: asyncio.Task[None] | None = None
        self._wiring: asyncio.Task[None] | None = None
        self._heard_at = 0.0  # when the input was last anything but silent
        self._burials: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the process, after removing the rings that dead bridges left behind.

        Raises :class:`NotReady` if it cannot be started.
        """
        await asyncio.to_thread(sweep_stale)
        await self._launch()
        self._watcher = asyncio.create_task(self._watch())

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
        jobs = (self._watcher, self._recovery, self._regaining, self._wiring)
        tasks = [task for task in jobs if task is not None]
        self._watcher = self._recovery = self._regaining = self._wiring = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._burials, return_exceptions=True)
        link, self._link = self._link, None
        self.wanted, self.opened, self.input_opened = Wanted(), None, None
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

    async def _request_input(self, command: OpenInput) -> InputOpened:
        self._slow_until = time.monotonic() + _OPEN_SECONDS
        try:
            report = await self._request(command, _OPEN_SECONDS)
        finally:
            self._slow_until = 0.0
        if not isinstance(report, InputOpened):
            raise NotReady(f"the audio process answered '{report.kind}' instead of opening; restart Segue")
        return report

    async def _request(self, command: Message, patience: float = _ANSWER_SECONDS) -> Report:
        link = self._link
        if link is None:
            raise NotReady("the audio process is not running; try again in a second")
        try:
            return await link.request(command, patience)
        except TimeoutError:
            self._lose(link, f"the audio process gave no answer for {patience:.0f} s")
            raise NotReady("the audio process gave no answer and is being replaced; try again") from None

    def _receive(self, link: Link, report: Report) -> None:
        if link is not self._link:
            return
        if isinstance(report, Lost):
            self._lose(link, report.reason)
            return
        if isinstance(report, Stats):
            self.stats = report
            self._heard_at = time.monotonic() if report.in_peak else self._heard_at
        self.wanted.hears(report)
        if isinstance(report, InputLost):
            self._input_lost(report)
        elif isinstance(report, InputOpened):
            self._input_runs(report)
        else:
            self._tell(report)

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
        if self.opened and self.stats and self.stats.dac_ns:
            self._before = Anchor(self.stats.frame, self.stats.dac_ns, self.opened.rate)
        self._link, self.opened, self.input_opened = None, None, None
        link.abandon()
        burial = asyncio.create_task(link.kill())
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)
        if self._recovery is None:
            self._tell(Lost(reason=reason))
            left = self.wanted.take_leaving()
            if left is not None:
                self._tell(left)
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
                opened = None if self.wanted.open is None else await self._request_open(self.wanted.open)
            except SegueError:
                continue
            break
        self._recovery = None
        await self._restore(opened)

    async def _restore(self, opened: Opened | None) -> None:
        """Bring a fresh process to what should be the case."""
        self.opened = opened
        before, self._before = self._before, None
        if opened is not None:
            self._tell(opened)
            for command in self.wanted.restored(before, opened):
                try:
                    await self._request(command)
                except NotReady:
                    return  # lost again; the next recovery does it
                except SegueError as error:
                    self._tell(Failed(tag=0, code=error.code, slug=error.slug, message=error.message))
                    self._give_up(command)
        await self._restore_input()

    def _give_up(self, command: Message) -> None:
        """What is to be played is not there any more."""
        if isinstance(command, Play):
            gone: Report = Stopped(ring=command.ring, label=command.name, frames=0)
            if self.wanted.armed is not None and self.wanted.armed.name == command.name:
                gone = Disarmed(ring=command.ring, label=command.name)
            self.wanted.hears(gone)
            self._tell(gone)

    # -- the input -----------------------------------------------------------------------------------------

    async def _restore_input(self) -> None:
        if self.wanted.input is None:
            return
        try:
            self._input_runs(await self._request_input(self.wanted.input))
        except NotReady:
            return
        except SegueError as error:
            self._input_lost(InputLost(reason=error.message))

    def _input_runs(self, opened: InputOpened) -> None:
        if self._regaining is not None:
            self._regaining.cancel()
            self._regaining = None
        self.input_opened = opened
        self.wanted.hears(opened)
        self._tell(opened)
        self._watch_wires(opened)

    def _watch_wires(self, opened: InputOpened | None) -> None:
        """Have an eye on an input that another client of the JACK server is."""
        wiring, self._wiring = self._wiring, None
        if wiring is not None and wiring is not asyncio.current_task():
            wiring.cancel()
        if opened is not None and opened.client:
            self._heard_at = time.monotonic()
            self._wiring = asyncio.create_task(self._mind_wires(opened))

    async def _mind_wires(self, opened: InputOpened) -> None:
        """Whether the client that is recorded has quit, or has quit and come back; asked only while all is silent.

        Wires that somebody has pulled out by hand, while the client stayed, are left as they are.
        """
        first, wait = await self._wires(opened), _MUTE_SECONDS
        while True:
            quiet = time.monotonic() - self._heard_at
            if quiet < _MUTE_SECONDS:
                wait = _MUTE_SECONDS
                await asyncio.sleep(_MUTE_SECONDS - quiet)
                continue
            wires = await self._wires(opened)
            if wires is not None and not wires.outlets:
                self._input_lost(InputLost(reason=f"'{opened.device}' has left the sound server"))
                return
            if wires is not None and not wires.joined and (first is None or wires.uuid != first.uuid):
                self._input_lost(InputLost(reason=f"'{opened.device}' has left the sound server and is back"))
                return
            await asyncio.sleep(wait)
            wait = min(_LONGEST_MUTE_WAIT, wait * _WAIT_FACTOR)

    async def _wires(self, opened: InputOpened) -> Wires | None:
        return await look(opened.client, opened.device)

    def _input_lost(self, report: InputLost) -> None:
        self.input_opened, was = None, self.input_opened
        self._watch_wires(None)
        self._tell(report)
        if self._regaining is None or self._regaining.done():
            client = was if was is not None and was.client else None
            self._regaining = asyncio.create_task(self._regain_input(client))

    def _forget_input(self) -> None:
        self.wanted.input = self.input_opened = None
        self._watch_wires(None)
        if self._regaining is not None:
            self._regaining.cancel()
            self._regaining = None

    async def _regain_input(self, client: InputOpened | None) -> None:
        """Wait until the input is back. A ``client`` of the JACK server can be wired up again whatever plays; a device
        only by a fresh process (facts/daw.md §3.3), when nothing plays."""
        wait, longest = (0.0, _LONGEST_WIRE_WAIT) if client else (_INPUT_WAIT, _LONGEST_INPUT_WAIT)
        while True:
            await asyncio.sleep(wait)
            wait = min(longest, max(wait, _FIRST_WAIT) * _WAIT_FACTOR)
            wanted, link = self.wanted.input, self._link
            if wanted is None or link is None or self._recovery is not None:
                continue
            if client is not None:
                wires = await self._wires(client)
                if wires is not None and wires.outlets and await self._rewired(wanted):
                    return
            if self.wanted.idle and await self._listed(wanted) and link is self._link and self.wanted.idle:
                self._regaining = None
                self._lose(link, "the input is back, and only a fresh audio process can open it")
                return

    async def _rewired(self, wanted: OpenInput) -> bool:
        """Whether the process could open the input once more, beside what plays."""
        try:
            opened = await self._request_input(wanted)
        except SegueError:
            return False
        self._regaining = None
        self._input_runs(opened)
        return True

    async def _listed(self, wanted: OpenInput) -> bool:
        """Whether the input is there now, though the process may not know it."""
        key = (wanted.device or "").casefold()
        found = [device for device in await self._looking.listed() if device.inputs]
        return any(not key or key in (device.name.casefold(), device.label.casefold()) for device in found)

    async def _listed_output(self, wanted: Open) -> bool:
        """The same of an output that was asked for by name."""
        found = [device for device in await self._looking.listed() if device.outputs]
        key = (wanted.device or "").casefold()
        return bool(key) and any(key in (one.name.casefold(), one.label.casefold()) for one in found)
