"""Running a session from the command line: signals, the status block, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bridge.garbage import search_less
from bridge.once import Errand, OnceClient
from bridge.session.core import Session, SessionSetup
from engine.host.protocol import Ready

INTERRUPTED = 130
SWITCH_SECONDS = 0.0005

Tell = Callable[[str, float], None]


class Stopping(Protocol):
    """What a second Ctrl-C needs."""

    def kill(self) -> None:
        """End the other processes at once."""


async def serve(setup: SessionSetup, console: Console, errand: Errand | None = None) -> None:
    """Serve until SIGINT, SIGTERM or ``/segue/quit``; with an ``errand``, until that is done.

    Raises what kept the session from starting or the errand from being done.
    """
    session = Session(setup)
    interrupted = asyncio.Event()
    _on_signals(session, interrupted)
    tasks = [
        asyncio.create_task(waiting) for waiting in (_work(session, console, errand), interrupted.wait())
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
        else:
            console.print("stopping (Ctrl-C again to kill)")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await session.stop()


def _on_signals(session: Stopping, interrupted: asyncio.Event) -> None:
    """The first signal ends the session, the second kills everything."""

    def received() -> None:
        if interrupted.is_set():
            session.kill()
            os._exit(INTERRUPTED)
        interrupted.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, received)
        except NotImplementedError:  # Windows: the handler runs between bytecodes instead
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(received))


async def _work(session: Session, console: Console, errand: Errand | None) -> None:
    with console.status("starting the engine and the audio process"):
        await session.start()
        ready = await session.wait_ready()
    search_less()
    console.print(_status_block(session, ready))
    if errand is None:
        await session.ended.wait()
        return
    takes = await _with_progress(console, lambda tell: OnceClient(tell).run(session.address, errand))
    for take in takes:
        console.print(f"take: {take}", soft_wrap=True, highlight=False)


async def _with_progress(console: Console, work: Callable[[Tell], Awaitable[list[Path]]]) -> list[Path]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("sending the riff", total=1.0)

        def tell(what: str, fraction: float) -> None:
            progress.update(task, description=what, completed=fraction if fraction >= 0 else None)

        return await work(tell)


def _status_block(session: Session, ready: Ready) -> Panel:
    """One readable block: where to send OSC, what makes the music, where it is heard and filed."""
    host, port = session.address
    known = f"{len(ready.genres) - 1} genres, {len(ready.artists) - 1} artists"
    rows = {
        "OSC": f"{host}:{port} (UDP and TCP); try: oscsend {host} {port} /segue/test",
        "OSCQuery": _query_line(session),
        "model": f"{ready.model}, {ready.rate} Hz, {known}, loaded in {ready.seconds:.1f} s",
        "sound": _sound_line(session),
        "takes": str(session.takes),
        "quit": "Ctrl-C, or /segue/quit",
    }
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(f"[bold]{name}[/bold]", value)
    return Panel(table, title="Segue", expand=False)


def _query_line(session: Session) -> str:
    address, announcement = session.query.address, session.query.announcement
    return "off" if address is None else f"http://{address[0]}:{address[1]}, {announcement.sentence}"


def _sound_line(session: Session) -> str:
    sound = session.sound
    if sound.audible:
        return f"{sound.device}, {sound.latency_ms:.0f} ms"
    if sound.device.startswith("file:"):
        why = sound.reason or "as asked"
        return f"no device plays; sound is written to {sound.device.removeprefix('file:')} ({why})"
    return "no device plays and no file is written"


def run(setup: SessionSetup, console: Console, errand: Errand | None = None) -> None:
    """:func:`serve` in an event loop of its own."""
    # A thread that computes (reading files, writing the log) may keep the loop waiting this long whenever it sends.
    sys.setswitchinterval(SWITCH_SECONDS)
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(serve(setup, console, errand))
