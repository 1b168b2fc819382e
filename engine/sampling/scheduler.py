"""Executes a plan: which windows go on together, and one quantum of them at a time."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from engine.backends.protocol import Backend, Codes, RowRunner, WindowInput
from engine.events import KeptCodes, LeadCodes, PrimeEncoded, WindowDone
from engine.lyrics import SongLyrics, window_ids
from engine.prior.pulse import SongPulse
from engine.request import Sampling, Style
from engine.sampling.ahead import MOST_BYTES, Ahead
from engine.sampling.levels import Group, LevelState, restore
from engine.sampling.noise import uniforms
from engine.sampling.plan import Plan, Window
from engine.sampling.start import Audio
from engine.sampling.warm import WarmStart

# Token steps a level makes before its codes are shown to the others, and before it can be stopped. Those of the top
# level take longest, and both the first sound and whatever replaces it wait for them.
QUANTUM, TOP_QUANTUM = 32, 16
LANES = 8  # windows of all takes that are sampled in step, unless told otherwise
WORTH = 4  # windows that a strand's beginning waits for: fewer together cost nearly as much as so many


@dataclass(frozen=True, eq=False)
class Setting:
    """What all windows share: ``styles[k]`` for windows of style k, ``song`` as (length of the song, position 0 in
    it), in samples, ``lyrics`` for a top prior that reads them, ``pulse`` for one that is told it."""

    sampling: Sampling
    styles: tuple[Style, ...]
    song: tuple[int, int]
    lyrics: SongLyrics | None = None
    pulse: SongPulse | None = None


@dataclass(frozen=True, eq=False)
class TakeInput:
    """What is a take's own: its seed, and per level the codes int64 from position 0 that it starts from (``known``)
    and that an earlier run of it got to (``done``). Levels that are missing in ``known`` are encoded when it is
    their turn."""

    seed: int
    known: Mapping[int, Codes]
    done: Mapping[int, Codes] = field(default_factory=dict)


class PrimeAudio:
    """The prime's samples float32 [frames], a whole number of tokens; each level is encoded once, by who comes first.

    ``samples`` may be a function that waits for them. ``seconds``: time that encoding took so far.
    """

    def __init__(self, samples: Audio | None = None) -> None:
        self._samples = np.zeros(0, np.float32) if samples is None else samples
        self.seconds = 0.0
        self._codes: dict[int, Codes] = {}
        self._locks: dict[int, threading.Lock] = defaultdict(threading.Lock)

    def encode(self, backend: Backend, level: int) -> Codes:
        """Its codes of one level, int64 [tokens]."""
        with self._locks[level]:
            if level not in self._codes:
                samples = self._samples() if callable(self._samples) else self._samples
                started = time.perf_counter()
                self._codes[level] = backend.encode(samples, (level,))[level]
                self.seconds += time.perf_counter() - started
            return self._codes[level]


TakeEvent = tuple[int, PrimeEncoded | WindowDone | LeadCodes | KeptCodes]


class Scheduler:
    """Samples takes of one plan side by side, in up to ``lanes`` lanes.

    What is sampled depends on plan, noise and conditions only, so neither the lanes nor the quantum nor the
    order of the windows nor a resume changes a token. :meth:`work` may be called by one thread per level.
    """

    def __init__(
        self,
        backend: Backend,
        plan: Plan,
        setting: Setting,
        takes: Sequence[TakeInput],
        lanes: int = LANES,
        prime: PrimeAudio | None = None,
        warm: WarmStart | None = None,
        first: int = 0,
    ) -> None:
        self.backend, self.plan, self.setting, self.takes = backend, plan, setting, tuple(takes)
        self.numbers = range(first, first + len(self.takes))  # of the takes in events
        self.lanes = max(lanes, len(self.takes))
        self.prime, self.warm = prime or PrimeAudio(), warm
        self.stopping = threading.Event()  # nothing more is wanted
        self.levels = {level: self._restore(level) for level in range(plan.lowest, len(plan.windows))}

    def _restore(self, level: int) -> LevelState:
        known = [take.known.get(level) for take in self.takes]
        return restore(
            self.plan.total[level],
            self.plan.windows[level],
            [
                (np.zeros(0, np.int64) if codes is None else codes, take.done.get(level))
                for take, codes in zip(self.takes, known, strict=True)
            ],
            unencoded=self.plan.known[level] if known[0] is None else 0,
        )

    @property
    def finished(self) -> bool:
        """Whether every level is sampled."""
        return all(state.finished for state in self.levels.values())

    @property
    def steps_done(self) -> int:
        """Token steps of one take that are done, those of resumed windows included."""
        return sum(state.steps_done for state in self.levels.values())

    def kept_first(self, chosen: Sequence[Sequence[WindowDone]] = ()) -> Iterator[TakeEvent]:
        """What an earlier take gave of each level, up to the first window; all of it where nothing is left to do.

        ``chosen``: windows of each take that were sampled elsewhere, told in their place.
        """
        for level, state in self.levels.items():
            yield from self._kept(level, state.kept_before(self.plan.known[level]))
            for take, windows in zip(self.numbers, chosen, strict=False):
                yield from ((take, window) for window in windows if window.level == level)
            if state.finished:
                yield from self._kept(level, state.kept_after())

    def _kept(self, level: int, part: tuple[int, int]) -> Iterator[TakeEvent]:
        if part[0] < part[1]:
            for take, codes in zip(self.numbers, self.levels[level].codes, strict=True):
                yield take, KeptCodes(level, part[0], codes[slice(*part)].copy())

    def ready(self, level: int) -> bool:
        """Whether a quantum of the level can, and should, be made now."""
        state = self.levels[level]
        if state.unencoded:
            return self._is_turn(level)
        return bool(state.group or self._together(level))

    def _is_turn(self, level: int) -> bool:
        """Whether the level above has begun: until then a prime that is not encoded would only keep it waiting."""
        upper = self.levels.get(level + 1)
        if upper is None or upper.finished:
            return True
        known = self.plan.known[level + 1]
        return upper.has(known, known + 1)

    def _together(self, level: int) -> list[Window]:
        """The windows to begin now: the first that can be, and those that go on in step with it.

        A window that sees the one before it goes on at once. One that begins a strand waits for a few others, for
        as long as the level above can still make more of them possible.
        """
        ready = self._ready(level)
        if not ready:
            return []
        room = max(1, self.lanes // len(self.takes))
        together = [window for window in ready if window.shape == ready[0].shape][:room]
        upper = self.levels.get(level + 1)
        alone = together[0].prefix == 0 and upper is not None and not upper.finished
        return [] if alone and len(together) < min(room, WORTH) else together

    def _ready(self, level: int) -> list[Window]:
        """Windows that can begin, in order of position, as far as the level above has settled everything."""
        state, upper = self.levels[level], self.levels.get(level + 1)
        # Of windows of an earlier run all but their leads is known: these are sampled again, and no more.
        known = [state.windows[index] for index in state.leadless]
        wanted = [replace(window, stop=window.first_new) for window in known]
        found: list[Window] = []
        for window in wanted or (state.windows[index] for index in state.waiting):
            if len(found) == self.lanes or (upper is not None and not upper.has(*window.upper)):
                break
            if state.has(window.start, window.first_sampled):
                found.append(window)
        return found

    def advance(self) -> Iterator[TakeEvent]:
        """One quantum at the lowest level that is ready; yields windows that are finished by it."""
        yield from self.work(next(level for level in sorted(self.levels) if self.ready(level)))

    def work(self, level: int) -> Iterator[TakeEvent]:
        """One quantum of a level that is ready; yields windows that are finished by it, in order of position."""
        state = self.levels[level]
        started = time.perf_counter()
        if state.unencoded:
            codes = self.prime.encode(self.backend, level)
            state.put_prime(codes)
            found = PrimeEncoded({level: codes}, self.prime.seconds)
            yield from ((take, found) for take in self.numbers)
            return
        if state.group is None:
            state.group = self._begin(state, level)
            begun = {window.index for window in state.group.windows}
            if state.group.windows[0].tokens:
                state.waiting = [index for index in state.waiting if index not in begun]
            else:
                state.leadless = [index for index in state.leadless if index not in begun]
            if self.stopping.is_set():  # to begin takes as long as several quanta
                return
            state.ahead = self._next(state, state.group)
        group = state.group
        quantum = TOP_QUANTUM if level == self.backend.config.top else QUANTUM
        count = min(quantum, group.tokens - group.done)
        self._sample(state, group, count)
        spent = time.perf_counter() - started
        group.seconds += spent
        state.seconds += spent
        state.steps += count * len(group.windows)
        if group.done == group.tokens:
            yield from self._leads(state, group)
            for window in group.windows:
                if window.tokens:
                    state.seconds_of[window.index] = group.seconds / len(group.windows)
            state.group = None
            if state.finished:  # their caches are most of what a level takes; others go on for long
                state.runners.clear()
                state.resting.clear()
            yield from self._finished(state, level)

    def _sample(self, state: LevelState, group: Group, count: int) -> None:
        settings = self.setting.sampling.level(group.windows[0].level)
        noise = group.noise[:, group.done : group.done + count]
        codes = group.runner.sample(group.last, noise, settings)
        group.last = codes[:, -1].copy()
        by_take = codes.reshape(len(self.takes), len(group.windows), count)
        lead = group.lead[:, group.done : group.done + count]
        lead[:] = codes[:, : lead.shape[1]]
        if lead.shape[1] and group.done + count >= group.lead.shape[1]:
            leads = group.lead.reshape(len(self.takes), len(group.windows), -1)
            for place, window in enumerate(group.windows):
                state.leads[window.first_sampled] = leads[:, place]
        for place, window in enumerate(group.windows):
            begin = window.first_sampled + group.done
            first = max(begin, window.first_new)
            if first < begin + count:
                state.codes[:, first : begin + count] = by_take[:, place, first - begin :]
                state.settled[first : begin + count] = True
        group.done += count

    def _leads(self, state: LevelState, group: Group) -> Iterator[TakeEvent]:
        for window in group.windows:
            for row, take in enumerate(self.numbers if window.overlap else ()):
                codes = state.leads[window.first_sampled][row].copy()
                yield take, LeadCodes(window.level, window.first_sampled, codes)

    def _finished(self, state: LevelState, level: int) -> Iterator[TakeEvent]:
        """Windows that have no unfinished one before them; what lies behind the last one goes with it."""
        while state.told in state.seconds_of:
            window = state.windows[state.told]
            for take, codes in zip(self.numbers, state.codes, strict=True):
                new = codes[window.first_new : window.stop].copy()
                seconds = state.seconds_of[state.told] / len(self.takes)
                yield take, WindowDone(level, window.index, window.first_new, new, seconds)
            state.told += 1
        if state.told == len(state.windows):
            state.settled[:] = True
            yield from self._kept(level, state.kept_after())

    def _begin(self, state: LevelState, level: int) -> Group:
        together = self._together(level)
        first = together[0]
        lanes = len(self.takes) * len(together)
        noise = np.stack(
            [
                uniforms(take.seed, window.level, window.first_sampled, window.stop)
                for take in self.takes
                for window in together
            ]
        )
        given = self.window_input(together)
        last = given.prefix[:, -1].copy() if first.prefix else None
        begun = self.warm.take(first.level, lanes, given) if self.warm else None
        if begun is not None:
            state.runners[lanes] = begun
        elif not self._gone_ahead(state, together, given):
            if lanes not in state.runners:
                state.runners[lanes] = self.backend.runner(first.level, lanes)
            state.runners[lanes].begin(given, self.stopping.is_set)
        lead = np.zeros((lanes, first.overlap), np.int64)
        return Group(tuple(together), state.runners[lanes], noise, last, lead)

    # -- the window after the one that is being sampled -----------------------------------------------------------

    def may_go_ahead(self, level: int) -> bool:
        """Whether windows of the level are sampled one after the other with nothing above them to wait for."""
        windows = self.levels[level].windows
        return len(windows) > 1 and not any(window.upper[1] for window in windows)

    def ready_ahead(self, level: int) -> bool:
        """Whether something can be done for the window after the one that is being sampled."""
        state = self.levels[level]
        ahead = state.ahead
        return ahead is not None and ahead.ready(self._known_of(state, ahead.window))

    def go_ahead(self, level: int) -> None:
        """Do a piece of it. For another thread than the level's."""
        state = self.levels[level]
        ahead = state.ahead
        if ahead is not None:
            window = ahead.window
            known = window.start + self._known_of(state, window)
            ahead.go_on(state.codes[:, window.start : known])

    def _known_of(self, state: LevelState, window: Window) -> int:
        return min(max(0, state.filled - window.start), window.prefix)

    def _next(self, state: LevelState, group: Group) -> Ahead | None:
        """What goes ahead while ``group`` is sampled: the window that comes next and sees it, if any."""
        window = group.windows[0]
        if len(group.windows) > 1 or not state.waiting or not self.may_go_ahead(window.level):
            return None
        after = state.windows[state.waiting[0]]
        lanes = len(self.takes)
        runner = state.runners[lanes]
        if after.first_sampled != window.stop or not isinstance(runner, RowRunner):
            return None
        if runner.nbytes > MOST_BYTES:
            return None

        def make() -> tuple[RowRunner, WindowInput]:
            second = state.resting.pop(lanes, None) or self.backend.runner(window.level, lanes)
            assert isinstance(second, RowRunner)
            return second, self.window_input([after])

        return Ahead(after, make)

    def _gone_ahead(self, state: LevelState, together: Sequence[Window], given: WindowInput) -> bool:
        """Begin a window by the runner that went ahead to it; whether there was one."""
        ahead, state.ahead = state.ahead, None
        runner = ahead.take() if ahead is not None else None
        if runner is None or ahead is None or together != [ahead.window]:
            return False
        runner.complete(given.prefix, self.stopping.is_set)
        lanes = len(given.prefix)
        state.resting[lanes], state.runners[lanes] = state.runners[lanes], runner
        return True

    # -- what a window starts from --------------------------------------------------------------------------------

    def begin_early(self, level: int) -> WarmStart | None:
        """The first window of a level, begun for takes that will be like these; None where none can be."""
        ready = self._ready(level)
        if not ready:
            return None
        given = self.window_input(ready[:1])
        runner = self.backend.runner(level, len(self.takes))
        runner.begin(given)
        return WarmStart(level, len(self.takes), given, runner)

    def window_input(self, windows: Sequence[Window]) -> WindowInput:
        """What the runner is given for ``windows``, all of one shape."""
        level, takes = windows[0].level, range(len(self.takes))
        codes = self.levels[level].codes
        above = self.levels[level + 1].codes if windows[0].upper[1] else None
        total, at = self.setting.song
        hop = self.backend.config.hops[level]
        offsets = tuple(at + window.start * hop for window in windows)
        return WindowInput(
            prefix=np.stack([codes[take, w.start : w.first_sampled] for take in takes for w in windows]),
            upper=None
            if above is None
            else np.stack([above[take, slice(*w.upper)] for take in takes for w in windows]),
            styles=tuple(self.setting.styles[w.style] for w in windows) * len(takes),
            total=total,
            offsets=offsets * len(takes),
            lyrics=self._lyrics(level, total, offsets * len(takes)),
            pulse=self.setting.pulse,
        )

    def _lyrics(self, level: int, total: int, offsets: Sequence[int]) -> Codes | None:
        """The characters int64 [lanes, tokens] that belong to windows at ``offsets`` samples of the song."""
        prior = self.backend.config.priors[level]
        if prior.lyrics is None or self.setting.lyrics is None:
            return None
        sung = self.setting.lyrics
        return np.stack([window_ids(sung, total, at, prior.window_samples)[0] for at in offsets])
