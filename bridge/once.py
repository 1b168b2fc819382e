"""``segue serve --once``: a client of the session next door, over the real UDP socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.osc.endpoint import Address, OscEndpoint, Peer
from bridge.osc.wire import Message
from engine.errors import NotReady, SegueError

ANSWER_SECONDS = 30.0
TAG = "#once"


@dataclass(frozen=True)
class Errand:
    """What to continue: a riff, by how many bars, and in which style ("" = none)."""

    riff: Path
    bars: float = 4.0
    style: str = ""


def style_of_riff(riff: Path) -> str:
    """The style that a riff's own description (``riff.json``, as shipped) names, or ""."""
    try:
        notes: dict[str, Any] = json.loads(riff.with_suffix(".json").read_text(encoding="utf-8"))
        return "+".join(str(notes[key]) for key in ("genre", "artist") if key in notes)
    except (OSError, ValueError, TypeError):
        return ""


class OnceClient:
    """Sends the riff, asks for a continuation, and waits until it is made and played."""

    def __init__(self, on_progress: Callable[[str, float], None]) -> None:
        self._on_progress = on_progress
        self._heard: asyncio.Queue[Message] = asyncio.Queue()
        self._endpoint = OscEndpoint(self._receive)
        self._session: Address = ("", 0)

    def _receive(self, messages: list[Message], peer: Peer) -> None:
        for message in messages:
            self._heard.put_nowait(message)

    async def run(self, session: Address, errand: Errand) -> list[Path]:
        """The WAVs of the takes that were made. Raises the failure that the session reported."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(session[0], session[0])
        self._session = (host, session[1])
        await self._endpoint.listen(host, 0)
        try:
            await self._ask("/segue/notify", 1)
            await self._ask("/segue/prime/file", str(errand.riff))
            await self._set_style(errand.style)
            self._endpoint.send(self._session, "/segue/param/bars", errand.bars)
            accepted = await self._ask("/segue/generate", TAG)
            return await self._follow(str(accepted.values[1]))
        finally:
            self._endpoint.close()

    async def _set_style(self, style: str) -> None:
        """Styles are of the model's own naming; a riff's style that it does not know is left out."""
        if style:
            self._endpoint.send(self._session, "/segue/style", style)
            answer = await self._next(lambda m: m.address in ("/segue/style", "/segue/fail"))
            if answer.address == "/segue/fail":
                self._on_progress(f"without the style '{style}'", 0.0)

    async def _ask(self, address: str, *values: int | float | str) -> Message:
        """Send a request and wait for its ``/segue/done``."""
        self._endpoint.send(self._session, address, *values)
        answer = await self._next(
            lambda m: m.address in ("/segue/done", "/segue/fail") and m.values[:1] == (address,)
        )
        if answer.address == "/segue/fail":
            raise _failure(answer)
        return answer

    async def _next(self, wanted: Callable[[Message], bool]) -> Message:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while True:
                    message = await self._heard.get()
                    if wanted(message):
                        return message
        except TimeoutError:
            raise NotReady(f"the session gave no answer for {ANSWER_SECONDS:.0f} s; see the log") from None

    async def _follow(self, job: str) -> list[Path]:
        """Wait for the end of the job and of its playback."""
        takes: list[Path] = []
        made = played = False
        while not (made and played):
            message = await self._heard.get()
            values = message.values
            if message.address == "/segue/fail" and values[-1:] == (TAG,):
                raise _failure(message)
            if message.address == "/segue/take":
                takes.append(Path(str(values[8])))
            elif message.address == "/segue/sounding" and values[0] == job:
                played = values[1] != "start"
                self._on_progress("played" if played else "sampling and playing", -1.0)
            elif message.address == "/segue/job" and values[0] == job:
                if values[1] == "cancelled":
                    raise SegueError("the job was cancelled by another client")
                made = values[1] == "done"
                self._on_progress("made, playing" if made else "sampling", float(values[2] or 0.0))
        return takes


def _failure(message: Message) -> SegueError:
    _, code, slug, sentence = message.values[:4]
    return SegueError(str(sentence), code=int(code or 500), slug=str(slug))
