"""DAWs beside the session: which are there, takes on their way to them, and what was primed from where."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bridge.daw.bitwig import Bitwig
from bridge.osc.peer import Peer
from bridge.osc.wire import MAX_REPLY_TEXT_BYTES
from bridge.session.entries import TakeEntry
from bridge.session.notices import Notices
from bridge.session.takes import TakeBook
from engine.errors import BadArguments, OutOfRange, SegueError
from engine.request import PrimeRef

LEASE_SECONDS = 8  # scripts say every two seconds that they are there
ANSWER_SECONDS = 20.0
MOST_PLACES = 1_000  # primes of which it is remembered where they lie
NAMES = {"reaper": "REAPER", "ardour": "Ardour", "live": "Ableton Live", "bitwig": "Bitwig Studio"}


class DawAbsent(SegueError):
    """A DAW whose script is not there."""

    code, slug = 503, "daw_absent"


class DawTimeout(SegueError):
    """A DAW that was given a take and has not said what became of it."""

    code, slug = 504, "daw_timeout"


class DawRefused(SegueError):
    """A DAW that was given a take and could not take it."""

    code, slug = 409, "daw_refused"


@dataclass(frozen=True)
class Host:
    """A DAW whose script is there: how it is reached, and until when (monotonic seconds)."""

    peer: Peer
    version: str
    until: float


@dataclass(frozen=True)
class Mark:
    """Where a prime lies in a DAW, in the script's own words."""

    daw: str
    text: str


class Daws:
    """``file_of`` gives the file of a take for a DAW."""

    def __init__(
        self,
        notices: Notices,
        takes: TakeBook,
        file_of: Callable[[TakeEntry], Awaitable[str]],
        bitwig: Bitwig,
    ) -> None:
        self.patience = ANSWER_SECONDS
        self._notices, self._takes, self._file_of, self._bitwig = notices, takes, file_of, bitwig
        self._hosts: dict[str, Host] = {}
        self._sent = 0
        self._waiting: dict[
            int, asyncio.Future[str]
        ] = {}  # what is wrong with a take that was sent; "": nothing
        self._marks: dict[PrimeRef, Mark] = {}

    # -- who is there ---------------------------------------------------------------------------------------------

    def here(self, daw: str, version: str, peer: Peer) -> None:
        """A script says that it is there."""
        self._hosts[daw] = Host(peer, version, time.monotonic() + LEASE_SECONDS)

    @property
    def hosts(self) -> dict[str, Host]:
        """The DAWs that are there."""
        now = time.monotonic()
        self._hosts = {daw: host for daw, host in self._hosts.items() if host.until > now}
        return self._hosts

    def find(self, daw: str) -> Host:
        """Raises :class:`DawAbsent`."""
        host = self.hosts.get(daw)
        if host is None:
            raise DawAbsent(
                f"{NAMES[daw]} is not there: open it with Segue's script running in it "
                f"(segue daw install {daw} puts it in place and says how to start it)"
            )
        return host

    # -- primes ---------------------------------------------------------------------------------------------------

    def mark(self, ref: PrimeRef, daw: str, text: str) -> None:
        """Remember where a prime lies."""
        self._marks.pop(ref, None)
        self._marks[ref] = Mark(daw, text)
        while len(self._marks) > MOST_PLACES:
            del self._marks[next(iter(self._marks))]

    def place_of(self, take: TakeEntry, daw: str) -> tuple[str, float]:
        """The mark of what a take goes on from, and how many seconds behind its end the take begins.

        ``""`` where that is not known, or in another DAW.
        """
        after = 0.0
        known: TakeEntry | None = take
        while known is not None and known.request.parents:
            request = known.request
            parent = self._takes.of_folder(request.parents[-1].folder)
            if parent is not None and request.mode.value == "continue":
                after += (request.parents[-1].frames or parent.frames) / parent.rate
            known = parent
        mark = None if known is None or known.request.prime is None else self._marks.get(known.request.prime)
        return (mark.text, after) if mark is not None and mark.daw == daw else ("", 0.0)

    # -- takes ----------------------------------------------------------------------------------------------------

    async def send(self, take: TakeEntry, daw: str, track: int, slot: int) -> None:
        """Put a take into a DAW; returns when that says that it is there.

        Raises :class:`DawAbsent`, :class:`DawTimeout`, :class:`DawRefused`, and what is wrong with its file.
        """
        if daw == "bitwig":
            if not (track and slot):
                raise BadArguments("Bitwig wants a track and a slot, from 1: /segue/send 3 bitwig 2 5")
            await self._bitwig.insert(await self._file_of(take), track, slot)
            return
        self.find(daw)
        path = await self._file_of(take)
        if len(path.encode()) > MAX_REPLY_TEXT_BYTES:
            raise OutOfRange(
                f"the path of {take.name} is longer than {MAX_REPLY_TEXT_BYTES} bytes; export it elsewhere"
            )
        await self._hand_over(take, path, daw, track, slot)

    async def _hand_over(self, take: TakeEntry, path: str, daw: str, track: int, slot: int) -> None:
        host = self.find(daw)
        mark, after = self.place_of(take, daw)
        self._sent += 1
        number, answer = self._sent, asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        request = take.request
        told = (float(take.seconds), float(request.bpm or 0.0), request.seed)
        try:
            self._notices.reply(
                host.peer,
                "/segue/daw/take",
                number,
                take.number,
                path,
                take.name,
                *told,
                track,
                slot,
                after,
                mark,
            )
            why = await asyncio.wait_for(answer, self.patience)
        except TimeoutError:
            raise DawTimeout(
                f"{NAMES[daw]} has not answered for {self.patience:.0f} s; if a dialog is open there, close it, "
                f"look whether {take.name} is there, and else send it again"
            ) from None
        finally:
            del self._waiting[number]
        if why:
            raise DawRefused(f"{NAMES[daw]} did not take {take.name}: {why}")

    def answered(self, send: int, why: str = "") -> None:
        """A DAW has taken a take, or says ``why`` not. Raises :class:`OutOfRange` for a number that is not awaited."""
        answer = self._waiting.get(send)
        if answer is None or answer.done():
            raise OutOfRange(f"no take is on its way as number {send}; it was answered, or given up")
        answer.set_result(why)
