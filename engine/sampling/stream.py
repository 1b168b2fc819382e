"""A request and what it starts from go in, takes come out: sample, decode, hand on (DESIGN.md §4.2, §4.4)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.backends.protocol import Backend, Codes
from engine.errors import BadFormat, Cancelled, OutOfRange
from engine.events import AudioChunk, Event, LeadCodes, Preview, PrimeEncoded, Progress, WindowDone
from engine.lyrics import song_lyrics
from engine.request import Mode, Request
from engine.sampling.decoding import Beside, Decoder, PreviewDecoder, fades_of, still_beside
from engine.sampling.infill import choose
from engine.sampling.loose import Loose
from engine.sampling.pipeline import Pipeline
from engine.sampling.plan import Plan, make_plan, span_tokens
from engine.sampling.pulse import song_pulse
from engine.sampling.scheduler import LANES, PrimeAudio, Scheduler, Setting, TakeInput
from engine.sampling.song import song_span
from engine.sampling.start import Start, primed_start
from engine.sampling.warm import WarmStart
from engine.store.config import ModelConfig


def plan_of(config: ModelConfig, request: Request, start: Start) -> Plan:
    """The plan of a request. Raises OutOfRange for a span without a whole token."""
    hop = config.hops[config.top]
    total = -(-(start.seam + request.frames) // hop)
    span = None
    if request.span is not None:
        span = span_tokens(start.seam, request.span.start_frame, request.span.stop_frame, request.frames, hop)
    known = [
        level
        for level, codes in start.codes.items()
        if request.mode is Mode.UPSAMPLE and codes.size >= total * (hop // config.hops[level])
    ]
    return make_plan(
        config,
        request.sampling,
        start.prime_tokens,
        total,
        request.fidelity.level,
        kept=min(known, default=None),
        fresh=start.fresh,
        span=span,
        changes=[start.seam + change.at_frame for change in request.style_changes],
    )


def _known_codes(
    backend: Backend, start: Start, plan: Plan, done: Mapping[int, Codes], prime: PrimeAudio
) -> dict[int, Codes]:
    """Codes that sampled levels start from: what is known, and the top level's in any case.

    The other levels are encoded when it is their turn, so that the first sound does not wait for them.
    """
    levels = range(plan.lowest, len(plan.known))
    known = {level: np.asarray(start.codes[level], np.int64) for level in levels if level in start.codes}
    known |= {
        level: np.asarray(done[level][: plan.known[level]], dtype=np.int64)
        for level in levels
        if level not in known and level in done
    }
    for level, codes in known.items():
        if codes.size < plan.known[level]:
            raise BadFormat(f"the known codes of level {level} end before the prime does; encode it again")
    if not plan.known[plan.lowest]:
        return {level: known.get(level, np.zeros(0, np.int64)) for level in levels}
    top = levels[-1]
    if top not in known:
        known[top] = prime.encode(backend, top)
    return known


@dataclass(frozen=True)
class Making:
    """How takes are made, which changes nothing in them: ``chunk_frames``: samples handed on at a time; ``lanes``:
    windows sampled in step; ``previews``: whether the first take's coarser levels are handed on too; ``warm``: the
    first window as :func:`warm_start` begun it; ``groups``: takes are shared out into so many groups that are sampled
    at the same time, each in lanes of its own, as a processor with as many cores likes it; ``keep``: asked when the
    takes are called off, whether what was sampled of unfinished windows is to be told, too."""

    chunk_frames: int = 4096
    lanes: int = LANES
    previews: bool = False
    warm: WarmStart | None = None
    groups: int = 1
    keep: Callable[[], bool] = lambda: False

    def check(self) -> None:
        """Raise OutOfRange for what cannot be done."""
        for name in ("chunk_frames", "lanes", "groups"):
            value = getattr(self, name)
            if value < 1:
                raise OutOfRange(f"{name} is {value}; it must be at least 1")


def continue_with(
    backend: Backend,
    request: Request,
    prime: NDArray[np.float32],
    *,
    start: Start | None = None,
    done: Mapping[int, Codes] | None = None,
    chunk_frames: int = 4096,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """One take: the events of :func:`continue_takes`."""
    making = Making(chunk_frames)
    takes = continue_takes(
        backend, request, (request.seed,), prime, start, (done or {},), making, should_stop
    )
    return (event for _, event in takes)


def continue_takes(
    backend: Backend,
    request: Request,
    seeds: Sequence[int],
    prime: NDArray[np.float32],
    start: Start | None = None,
    done: Sequence[Mapping[int, Codes]] = (),
    making: Making | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, Event]]:
    """Continue ``prime`` (mono float32 [frames] at the model's rate) as ``request`` says, once for every seed.

    ``start``: what takes of another mode than primed start from; of ``prime`` only the pulse is heard then. Yields
    (take, event): :class:`PrimeEncoded`, then windows, progress and audio as they are finished. ``done[take][level]``:
    codes known from the beginning of the used prime, prime included, of every level sampled; sampling goes on after
    the last whole window in them, and all audio is handed on from its beginning. Audio and codes of a take do not
    depend on the other takes, on ``making``, on ``done`` or on the machine's load. Raises Cancelled when
    ``should_stop()`` turns true, TooShort, NoStyle or OutOfRange for a request that cannot be met.
    """
    config, making = backend.config, making or Making()
    making.check()
    for style in (request.style, *(change.style for change in request.style_changes)):
        backend.check_style(style)
    if start is None:
        start = Start() if request.mode is Mode.ANCESTRAL else primed_start(config, request, prime)
    setting = _setting(config, request, prime, start)
    plan = plan_of(config, request, start)
    done = done or tuple({} for _ in seeds)
    audio = PrimeAudio(start.audio)
    known = _known_codes(backend, start, plan, done[0], audio)
    encoded = PrimeEncoded(
        {level: codes[: plan.known[level]] for level, codes in known.items()}, audio.seconds
    )
    yield from ((take, encoded) for take in range(len(seeds)))

    takes = [TakeInput(seed, known, own) for seed, own in zip(seeds, done, strict=True)]
    chosen: list[Sequence[WindowDone]] = []
    steps = 0
    if request.span is not None:
        takes, chosen, steps = yield from _choose(
            backend, plan, setting, takes, request.span.candidates, should_stop
        )
    beside = {level: still_beside(leads, plan.windows[level]) for level, leads in start.leads.items()}
    for level, leads in beside.items():
        for at, codes in leads.items():
            yield from ((take, LeadCodes(level, at, codes)) for take in range(len(takes)))
    share = -(-len(takes) // min(making.groups, len(takes)))
    schedulers, outlets = [], []
    for first in range(0, len(takes), share):
        own = takes[first : first + share]
        scheduler = Scheduler(backend, plan, setting, own, making.lanes, audio, making.warm, first)
        yield from scheduler.kept_first(chosen[first : first + share])
        schedulers.append(scheduler)
        outlets += _outlets(scheduler, request, start, making, beside)
    yield from _sampled(schedulers, outlets, steps, making.keep, should_stop)


def _outlets(
    scheduler: Scheduler,
    request: Request,
    start: Start,
    making: Making,
    beside: Mapping[int, Mapping[int, Codes]],
) -> list[_Outlet]:
    """What turns the codes of a scheduler's takes into audio: the asked-for level, the first take's previews too."""
    backend, plan = scheduler.backend, scheduler.plan
    return [
        _Outlet(
            scheduler,
            take,
            (Decoder if level == plan.lowest else PreviewDecoder)(
                backend,
                level,
                plan.total[level],
                start.seam,
                request.frames,
                making.chunk_frames,
                fades_of(plan.windows[level], beside.get(level)),
            ),
            beside.get(level, {}),
        )
        for take in scheduler.numbers
        for level in sorted(scheduler.levels, reverse=True)  # coarser audio is wanted first
        if level == plan.lowest or (making.previews and take == 0)
    ]


def warm_start(
    backend: Backend,
    request: Request,
    prime: NDArray[np.float32],
    *,
    takes: int = 1,
    done: Mapping[int, Codes] | None = None,
) -> WarmStart | None:
    """Begin the first window that ``takes`` takes of a request like this will sample, for :class:`Making`.

    ``prime`` and ``done`` as in :func:`continue_takes`; where the request then differs in what the window
    starts from (style, place in the song, pulse), the warm start is passed over. None for a take that begins with
    nothing. Raises what :func:`continue_takes` raises.
    """
    if request.mode is not Mode.PRIMED:
        return None
    start = primed_start(backend.config, request, prime)
    plan = plan_of(backend.config, request, start)
    top = backend.config.top
    only = replace(plan, lowest=top)
    known = _known_codes(backend, start, only, done or {}, PrimeAudio(start.audio))
    setting = _setting(backend.config, request, prime, start)
    return Scheduler(backend, only, setting, [TakeInput(0, known)] * takes).begin_early(top)


@dataclass(frozen=True, eq=False)
class _Outlet:
    """Where the samples of one level of one take come out; ``kept``: codes beside its own from an earlier take."""

    scheduler: Scheduler
    take: int
    decoder: Decoder
    kept: Mapping[int, Codes]

    def ready(self) -> Iterator[tuple[int, AudioChunk | Preview]]:
        """What can be decoded now and was not before."""
        level = self.decoder.level
        state = self.scheduler.levels[level]
        row = self.take - self.scheduler.numbers.start
        leads = Beside(self.kept, state.leads, row)
        for chunk in self.decoder.take(state.codes[row], state.filled, leads):
            if level == self.scheduler.plan.lowest:
                yield self.take, chunk
            else:
                yield self.take, Preview(chunk.start, chunk.samples, level)


def _sampled(
    schedulers: Sequence[Scheduler],
    outlets: Sequence[_Outlet],
    steps: int,
    keep: Callable[[], bool],
    should_stop: Callable[[], bool],
) -> Iterator[tuple[int, Event]]:
    """Everything that sampling and decoding give; ``steps``: token steps that were made before.

    When it is called off and to be kept, what is sampled of windows that were cut short comes last.
    """
    for outlet in outlets:
        yield from outlet.ready()
    fractions = [0.0] * len(schedulers)
    loose = Loose(schedulers)
    try:
        with Pipeline(schedulers, should_stop) as pipeline:
            for report in pipeline.reports():
                yield from loose.seen(report)
                for outlet in outlets:
                    yield from outlet.ready()
                for number, scheduler in enumerate(schedulers):
                    done = (scheduler.steps_done + steps) / max(1, scheduler.plan.steps + steps)
                    fractions[number] = max(fractions[number], done)  # levels are not looked at all at once
                    yield from _progress(scheduler, fractions[number])
    except Cancelled:
        if keep():
            yield from loose.ends()
        raise


def _progress(scheduler: Scheduler, fraction: float) -> Iterator[tuple[int, Progress]]:
    levels = scheduler.levels.items()
    progress = Progress(
        fraction,
        {level: state.steps for level, state in levels},
        {level: state.seconds / len(scheduler.takes) for level, state in levels},
    )
    yield from ((take, progress) for take in scheduler.numbers)


def _setting(config: ModelConfig, request: Request, prime: NDArray[np.float32], start: Start) -> Setting:
    sung = config.priors[config.top].lyrics
    song = song_span(config, request, start.before, start.seam)
    return Setting(
        request.sampling,
        (request.style, *(change.style for change in request.style_changes)),
        song,
        None if sung is None else song_lyrics(request, sung, config.rate),
        song_pulse(config, request, prime, song[1] + start.seam, start.pulse),
    )


def _choose(
    backend: Backend,
    plan: Plan,
    setting: Setting,
    takes: Sequence[TakeInput],
    candidates: int,
    should_stop: Callable[[], bool],
) -> Generator[tuple[int, Progress], None, tuple[list[TakeInput], list[Sequence[WindowDone]], int]]:
    """The version of the span that each take keeps, the windows it was sampled in, and the steps that it took."""
    found: list[TakeInput] = []
    windows: list[Sequence[WindowDone]] = []
    steps = 0
    for take, given in enumerate(takes):
        chosen = yield from choose(backend, plan, setting, given, candidates, should_stop, take)
        found.append(TakeInput(given.seed, given.known, {**given.done, **chosen.done}))
        windows.append(chosen.windows)
        steps = max(steps, chosen.steps)
    return found, windows, steps
