"""Executes a plan: interleaves the levels so that the lowest one is never kept waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.backends.protocol import Backend, Codes, LevelRunner, WindowInput
from engine.events import KeptCodes, WindowDone
from engine.lyrics import SongLyrics, window_ids
from engine.prior.pulse import SongPulse
from engine.request import Sampling, Style
from engine.sampling.noise import uniforms
from engine.sampling.plan import Plan, Window

QUANTUM = 64  # token steps a level makes before the scheduler looks round again


@dataclass(frozen=True, eq=False)
class Setting:
    """What all windows of a take share: ``styles[k]`` for windows of style k, ``song`` as (length of the song,
    position 0 in it), in samples, ``lyrics`` for a top prior that reads them, ``pulse`` for one that is told it."""

    sampling: Sampling
    styles: tuple[Style, ...]
    seed: int
    song: tuple[int, int]
    lyrics: SongLyrics | None = None
    pulse: SongPulse | None = None


@dataclass
class LevelState:
    """Progress of one level: ``codes`` int64 [total], of which the first ``filled`` are settled.

    Codes behind ``filled`` may be known too (infill): they are settled when the last window is sampled.
    """

    codes: Codes
    filled: int
    windows: tuple[Window, ...]
    runner: LevelRunner | None = None
    current: int = 0  # index into windows
    begun: bool = False
    noise: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    steps: int = 0
    seconds: float = 0.0
    window_seconds: float = 0.0

    @property
    def finished(self) -> bool:
        """Whether every window is sampled."""
        return self.current >= len(self.windows)

    @property
    def steps_done(self) -> int:
        """Tokens sampled, those of resumed windows included."""
        whole = sum(w.stop - w.first_new for w in self.windows[: self.current])
        return whole if self.finished else whole + self.filled - self.windows[self.current].first_new

    def kept_before(self, prime: int) -> tuple[int, int]:
        """Tokens between the prime and the first window, which an earlier take gave."""
        return prime, self.windows[0].first_new if self.windows else self.codes.size

    def kept_after(self) -> tuple[int, int]:
        """Tokens behind the last window, which an earlier take gave."""
        return self.windows[-1].stop if self.windows else self.codes.size, self.codes.size


class Scheduler:
    """Samples one take. ``advance`` makes one quantum of steps at the lowest level that can go on.

    ``known[level]``: codes int64 from position 0 that the take starts from. ``done[level]``: codes from position
    0 that an earlier run of the same take got to; it goes on after the last whole window in them. What is sampled
    depends on plan, noise and conditions only, so neither the quantum nor the interleaving nor a resume changes a
    token.
    """

    def __init__(
        self,
        backend: Backend,
        plan: Plan,
        setting: Setting,
        known: Mapping[int, Codes],
        done: Mapping[int, Codes],
    ) -> None:
        self.backend, self.plan, self.setting = backend, plan, setting
        self.levels: dict[int, LevelState] = {}
        for level in range(plan.lowest, len(plan.windows)):
            self.levels[level] = self._restore(level, known[level], done.get(level))

    def _restore(self, level: int, known: Codes, done: Codes | None) -> LevelState:
        """Start from known codes, and from those of an earlier run up to the last window that was finished."""
        windows = self.plan.windows[level]
        reached = 0 if done is None else done.size
        finished = sum(1 for w in windows if w.stop <= reached)
        codes = np.zeros(self.plan.total[level], dtype=np.int64)
        codes[: known.size] = known[: codes.size]
        filled = codes.size if finished == len(windows) else windows[finished].first_new
        if done is not None and finished:
            codes[: windows[finished - 1].stop] = done[: windows[finished - 1].stop]
        return LevelState(codes, filled, windows, current=finished)

    @property
    def finished(self) -> bool:
        """Whether every level is sampled."""
        return all(state.finished for state in self.levels.values())

    @property
    def steps_done(self) -> int:
        """Token steps done, those of resumed windows included."""
        return sum(state.steps_done for state in self.levels.values())

    def kept_first(self, chosen: Sequence[WindowDone] = ()) -> Iterator[WindowDone | KeptCodes]:
        """What an earlier take gave of each level, up to the first window; all of it where nothing is left to do.

        ``chosen``: windows that were sampled elsewhere, told in their place.
        """
        for level, state in self.levels.items():
            yield from self._kept(level, state.kept_before(self.plan.known[level]))
            yield from (window for window in chosen if window.level == level)
            if state.finished:
                yield from self._kept(level, state.kept_after())

    def _kept(self, level: int, part: tuple[int, int]) -> Iterator[KeptCodes]:
        if part[0] < part[1]:
            yield KeptCodes(level, part[0], self.levels[level].codes[slice(*part)].copy())

    def _ready(self, level: int) -> bool:
        state = self.levels[level]
        if state.finished:
            return False
        upper = self.levels.get(level + 1)
        return upper is None or upper.filled >= state.windows[state.current].upper[1]

    def advance(self) -> Iterator[WindowDone | KeptCodes]:
        """One quantum at the lowest level that is ready; yields a window when it is finished by it."""
        level = next(level for level in sorted(self.levels) if self._ready(level))
        state = self.levels[level]
        window = state.windows[state.current]
        started = time.perf_counter()
        if not state.begun:
            self._begin(state, window)
        self._steps(state, window, min(QUANTUM, window.stop - state.filled))
        spent = time.perf_counter() - started
        state.seconds += spent
        state.window_seconds += spent
        if state.filled == window.stop:
            new = state.codes[window.first_new : window.stop].copy()
            yield WindowDone(level, window.index, window.first_new, new, state.window_seconds)
            state.current, state.begun, state.window_seconds = state.current + 1, False, 0.0
            if state.finished:
                state.filled = state.codes.size
                yield from self._kept(level, state.kept_after())

    def window_input(self, window: Window, prefix: int) -> WindowInput:
        """What the runner is given for ``window`` when its first ``prefix`` tokens are known."""
        upper = self.levels[window.level + 1].codes[slice(*window.upper)][None] if window.upper[1] else None
        total, offset = self.setting.song
        offset += window.start * self.backend.config.hops[window.level]
        return WindowInput(
            prefix=self.levels[window.level].codes[None, window.start : window.start + prefix],
            upper=upper,
            styles=(self.setting.styles[window.style],),
            total=total,
            offsets=(offset,),
            lyrics=self._lyrics(window.level, total, offset),
            pulse=self.setting.pulse,
        )

    def _lyrics(self, level: int, total: int, offset: int) -> Codes | None:
        """The characters int64 [1, tokens] that belong to a window at ``offset`` samples of the song."""
        prior = self.backend.config.priors[level]
        if prior.lyrics is None or self.setting.lyrics is None:
            return None
        return window_ids(self.setting.lyrics, total, offset, prior.window_samples)[0][None]

    def _begin(self, state: LevelState, window: Window) -> None:
        if state.runner is None:
            state.runner = self.backend.runner(window.level, 1)
        state.runner.begin(self.window_input(window, window.prefix))
        state.noise = uniforms(self.setting.seed, window.level, window.first_new, window.stop)
        state.begun = True

    def _steps(self, state: LevelState, window: Window, count: int) -> None:
        assert state.runner is not None
        settings = self.setting.sampling.level(window.level)
        codes, first = state.codes, state.filled
        previous = codes[first - 1 : first] if first > window.start else None
        noise = state.noise[first - window.first_new :][:count]
        codes[first : first + count] = state.runner.sample(previous, noise[None], settings)[0]
        state.filled = first + count
        state.steps += count
