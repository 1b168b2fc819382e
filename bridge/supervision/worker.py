"""One spawned process with its pipe: a thread reads it, a thread writes it, the event loop never waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import queue
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from bridge.supervision import child

JOIN_SECONDS = 2.0


class Worker:
    """A child process that speaks bytes over a pipe.

    ``on_bytes`` and ``on_exit`` are called in the event loop; ``on_exit`` exactly once, with the exit code
    (negative: the signal). ``heard_at`` is the monotonic time of the last message, kept by the reading thread so
    that a busy event loop does not look like a silent child.
    """

    def __init__(
        self, name: str, on_bytes: Callable[[bytes], None], on_exit: Callable[[int | None], None]
    ) -> None:
        self._name = name
        self._on_bytes = on_bytes
        self._on_exit = on_exit
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._process: multiprocessing.process.BaseProcess | None = None
        self._exited = asyncio.Event()
        self.heard_at = time.monotonic()

    @property
    def pid(self) -> int | None:
        """The child's process id; None before it is started."""
        return self._process.pid if self._process else None

    async def start(self, target: str, options: dict[str, Any]) -> None:
        """Spawn the child on ``module:function(connection, options)``."""
        await asyncio.to_thread(self._spawn, target, options)

    def _spawn(self, target: str, options: dict[str, Any]) -> None:
        context = child.CONTEXT
        ours, theirs = context.Pipe(duplex=True)
        process = context.Process(
            target=child.run, args=(target, theirs, options), name=self._name, daemon=True
        )
        process.start()
        theirs.close()  # or the end of the child would never be seen on our end
        self._process = process
        self.heard_at = time.monotonic()
        threading.Thread(target=self._read, args=(ours,), name=f"{self._name}-read", daemon=True).start()
        threading.Thread(target=self._write, args=(ours,), name=f"{self._name}-write", daemon=True).start()

    def send(self, message: bytes) -> None:
        """Hand a message to the writing thread; returns at once."""
        self._outbox.put(message)

    def kill(self) -> None:
        """End the child now (SIGKILL); ``on_exit`` follows."""
        if self._process is not None:
            self._process.kill()

    async def wait(self, timeout: float) -> bool:
        """Whether the child has ended within ``timeout`` seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._exited.wait(), timeout)
        return self._exited.is_set()

    def _read(self, connection: Connection) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                message = connection.recv_bytes()
                self.heard_at = time.monotonic()
                self._post(self._on_bytes, message)
        assert self._process is not None
        self._process.join(JOIN_SECONDS)
        if self._process.is_alive():  # it closed its pipe and lives on
            self._process.kill()
            self._process.join()
        self._outbox.put(None)
        self._post(self._ended, self._process.exitcode)

    def _write(self, connection: Connection) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            while (message := self._outbox.get()) is not None:
                connection.send_bytes(message)

    def _post(self, call: Callable[..., None], argument: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(call, argument)

    def _ended(self, exit_code: int | None) -> None:
        self._exited.set()
        self._on_exit(exit_code)
