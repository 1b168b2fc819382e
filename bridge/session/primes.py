"""The current prime and the primes that the engine is still reading."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bridge.osc.endpoint import Peer
from bridge.session.entries import TakeEntry, beyond
from bridge.session.notices import Notices
from bridge.session.settings import tempo_of
from engine.errors import BadFormat, NoFile, NotReady, PathNotAllowed, QueueFull, SegueError
from engine.host.protocol import Command, Failed, PrimeReady, TakePrime
from engine.request import PrimeRef

ADDRESS = "/segue/prime/file"
MOST_ATTEMPTS = 2
MOST_PENDING = 8  # that the engine has been asked to read: a flood of them would keep jobs waiting


@dataclass
class Prime:
    """One prime: pending until ``settled`` is set; then either ``error`` is set or seconds, rate and bpm hold.

    ``take``: the take that it is, up to ``frames`` of it (None: all): its codes are continued, not its sound.
    """

    id: str
    ref: PrimeRef
    requester: Peer
    request_tag: str
    address: str = ADDRESS  # that it was asked for at
    seconds: float = 0.0
    rate: int = 0
    bpm: float | None = None
    take: TakeEntry | None = None
    frames: int | None = None
    tempo: float | None = None  # that was told with it
    end_seconds: float | None = None  # where it ends on the DAW's time line
    error: SegueError | None = None
    attempts: int = 0
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        """The file's name, or the take's."""
        return Path(self.ref.path).name if self.take is None else self.take.name


def allowed_path(path: str, roots: tuple[Path, ...]) -> str:
    """The real path of a file that a remote client names (it may block: run it in a thread).

    Raises :class:`PathNotAllowed` when it is outside every root, links followed.
    """
    real = Path(path).resolve()
    if any(real.is_relative_to(root.resolve()) for root in roots):
        return str(real)
    allowed = ", ".join(str(root) for root in roots) or "none"
    raise PathNotAllowed(
        f"{path} is outside the folders open to other hosts ({allowed}); serve with --allow FOLDER"
    )


def absolute_path(path: str) -> str:
    """A path as the engine takes it: absolute, with ``~`` replaced. Raises :class:`NoFile` for a relative one."""
    try:
        expanded = Path(path).expanduser() if path.startswith("~") else Path(path)
    except RuntimeError as error:
        raise NoFile(f"the path '{path}' names a user who is not there; give the whole path") from error
    if not expanded.is_absolute():
        raise NoFile(f"the path '{path}' is relative; give the whole path, such as /home/me/riff.wav")
    return str(expanded)


class PrimeDesk:
    """Hands primes to the engine and keeps the current one.

    ``on_settled`` is called for every prime that became usable or failed.
    """

    def __init__(
        self, send: Callable[[Command], None], notices: Notices, on_settled: Callable[[], None]
    ) -> None:
        self.current: Prime | None = None
        self._send = send
        self._notices = notices
        self._on_settled = on_settled
        self._pending: dict[str, Prime] = {}
        self._fallback: Prime | None = None
        self._count = 0

    def take(self, ref: PrimeRef, requester: Peer, request_tag: str, address: str = ADDRESS) -> Prime:
        """Make a new prime the current one; the engine reads it when :meth:`submit` is called."""
        if len(self._pending) >= MOST_PENDING:
            raise QueueFull(f"{MOST_PENDING} primes are being read; wait until one of them is")
        if self.current is not None and self.current.settled.is_set():
            self._fallback = self.current
        self._count += 1
        prime = Prime(f"P{self._count}", ref, requester, request_tag, address)
        self._pending[prime.id] = prime
        self.current = prime
        return prime

    def go_on_from(
        self, take: TakeEntry, frames: int | None, requester: Peer, request_tag: str, address: str = ADDRESS
    ) -> None:
        """Make a take, or its first ``frames``, the current prime. Raises :class:`OutOfRange` for more than it has."""
        if frames is not None and not 1 <= frames <= take.held:
            raise beyond(take, frames)
        used = (take.frames or take.held) if frames is None else frames
        ref = PrimeRef(path=take.wav, length_seconds=used / take.rate)
        prime = self.take(ref, requester, request_tag)
        prime.address, prime.take, prime.frames = address, take, frames
        prime.seconds, prime.rate, prime.bpm = used / take.rate, take.rate, take.request.bpm
        self.settle(prime, None)

    def submit(self, prime: Prime) -> None:
        """Send a prime to the engine."""
        prime.attempts += 1
        try:
            named = tempo_of(prime.ref.path, prime.tempo, None)
            self._send(TakePrime(tag=prime.id, prime=prime.ref, bpm=named))
        except NotReady as error:
            self.settle(prime, error)

    def clear(self) -> None:
        """Forget the current prime; jobs that have it keep it."""
        self.current = self._fallback = None

    def back_to(self, prime: Prime | None) -> None:
        """Make a prime that was there before the current one again."""
        self.current = prime
        self.announce()
        self._on_settled()

    def pending_of(self, peer: Peer) -> list[Prime]:
        """Primes that this client waits for."""
        return [prime for prime in self._pending.values() if prime.requester == peer]

    def ready(self, report: PrimeReady) -> None:
        """The engine has read a prime."""
        prime = self._pending.get(report.tag)
        if prime is None:
            return
        prime.seconds, prime.rate, prime.bpm = (
            report.seconds,
            report.rate,
            tempo_of(prime.ref.path, prime.tempo, report.bpm),
        )
        self.settle(prime, None)

    def failed(self, report: Failed) -> bool:
        """The engine refused a prime; False when the report is about something else."""
        prime = self._pending.get(report.tag)
        if prime is not None:
            self.settle(prime, SegueError(report.message, code=report.code, slug=report.slug))
        return prime is not None

    def engine_is_back(self) -> None:
        """Send what a dead engine took with it; a prime that killed it twice is given up."""
        for prime in list(self._pending.values()):
            if prime.attempts >= MOST_ATTEMPTS:
                self.settle(
                    prime, BadFormat(f"the engine died twice while reading {prime.name}; use another file")
                )
            elif prime.attempts:
                self.submit(prime)

    def engine_has_failed(self, error: SegueError) -> None:
        """No engine is going to read what is pending."""
        for prime in list(self._pending.values()):
            self.settle(prime, error)

    def settle(self, prime: Prime, error: SegueError | None) -> None:
        """End a pending prime and tell the client that asked, and the subscribers."""
        self._pending.pop(prime.id, None)
        prime.error = error
        prime.settled.set()
        if error is not None:
            if self.current is prime:
                self.current = self._fallback  # a mistyped path does not cost the prime that was there
            self._notices.fail(prime.requester, prime.request_tag, prime.address, error)
        else:
            self._notices.done(
                prime.requester, prime.request_tag, prime.address, prime.id, float(prime.seconds), prime.rate
            )
            if self.current is prime:
                self.announce()
        self._on_settled()

    def announce(self, peer: Peer | None = None) -> None:
        """``/segue/prime id seconds bpm name`` to all subscribers, or to one client."""
        prime = self.current
        values: tuple[str, float, float, str] = ("", 0.0, 0.0, "")
        if prime is not None:
            values = (prime.id, float(prime.seconds), float(prime.bpm or 0.0), prime.name)
        if peer is None:
            self._notices.publish("/segue/prime", *values)
        else:
            self._notices.reply(peer, "/segue/prime", *values)
