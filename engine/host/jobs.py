"""Making the takes of one request: the one implementation behind the command line and the engine process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.audio import Waveform, quantise24, read_prime
from engine.errors import BadFormat, OutOfRange
from engine.events import AudioChunk, Event, PrimeEncoded, Progress, WindowDone
from engine.host.feeder import RingFeeder
from engine.host.openings import opening
from engine.request import MAX_SEED, Mode, Request
from engine.take import Take, TakeHead, TakeWriter, discard
from engine.take.take import REQUEST, TAKE, read_record

if TYPE_CHECKING:
    from engine.sampling import Start
    from engine.store.config import ModelConfig

log = logging.getLogger("segue.engine")

Codes = NDArray[np.int64]


class HostedModel(Protocol):
    """What a job needs of a loaded model; ``engine.store.Model`` and every backend have it."""

    @property
    def config(self) -> ModelConfig: ...

    @property
    def hash(self) -> str: ...


class Sampler(Protocol):
    """:func:`engine.sampling.continue_prime` or a stand-in for it."""

    def __call__(
        self,
        model: Any,
        request: Request,
        prime: NDArray[np.float32],
        *,
        start: Start | None = None,
        done: Mapping[int, Codes] | None = None,
        chunk_frames: int = 4096,
        should_stop: Callable[[], bool] = ...,
    ) -> Iterator[Event]: ...


@dataclass(frozen=True)
class TakeStarted:
    """Take ``index`` (0-based) grows in ``folder``; ``total_frames`` will be made at ``rate`` Hz."""

    index: int
    folder: Path
    total_frames: int
    rate: int


@dataclass(frozen=True)
class TakeProgress:
    """Where take ``index`` stands: ``fraction`` in [0, 1], ``eta_seconds`` to its end, audio frames so far.

    ``window``: whether a window was finished just now.
    """

    index: int
    folder: Path
    fraction: float
    eta_seconds: float
    audio_frames: int
    total_frames: int
    window: bool


@dataclass(frozen=True)
class TakeFinished:
    """Take ``index`` is complete on disk; ``last`` says whether the job is done with it."""

    index: int
    take: Take
    last: bool


JobEvent = TakeStarted | TakeProgress | TakeFinished


@dataclass(frozen=True, eq=False)
class KnownPrime:
    """A prime that was read, and perhaps encoded, ahead of the request.

    ``codes``: int64 [tokens] of each level for the end of the prime that sampling uses, empty when unknown;
    ``start``: of a take that goes on from earlier takes, instead of codes.
    """

    waveform: Waveform
    codes: dict[int, Codes] = field(default_factory=dict)
    start: Start | None = None


def _ignore(event: JobEvent) -> None:
    return


def run_request(
    model: HostedModel,
    request: Request,
    *,
    folder: str | Path,
    takes: int = 1,
    chunk_frames: int = 4096,
    on_event: Callable[[JobEvent], None] = _ignore,
    ring: RingFeeder | None = None,
    resume: Sequence[str | Path] = (),
    should_stop: Callable[[], bool] = lambda: False,
    prime: KnownPrime | None = None,
    sampler: Sampler | None = None,
    place: Path | None = None,
) -> list[Take]:
    """Makes ``takes`` takes of a request, with seeds ``request.seed``, ``+1``, ..., and returns them.

    ``folder`` is the takes root; ``place``, where given, the folder of the one take itself. ``ring`` gets the
    audio of the first take as it arrives, on the 24-bit grid, so that it equals the take's file bit for bit.
    ``resume``: folders of takes of this request; unfinished ones are gone on with, complete ones are announced
    again, and takes before the first of them count as made.

    Raises the named errors of reading the prime, of sampling and of writing; OutOfRange for seeds beyond
    2^31 - 1; Cancelled when ``should_stop()`` turns true. The windows of an unfinished take are then on
    disk; a new take without any leaves nothing behind.
    """
    started = time.perf_counter()
    if takes < 1:
        raise OutOfRange(f"{takes} takes were asked for; ask for at least 1")
    if place is not None and takes > 1:
        raise OutOfRange(f"{takes} takes do not fit into one folder; ask for 1")
    if request.seed + takes - 1 > MAX_SEED:
        raise OutOfRange(
            f"{takes} takes from seed {request.seed} on need seeds up to {request.seed + takes - 1}; "
            f"the largest is {MAX_SEED}"
        )
    places = _resumed_places(model, request, takes, resume)
    job = _Job(
        model,
        request,
        Path(folder),
        chunk_frames,
        on_event,
        should_stop,
        sampler or _sampling(),
        prime,
        place,
    )
    made = []
    for index in range(min(places, default=0), takes):
        feeder = ring if index == 0 else None
        take = job.take(index, places.get(index), feeder, started)
        made.append(take)
        on_event(TakeFinished(index, take, last=index == takes - 1))
        started = time.perf_counter()
    return made


def _sampling() -> Sampler:
    from engine.sampling import continue_prime

    return continue_prime


def _resumed_places(
    model: HostedModel, request: Request, takes: int, resume: Sequence[str | Path]
) -> dict[int, Path]:
    """Which take of the job each folder is, by its seed. Raises BadFormat for takes of something else."""
    places: dict[int, Path] = {}
    for entry in resume:
        head = read_record(Path(entry), REQUEST, TakeHead)
        index = head.request.seed - request.seed
        if head.request != _of_take(request, index) or not 0 <= index < takes:
            raise BadFormat(f"the take in '{entry}' was made by another request; resume it with its own")
        if head.model_hash != model.hash:
            raise BadFormat(
                f"the take in '{entry}' was begun with other weights; load the model it was made with"
            )
        places[index] = Path(entry)
    return places


def _of_take(request: Request, index: int) -> Request:
    return request.model_copy(update={"seed": request.seed + index})


@dataclass
class _Job:
    """What the takes of one job share."""

    model: HostedModel
    request: Request
    root: Path
    chunk_frames: int
    on_event: Callable[[JobEvent], None]
    should_stop: Callable[[], bool]
    sampler: Sampler
    known: KnownPrime | None
    place: Path | None = None

    def take(self, index: int, folder: Path | None, ring: RingFeeder | None, started: float) -> Take:
        """Makes, or goes on with, one take."""
        if folder is not None and (folder / TAKE).is_file():
            take = Take.load(folder)
            if take.info.state == "complete":
                self._feed_whole(take, ring)
                return take
        writer = None if folder is None else self._resume(folder)
        try:
            events = self._events(index, writer)
            first = next(events)  # a request that cannot be met fails here, before it has a folder
            if writer is None:
                writer = self._create(index, started)
            self.on_event(TakeStarted(index, writer.folder, self.request.frames, writer.head.rate))
            progress = _Progress(index, writer, self.request.frames, self.on_event)
            self._consume(first, writer, ring, progress)
            for event in events:
                self._consume(event, writer, ring, progress)
            take = writer.finish()
        except BaseException:
            if writer is not None:
                writer.close()
                if folder is None and not writer.windows:
                    discard(writer.folder)
            raise
        if ring is not None:
            ring.end()
        return take

    def _create(self, index: int, started: float) -> TakeWriter:
        known = self._prime()
        overhang = 0
        if known.start is not None:
            hops = self.model.config.hops
            overhang = known.start.prime_tokens * hops[-1] - known.start.seam
        return TakeWriter.create(
            self.root,
            _of_take(self.request, index),
            self.model.hash,
            known.waveform,
            started=started,
            place=self.place,
            overhang=overhang,
        )

    def _resume(self, folder: Path) -> TakeWriter:
        writer = TakeWriter.resume(folder)
        if self.request.mode is Mode.PRIMED:
            self.known = KnownPrime(writer.prime)  # the source may have changed since
        return writer

    def _events(self, index: int, writer: TakeWriter | None) -> Iterator[Event]:
        known = self._prime()
        done = None if writer is None else writer.done
        if done is None and self._codes_fit(known):
            done = known.codes
        begin = {} if known.start is None else {"start": known.start}
        return self.sampler(
            self.model,
            _of_take(self.request, index),
            known.waveform.mono_samples(),
            done=done,
            chunk_frames=self.chunk_frames,
            should_stop=self.should_stop,
            **begin,
        )

    def _prime(self) -> KnownPrime:
        if self.known is None:
            config = self.model.config
            if self.request.prime is not None:
                self.known = KnownPrime(read_prime(self.request.prime, config.rate))
            else:
                waveform, start = opening(config, self.model.hash, self.request)
                self.known = KnownPrime(waveform, start=start)
        return self.known

    def _codes_fit(self, known: KnownPrime) -> bool:
        """Whether the codes are of the span that this request's sampling uses."""
        top = self.model.config.top
        used = used_tokens(self.model.config, self.request, known.waveform.frames)
        return top in known.codes and known.codes[top].size == used

    def _consume(
        self, event: Event, writer: TakeWriter, ring: RingFeeder | None, progress: _Progress
    ) -> None:
        writer.event(event)
        if isinstance(event, AudioChunk) and ring is not None:
            ring.feed(event.start, quantise24(event.samples))
        known = self.known
        if isinstance(event, PrimeEncoded) and known is not None and known.start is None and not known.codes:
            self.known = KnownPrime(known.waveform, event.codes)
        progress.see(event)

    @staticmethod
    def _feed_whole(take: Take, ring: RingFeeder | None) -> None:
        if ring is not None:
            ring.feed(0, take.audio().mono_samples())
            ring.end()


