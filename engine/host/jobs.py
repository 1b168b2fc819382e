"""Making the takes of one request: the one implementation behind the command line and the engine process."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.audio import quantise24, read_prime
from engine.errors import BadFormat, OutOfRange
from engine.events import AudioChunk, Event, Preview, PrimeEncoded
from engine.host.feeder import RingFeeder
from engine.host.filing import Filing
from engine.host.known import Codes, KnownPrime
from engine.host.openings import Opening, opening, unheard_start
from engine.host.telling import JobEvent, TakeFinished, TakeProgress, TakeStarted, tell_nobody
from engine.request import MAX_SEED, Mode, Request
from engine.take import Take, TakeHead, TakeWriter
from engine.take.take import REQUEST, TAKE, read_record

if TYPE_CHECKING:
    from engine.backends.protocol import Backend
    from engine.sampling import Start
    from engine.sampling.warm import WarmStart

__all__ = [
    "SIDE_BY_SIDE",
    "JobEvent",
    "KnownPrime",
    "Sampler",
    "TakeFinished",
    "TakeProgress",
    "TakeStarted",
    "first_group",
    "run_request",
]

SIDE_BY_SIDE = 8  # takes of one request that are sampled in the same lanes
MOST_PATIENCE_SECONDS = 2.0  # that what only the files want waits for the first sound


class Sampler(Protocol):
    """A stand-in for :func:`engine.sampling.continue_with`, which samples one take after the other."""

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


def run_request(
    model: Backend,
    request: Request,
    *,
    folder: str | Path,
    takes: int = 1,
    chunk_frames: int = 4096,
    lanes: int | None = None,
    on_event: Callable[[JobEvent], None] = tell_nobody,
    ring: RingFeeder | None = None,
    previews: bool = True,
    warm: WarmStart | None = None,
    resume: Sequence[str | Path] = (),
    should_stop: Callable[[], bool] = lambda: False,
    keep: Callable[[], bool] = lambda: False,
    prime: KnownPrime | None = None,
    sampler: Sampler | None = None,
    place: Path | None = None,
) -> list[Take]:
    """Makes ``takes`` takes of a request, with seeds ``request.seed``, ``+1``, ..., and returns them.

    Up to :data:`SIDE_BY_SIDE` of them are sampled together, in ``lanes`` lanes (None: as many as usual), which
    changes no sample of any. ``folder`` is the takes root; ``place``, where given, the folder of the one take
    itself. ``ring`` gets the audio of the first take as it arrives, with ``previews`` coarser levels ahead of the
    finer ones, on the 24-bit grid, so that what is heard of the asked-for fidelity equals the take's file bit for
    bit. ``on_event`` is called from one thread at a time, not always the caller's. ``resume``: folders of takes of
    this request; unfinished ones are gone on with, complete ones are announced again, and takes before the first of
    them count as made. ``warm``: what :func:`engine.sampling.warm_start` began of the first takes.

    Raises the named errors of reading the prime, of sampling and of writing; OutOfRange for seeds beyond
    2^31 - 1; Cancelled when ``should_stop()`` turns true. The windows of unfinished takes are then on
    disk, with ``keep()`` the beginnings of windows too; a new take without any leaves nothing behind.
    """
    started = time.perf_counter()
    _check_count(request, takes, place)
    places = _resumed_places(model, request, takes, resume)
    job = _Job(
        model, request, Path(folder), chunk_frames, lanes, on_event, should_stop, keep, sampler, prime, place
    )
    complete = {index: take for index, path in places.items() if (take := _complete(path)) is not None}
    made: list[Take] = []
    index = min(places, default=0)
    while index < takes:
        feeder = ring if index == 0 else None
        job.previews = previews and feeder is not None
        job.warm = warm if not made else None
        if index in complete:
            finished = job.made_before(complete[index], feeder)
        else:
            ends = (other for other in range(index, takes) if other in complete)
            stop = min(next(ends, takes), index + SIDE_BY_SIDE)
            finished = job.batch(range(index, stop), places, feeder, started)
        for take in finished:
            made.append(take)
            on_event(TakeFinished(index, take, last=index == takes - 1))
            index += 1
        started = time.perf_counter()
    return made


def _check_count(request: Request, takes: int, place: Path | None) -> None:
    if takes < 1:
        raise OutOfRange(f"{takes} takes were asked for; ask for at least 1")
    if place is not None and takes > 1:
        raise OutOfRange(f"{takes} takes do not fit into one folder; ask for 1")
    if request.seed + takes - 1 > MAX_SEED:
        raise OutOfRange(
            f"{takes} takes from seed {request.seed} on need seeds up to {request.seed + takes - 1}; "
            f"the largest is {MAX_SEED}"
        )


def _resumed_places(
    model: Backend, request: Request, takes: int, resume: Sequence[str | Path]
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
        if head.runtime not in ("", model.runtime):
            raise BadFormat(
                f"the take in '{entry}' was begun by '{head.runtime}' and this is '{model.runtime}', which rounds "
                "otherwise; resume it by the same (--backend, --device, and what stands behind the model's name)"
            )
        places[index] = Path(entry)
    return places


def _of_take(request: Request, index: int) -> Request:
    return request.model_copy(update={"seed": request.seed + index})


def first_group(model: Backend, takes: int) -> int:
    """How many of ``takes`` takes are sampled in the same lanes as the first one."""
    together = min(takes, SIDE_BY_SIDE)
    return -(-together // min(_cores(model), together))


def _cores(model: Backend) -> int:
    """Groups of takes that are worth sampling at the same time: a card has lanes enough, a core is soon full."""
    if "cuda" in model.runtime:
        return 1
    allowed = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _complete(folder: Path) -> Take | None:
    """The take in a folder if nothing is left to do of it."""
    if not (folder / TAKE).is_file():
        return None
    take = Take.load(folder)
    return take if take.info.state == "complete" else None


@dataclass
class _Job:
    """What the takes of one job share."""

    model: Backend
    request: Request
    root: Path
    chunk_frames: int
    lanes: int | None
    on_event: Callable[[JobEvent], None]
    should_stop: Callable[[], bool]
    keep: Callable[[], bool]
    sampler: Sampler | None
    known: KnownPrime | None
    place: Path | None
    previews: bool = False  # of the first take of the batch that is being made
    warm: WarmStart | None = None  # of that batch
    opened: Future[Opening] | None = None  # what is decoded while sampling has begun
    sounding: threading.Event = field(default_factory=threading.Event)  # the listener has the first of it

    def made_before(self, take: Take, ring: RingFeeder | None) -> Iterator[Take]:
        """A take that needs nothing but to be heard."""
        if ring is not None:
            ring.feed(0, take.audio().mono_samples())
            ring.end()
        yield take

    def batch(
        self, indices: range, places: Mapping[int, Path], ring: RingFeeder | None, started: float
    ) -> Iterator[Take]:
        """Makes, or goes on with, takes side by side; yields each as it is completed."""
        resumed: dict[int, TakeWriter] = {}
        filing: Filing | None = None
        try:
            for number, index in enumerate(indices):
                if index in places:
                    resumed[number] = self._resume(places[index])
            with contextlib.closing(self._events(indices, resumed)) as events:
                first = next(events)  # a request that cannot be met fails here, before it has a folder
                filing = Filing(
                    indices.start,
                    len(indices),
                    self.request.frames,
                    resumed,
                    lambda number: self._create(indices[number], started),
                    self.on_event,
                )
                for number, event in itertools.chain([first], events):
                    self._consume(number, event, filing, ring if number == 0 else None)
            if ring is not None:
                ring.end()
            yield from filing.finish()
        except BaseException:
            self.sounding.set()  # nobody is to wait for it any more
            if filing is not None:
                filing.abort()
            else:
                for writer in resumed.values():
                    writer.close()
            raise

    def _consume(self, number: int, event: Event, filing: Filing, ring: RingFeeder | None) -> None:
        if isinstance(event, AudioChunk | Preview):
            if ring is not None:
                ring.feed(event.start, quantise24(event.samples), getattr(event, "level", None))
            self.sounding.set()
        known = self.known
        if isinstance(event, PrimeEncoded):
            if known is not None and known.start is None:
                fitting = known.codes_for(self.model.config, self.request)
                self.known = KnownPrime(known.waveform, {**fitting, **event.codes})
            if number:
                event = replace(event, seconds=0.0)  # it was encoded once, and the first take says so
        filing.put(number, event)

    def _create(self, index: int, started: float) -> TakeWriter:
        from engine.sampling import Start
        from engine.sampling.pulse import kept_pulse

        known, hop = self._prime(), self.model.config.hops[-1]
        start = known.start or Start()
        return TakeWriter.create(
            self.root,
            _of_take(self.request, index),
            self.model.hash,
            known.waveform,
            started=started,
            place=self.place,
            overhang=start.prime_tokens * hop - start.seam,
            hop=hop,
            left_out=known.left_out,
            pulse=kept_pulse(self.model.config, self.request, known.waveform.mono_samples(), start.pulse),
            runtime=self.model.runtime,
            model_files=self.model.files,
        )

    def _resume(self, folder: Path) -> TakeWriter:
        writer = TakeWriter.resume(folder)
        if self.request.mode is Mode.PRIMED:
            self.known = KnownPrime(writer.prime)  # the source may have changed since
        return writer

    def _events(
        self, indices: range, resumed: Mapping[int, TakeWriter]
    ) -> Generator[tuple[int, Event], None, None]:
        """(number in the batch, event) of all its takes."""
        heard, start = self._begin()
        if self.sampler is not None:
            for number, index in enumerate(indices):
                begin = {} if start is None else {"start": start}
                own = self.sampler(
                    self.model,
                    _of_take(self.request, index),
                    heard,
                    done=self._done(resumed.get(number)),
                    chunk_frames=self.chunk_frames,
                    should_stop=self.should_stop,
                    **begin,
                )
                yield from ((number, event) for event in own)
            return
        from engine.sampling import Making, continue_takes

        making = Making(
            self.chunk_frames,
            previews=self.previews,
            warm=self.warm,
            groups=_cores(self.model),
            keep=self.keep,
        )
        yield from continue_takes(
            self.model,
            self.request,
            [self.request.seed + index for index in indices],
            heard,
            start,
            [self._done(resumed.get(number)) or {} for number in range(len(indices))],
            making if self.lanes is None else replace(making, lanes=self.lanes),
            self.should_stop,
        )

    def _done(self, writer: TakeWriter | None) -> Mapping[int, Codes] | None:
        """What sampling of a take begins with: what its folder holds, else the prime's codes where they are known."""
        if writer is not None and writer.done is not None:
            return writer.done
        if self.request.mode is not Mode.PRIMED:
            return None
        return self._prime().codes_for(self.model.config, self.request) or None

    def _prime(self) -> KnownPrime:
        if self.known is None:
            config = self.model.config
            if self.request.prime is not None:
                self.known = KnownPrime(read_prime(self.request.prime, config.rate))
            else:
                found = opening(self.model, self.request) if self.opened is None else self.opened.result()
                self.known = KnownPrime(found.heard, start=found.start, left_out=found.left_out)
        return self.known

    def _begin(self) -> tuple[NDArray[np.float32], Start | None]:
        """What sampling starts from: the prime, and the codes where others than its own are gone on from.

        Audio that a parent holds in codes only is decoded meanwhile, and not before the first sound has been made,
        which it would delay: nobody waits for it but the files, and levels that have to encode it.
        """
        if self.known is None and self.opened is None and self.sampler is None:
            start = unheard_start(self.model, self.request)
            if start is not None:
                beside = ThreadPoolExecutor(1, "segue-opening")
                opened = self.opened = beside.submit(self._open_later)
                beside.shutdown(wait=False)

                def decoded() -> NDArray[np.float32]:
                    self.sounding.set()
                    audio = opened.result().start.audio
                    return audio() if callable(audio) else audio

                return np.zeros(0, np.float32), replace(start, audio=decoded if start.fresh else start.audio)
        known = self._prime()
        return known.waveform.mono_samples(), known.start

    def _open_later(self) -> Opening:
        self.sounding.wait(MOST_PATIENCE_SECONDS)
        return opening(self.model, self.request)
