"""Exports of a session: computed and written by a process of their own, one after the other."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pydantic import ValidationError

from bridge.osc.peer import Peer
from bridge.session.properties import Properties
from bridge.supervision.worker import Worker
from engine.errors import SegueError
from export.tracks.orders import ANSWERS, QUIT, Order, Written
from export.tracks.targets import EXPORTS

PROCESS = "export.tracks.process:main"
FOLDER = "/segue/export/folder"
IDLE_SECONDS = 30.0  # without an export, after which the process ends
MOST_SECONDS = 300.0  # of one export: longer, and something hangs


class Exporting:
    """``takes``: the takes folder, in which exports lie unless another folder was chosen."""

    def __init__(self, takes: Path, properties: Properties) -> None:
        self.chosen = ""  # absolute path, "" for the usual one
        self._usual, self._properties = takes / EXPORTS, properties
        self._turn = asyncio.Lock()
        self._worker: Worker | None = None
        self._answer: asyncio.Future[Written] | None = None
        self._idle: asyncio.TimerHandle | None = None
        properties.add(FOLDER, lambda: (str(self.folder),))

    @property
    def folder(self) -> Path:
        """Where exports are written."""
        return Path(self.chosen) if self.chosen else self._usual

    def choose(self, path: str, also: Peer | None = None) -> None:
        """Write to this folder from now on; ``""``: the usual one. It is made when something is written."""
        self.chosen = path
        self._properties.publish(FOLDER, also)

    async def write(self, take: str, target: str) -> Written:
        """Export the take in this folder.

        Raises what was wrong, also when the process dies or hangs.
        """
        out = str(self.folder.absolute())
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            loop = asyncio.get_running_loop()
            try:
                worker = await self._started()
                self._answer = loop.create_future()
                worker.send(Order(takes=(take,), target=target, out=out).model_dump_json().encode())
                written = await asyncio.wait_for(self._answer, MOST_SECONDS)
            except TimeoutError:
                self.close()
                raise SegueError(
                    f"the export did not end within {MOST_SECONDS:.0f} s and was given up; "
                    f"is the disk of '{out}' there?"
                ) from None
            except OSError as error:
                raise SegueError(f"the process that exports cannot be started ({error.strerror})") from error
            finally:
                self._answer = None
                self._idle = loop.call_later(IDLE_SECONDS, self.close)
            return written

    async def _started(self) -> Worker:
        if self._worker is None:
            worker = Worker("segue-export", self._said, lambda code: self._ended(worker, code))
            self._worker = worker
            await worker.start(PROCESS, {})
        return self._worker

    def _said(self, message: bytes) -> None:
        if self._answer is None or self._answer.done():
            return
        try:
            answer = ANSWERS.validate_json(message)
        except ValidationError as error:
            self._answer.set_exception(
                SegueError(f"the process that exports answered nonsense ({error.title})")
            )
            return
        if isinstance(answer, Written):
            self._answer.set_result(answer)
        else:
            self._answer.set_exception(SegueError(answer.message, code=answer.code, slug=answer.slug))

    def _ended(self, worker: Worker, code: int | None) -> None:
        if self._worker is not worker:
            return
        self._worker = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(
                SegueError(
                    f"the process that exports ended early (exit code {code}); the take is as it was, try again"
                )
            )

    def close(self) -> None:
        """End the process: at once while it is at work, which leaves no file under a final name."""
        if self._idle is not None:
            self._idle.cancel()
        worker, self._worker = self._worker, None
        if worker is None:
            return
        if self._answer is None:
            worker.send(QUIT)
        else:
            worker.kill()
