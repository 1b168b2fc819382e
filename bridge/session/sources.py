"""What a job makes: the one place where a session's requests are built, of a prime or of an earlier take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from bridge.session.choices import Choices
from bridge.session.entries import TakeEntry, beyond
from bridge.session.primes import Prime
from bridge.session.settings import build_request
from engine.errors import NoCodes
from engine.host.protocol import Ready
from engine.request import Fidelity, Mode, Place, PrimeRef, Request, TakeRef


class Source(Protocol):
    """Where a job's request comes from, and how many takes are made of it."""

    @property
    def takes(self) -> int:
        """With the request's seed, and those that follow."""

    def request(self, ready: Ready) -> Request | None:
        """The request of the job's first take; None while it cannot be known yet. Raises a named error."""


@dataclass(frozen=True)
class FromPrime:
    """A prime, continued as was ``chosen``. ``seconds``: length given with the verb itself."""

    prime: Prime
    chosen: Choices
    seconds: float | None = None

    @property
    def takes(self) -> int:
        """As was set."""
        return self.chosen.settings.takes

    def request(self, ready: Ready) -> Request | None:
        """The request, once the prime is read."""
        prime, chosen = self.prime, self.chosen
        if not prime.settled.is_set():
            return None
        if prime.error is not None:
            raise prime.error
        if prime.take is not None:
            return continued(prime.take, ready, chosen, seconds=self.seconds, frames=prime.frames)
        request = build_request(
            chosen.settings,
            model=ready.model,
            rate=ready.rate,
            origin=prime.ref,
            bpm=prime.bpm,
            style=chosen.style.style,
            seconds=self.seconds,
            lyrics=chosen.lyrics.text,
        )
        if prime.end_seconds is None:
            return request
        return request.model_copy(update={"place": Place(seconds=prime.end_seconds)})


@dataclass(frozen=True)
class FromTake:
    """An earlier take and what is made of it; ``find`` may not know it yet, or raise that there will be none."""

    find: Callable[[], TakeEntry | None]
    make: Callable[[TakeEntry, Ready], Request]
    takes: int = 1

    def request(self, ready: Ready) -> Request | None:
        """The request, once the take is there."""
        take = self.find()
        return None if take is None else self.make(take, ready)


def continued(
    take: TakeEntry,
    ready: Ready,
    chosen: Choices,
    *,
    seconds: float | None = None,
    frames: int | None = None,
) -> Request:
    """``take`` continued as is chosen, from sample ``frames`` of it on, or from its end.

    Raises :class:`OutOfRange` for more than there is of it.
    """
    if frames is not None and not 1 <= frames <= take.held:
        raise beyond(take, frames)
    request = build_request(
        chosen.settings,
        model=ready.model,
        rate=ready.rate,
        origin=TakeRef(folder=take.folder, frames=frames),
        bpm=take.request.bpm,
        style=chosen.style.style,
        seconds=seconds,
        lyrics=chosen.lyrics.text,
    )
    before = take.request.place_seconds
    used = Fraction((take.frames or take.held) if frames is None else frames, take.rate)
    place = None if before is None else Place(seconds=float(before + used))
    return request.model_copy(update={"song": take.request.song, "place": place})


def retried(take: TakeEntry, seed: int) -> Request:
    """The same again with another seed; of the prime as it was heard, whatever became of its file."""
    again = {"seed": seed}
    if take.request.mode is Mode.PRIMED:
        return take.request.model_copy(update={**again, "prime": PrimeRef(path=take.prime)})
    return take.request.model_copy(update=again)


def upsampled(take: TakeEntry, level: int) -> Request:
    """The finer levels of ``take`` down to ``level``: its codes stay. Raises :class:`NoCodes` where none lack."""
    fidelity = next(fidelity for fidelity in Fidelity if fidelity.level == level)
    have = take.request.fidelity
    if have.level <= level and take.frames >= take.held:
        finer = "it is as fine as takes get" if have is Fidelity.FULL else "choose a finer level"
        raise NoCodes(f"the take {take.name} is {have} already; {finer}")
    before = take.request
    update = {
        "schema_version": 2,
        "mode": Mode.UPSAMPLE,
        "prime": None,
        "parents": (TakeRef(folder=take.folder, frames=take.held),),
        "span": None,
        "frames": take.held,
        "bars": before.bars if take.held == before.frames else None,
        "style_changes": tuple(change for change in before.style_changes if change.at_frame < take.held),
        "fidelity": fidelity,
    }
    return before.model_copy(update=update)
