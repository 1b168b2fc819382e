"""Executes a plan: interleaves the levels so that the lowest one is never kept waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.backends.protocol import Backend, Codes, LevelRunner, WindowInput
from engine.events import WindowDone
from engine.request import Sampling, Style
from engine.sampling.draw import draw
from engine.sampling.noise import uniforms
from engine.sampling.plan import Plan, Window

QUANTUM = 64  # token steps a level makes before the scheduler looks round again


@dataclass
class LevelState:
    """Progress of one level: ``codes`` int64 [total], of which ``filled`` are known."""

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


class Scheduler:
    """Samples one take. ``advance`` makes one quantum of steps at the lowest level that can go on.

    ``known[level]``: codes int64 from the beginning of the prime; more than the prime's are taken as windows
    that were finished before (resume). What is sampled depends on plan, noise and conditions only, so neither
    the quantum nor the interleaving nor a resume changes a token.
    """

    def __init__(
        self,
        backend: Backend,
        plan: Plan,
        sampling: Sampling,
        style: Style,
        seed: int,
        song: tuple[int, int],
        known: dict[int, Codes],
    ) -> None:
        self.backend, self.plan, self.sampling, self.style, self.seed = backend, plan, sampling, style, seed
        self.song_total, self.song_offset = song
        self.levels: dict[int, LevelState] = {}
        for level in range(plan.lowest, len(plan.windows)):
            self.levels[level] = self._restore(level, known[level])

    def _restore(self, level: int, known: Codes) -> LevelState:
        """Start from known codes, cut back to the last window that was finished."""
        windows = self.plan.windows[level]
        finished = sum(1 for w in windows if w.stop <= known.size)
        filled = windows[finished - 1].stop if finished else self.plan.known[level]
        codes = np.zeros(self.plan.total[level], dtype=np.int64)
        codes[:filled] = known[:filled]
        return LevelState(codes, filled, windows, current=finished)

    @property
    def finished(self) -> bool:
        """Whether every level is sampled."""
        return all(state.finished for state in self.levels.values())

    @property
    def steps_done(self) -> int:
        """Token steps done, those of resumed windows included."""
        return sum(state.filled - self.plan.known[level] for level, state in self.levels.items())

    def _ready(self, level: int) -> bool:
        state = self.levels[level]
        if state.finished:
            return False
        upper = self.levels.get(level + 1)
        return upper is None or upper.filled >= state.windows[state.current].upper[1]

    def advance(self) -> Iterator[WindowDone]:
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

    def _begin(self, state: LevelState, window: Window) -> None:
        if state.runner is None:
            state.runner = self.backend.runner(window.level, 1)
        upper = self.levels[window.level + 1].codes[slice(*window.upper)][None] if window.upper[1] else None
        state.runner.begin(
            WindowInput(
                prefix=state.codes[None, window.start : window.first_new],
                upper=upper,
                styles=(self.style,),
                total=self.song_total,
                offset=self.song_offset + window.start * self.backend.config.hops[window.level],
            )
        )
        state.noise = uniforms(self.seed, window.level, window.first_new, window.stop)
        state.begun = True

    def _steps(self, state: LevelState, window: Window, count: int) -> None:
        assert state.runner is not None
        settings = self.sampling.level(window.level)
        codes, position = state.codes, state.filled
        for position in range(state.filled, state.filled + count):
            previous = codes[position - 1 : position] if position > window.start else None
            logits = state.runner.step(previous)
            codes[position] = draw(logits[0], state.noise[position - window.first_new], settings)
        state.filled = position + 1
        state.steps += count
