"""One life of the audio process as the bridge sees it: the process, its pipe, its heartbeat."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from bridge.audio.heartbeat import Heartbeat
from bridge.audio.process import main
from bridge.audio.protocol import (
    REPORTS,
    Done,
    Failed,
    InputOpened,
    Message,
    Modules,
    Opened,
    Quit,
    Report,
    encode,
)
from bridge.supervision import child
from engine.errors import BadFormat, Busy, DiskFull, NoDevice, NoFile, NotReady, OutOfRange, SegueError

_READY_SECONDS = 30.0
_QUIT_SECONDS = 2.0
_KILL_SECONDS = 5.0
_NAMED = {kind.slug: kind for kind in (BadFormat, Busy, DiskFull, NoDevice, NoFile, NotReady, OutOfRange)}


class Link:
    """A running audio process. Its end, and reports that answer nothing, come on the event loop that made the link."""

    def __init__(self, on_report: Callable[[Link, Report], None], on_end: Callable[[Link], None]) -> None:
        context = child.CONTEXT
        self.heart = Heartbeat(context)
        self._on_report, self._on_end = on_report, on_end
        self._loop = asyncio.get_running_loop()
        mine, theirs = context.Pipe()
        self._connection: Connection = mine
        self._theirs: Connection = theirs
        self.process: SpawnProcess = context.Process(
            target=main, args=(theirs, self.heart), name="segue-audio", daemon=True
        )
        self._ready = asyncio.Event()
        self._ended = False
        self._tag = 0
        self._pending: dict[int, asyncio.Future[Report]] = {}
        self._reader = threading.Thread(target=self._read, name="audio-reports", daemon=True)

    async def start(self) -> None:
        """Start the process and wait until it takes commands. Raises :class:`NotReady` if it does not."""
        starting = asyncio.ensure_future(asyncio.to_thread(self._spawn))
        try:
            await asyncio.shield(starting)
            await asyncio.wait_for(self._ready.wait(), _READY_SECONDS)
        except TimeoutError:
            self._ended = True
        except asyncio.CancelledError:
            await starting
            await self.kill()
            raise
        if self._ended:
            await self.kill()
            raise NotReady("the audio process does not start; see its messages above")

    def send(self, command: Message) -> None:
        """Hand a command over. Raises :class:`NotReady` if the process is gone."""
        try:
            self._connection.send_bytes(encode(command))
        except OSError:
            raise NotReady("the audio process is gone and is being replaced; try again in a second") from None

    async def request(self, command: Message, patience: float) -> Report:
        """Send a command and wait for its answer.

        Raises :class:`TimeoutError` after ``patience`` seconds, :class:`NotReady` if the process goes meanwhile, and
        whatever error the process answers with.
        """
        self._tag += 1
        tag = self._tag
        answer: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self._pending[tag] = answer
        try:
            self.send(command.model_copy(update={"tag": tag}))
            return await asyncio.wait_for(answer, patience)
        except SegueError as error:
            # (Its trace leads through frames that hold the answer, which holds it: garbage only a search finds.)
            raise error.with_traceback(None)  # noqa: B904
        finally:
            self._pending.pop(tag, None)
            del answer

    def abandon(self) -> None:
        """Let nobody wait for an answer any more."""
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(NotReady("the audio process was lost and is being replaced; try again"))
        self._pending.clear()

    async def quit(self) -> None:
        """Let the process finish; kill it if it does not within 2 s."""
        with contextlib.suppress(NotReady):
            self.send(Quit())
            await asyncio.to_thread(self.process.join, _QUIT_SECONDS)
        await self.kill()

    async def kill(self) -> None:
        """End the process whatever it is doing, reap it and close the pipe."""
        self.process.kill()
        await asyncio.to_thread(self.process.join, _KILL_SECONDS)
        if self._reader.is_alive():
            await asyncio.to_thread(self._reader.join, _KILL_SECONDS)
        self._connection.close()

    def _spawn(self) -> None:
        self.process.start()
        self._theirs.close()  # so that the end of the process ends the pipe
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed first
            with contextlib.suppress(EOFError, OSError):
                while True:
                    report = REPORTS.validate_json(self._connection.recv_bytes())
                    self._loop.call_soon_threadsafe(self._deliver, report)
            self._loop.call_soon_threadsafe(self._end)

    def _deliver(self, report: Report) -> None:
        if report.kind == "ready":
            self._ready.set()
        elif isinstance(report, (Done, Opened, InputOpened, Modules, Failed)) and report.tag:
            self._settle(report)
        else:
            self._on_report(self, report)

    def _settle(self, report: Done | Opened | InputOpened | Modules | Failed) -> None:
        answer = self._pending.get(report.tag)
        if answer is None or answer.done():
            return
        if isinstance(report, Failed):
            kind = _NAMED.get(report.slug, SegueError)
            answer.set_exception(kind(report.message, code=report.code, slug=report.slug))
        else:
            answer.set_result(report)

    def _end(self) -> None:
        self._ended = True
        self._ready.set()
        self._on_end(self)
