"""What sampling yielded, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from engine.backends.protocol import Codes, WindowInput
from engine.backends.torch_backend import TorchBackend, TorchRunner
from engine.events import AudioChunk, Event, KeptCodes, PrimeEncoded, WindowDone
from engine.request import LevelSampling
from engine.store.folder import Model


def collect(events: Iterator[Event]) -> tuple[NDArray[np.float32], dict[int, NDArray[np.int64]], list[Event]]:
    """All audio, all codes (prime included) per level, and the events. Gaps are failures."""
    seen = list(events)
    first = seen[0]
    assert isinstance(first, PrimeEncoded)
    codes = dict(first.codes)
    audio = np.zeros(0, np.float32)
    for event in seen:
        if isinstance(event, AudioChunk):
            assert event.start == audio.size
            audio = np.concatenate([audio, event.samples])
        elif isinstance(event, PrimeEncoded):
            codes |= event.codes
        elif isinstance(event, WindowDone | KeptCodes):
            assert event.start == codes[event.level].size
            codes[event.level] = np.concatenate([codes[event.level], event.codes])
    return audio, codes, seen


def heard(events: Iterator[Event]) -> NDArray[np.float32]:
    """All audio."""
    return np.concatenate([event.samples for event in events if isinstance(event, AudioChunk)])


class ListeningBackend(TorchBackend):
    """The real backend; ``begun`` lists (level, window input) of every window that was begun."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.begun: list[tuple[int, WindowInput]] = []

    def runner(self, level: int, lanes: int) -> TorchRunner:
        backend, real = self, super().runner(level, lanes)

        class Listening:
            def begin(self, window: WindowInput, stopped: Callable[[], bool]) -> None:
                backend.begun.append((level, window))
                real.begin(window, stopped)

            def step(self, previous: Codes | None) -> NDArray[np.float32]:
                return real.step(previous)

            def sample(
                self, previous: Codes | None, noise: NDArray[np.float64], settings: LevelSampling
            ) -> Codes:
                return real.sample(previous, noise, settings)

        return Listening()  # type: ignore[return-value]