def used_tokens(config: ModelConfig, request: Request, prime_frames: int) -> int:
    """Top-level tokens at the end of a prime of ``prime_frames`` that sampling of ``request`` uses."""
    from engine.sampling.plan import prime_context

    return min(prime_frames // config.hops[config.top], prime_context(config, request.sampling))


class _Progress:
    """Turns events of sampling into :class:`TakeProgress`."""

    def __init__(
        self, index: int, writer: TakeWriter, total_frames: int, on_event: Callable[[JobEvent], None]
    ) -> None:
        self._index, self._writer, self._total, self._on_event = index, writer, total_frames, on_event
        self._began = time.perf_counter()
        self._first: float | None = None
        self._fraction = 0.0

    def see(self, event: Event) -> None:
        """Reports windows and progress."""
        if isinstance(event, Progress):
            if self._first is None:
                self._first = event.fraction
            self._fraction = event.fraction
        elif not isinstance(event, WindowDone):
            return
        self._on_event(
            TakeProgress(
                self._index,
                self._writer.folder,
                self._fraction,
                self._eta(),
                self._writer.audio_frames,
                self._total,
                window=isinstance(event, WindowDone),
            )
        )

    def _eta(self) -> float:
        gained = self._fraction - (self._first or 0.0)
        if gained <= 0.0:
            return 0.0
        return (time.perf_counter() - self._began) * (1.0 - self._fraction) / gained
