"""Long takes, soaks and many takes, by clocks and memory that the tests turn themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.backends.protocol import Codes, WindowInput
from engine.backends.torch_backend import TorchBackend
from engine.bench import long_runs
from engine.bench.long_runs import measure_flat, measure_soak, measure_takes
from engine.errors import OutOfRange
from engine.events import AudioChunk
from engine.request import Fidelity, LevelSampling, Request
from engine.store import load_model
from tests.evaluation.tiny import RATE, save_tiny, tiny_config


class Clock:
    """Seconds that pass only when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class SlowingRunner:
    """Takes 1 ms a token in its first window, and 0.1 ms more in each that follows."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.windows: list[WindowInput] = []
        self.sampled: list[Codes] = []

    def begin(self, window: WindowInput) -> None:
        self.windows.append(window)
        self.clock.now += 5.0  # not part of a token's time

    def sample(self, previous: Codes, noise: np.ndarray, settings: LevelSampling) -> Codes:
        self.clock.now += noise.shape[1] * (1e-3 + 1e-4 * (len(self.windows) - 1))
        codes = (np.arange(noise.shape[1])[None] + len(self.windows)) % 32
        self.sampled.append(codes)
        return codes


class SlowingBackend:
    config = tiny_config()

    def __init__(self, clock: Clock) -> None:
        self.made = SlowingRunner(clock)

    def runner(self, level: int, lanes: int) -> SlowingRunner:
        assert lanes == 1
        return self.made


def test_the_second_and_the_fortieth_window_are_compared() -> None:
    clock = Clock()
    backend, steps = SlowingBackend(clock), []
    row = measure_flat(backend, 1, lambda: steps.append(1), clock)  # type: ignore[arg-type]
    assert (row.early, row.late, row.windows, len(steps)) == (2, 40, 40, 40)
    assert row.early_ms == pytest.approx(1.1)
    assert row.late_ms == pytest.approx(1.0 + 0.1 * 39)
    assert row.ratio == pytest.approx(4.9 / 1.1)


def test_each_window_goes_on_from_the_one_before() -> None:
    clock = Clock()
    backend = SlowingBackend(clock)
    measure_flat(backend, 2, clock=clock)  # type: ignore[arg-type]
    windows, sampled = backend.made.windows, np.concatenate(backend.made.sampled, 1)[0]
    for index, window in enumerate(windows[1:]):
        assert np.array_equal(window.prefix[0], sampled[64 * index : 64 * index + 64])
    offsets = [window.offsets[0] for window in windows]
    assert set(np.diff(offsets)) == {64 * 128}  # half a window of 128 tokens of 128 samples


def test_a_soak_compares_memory_after_a_minute_with_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked = Clock(), []

    def stream(_: Any, request: Request, heard: np.ndarray) -> Iterator[AudioChunk]:
        asked.append((request.seed, heard[-1]))
        for start in range(0, request.frames, RATE):
            clock.now += 7.0
            size = min(RATE, request.frames - start)
            yield AudioChunk(start, np.full(size, 0.5, np.float32))

    monkeypatch.setattr(long_runs, "continue_prime", stream)
    backend: Any = SlowingBackend(clock)
    row = measure_soak(backend, Fidelity.DRAFT, 10, clock=clock, resident=lambda: 1000 + round(clock.now))
    assert row.early_bytes == 1063  # the first event after 60 s came at 63
    assert row.seconds == 602 and row.late_bytes == 1602
    assert row.ratio == pytest.approx(1602 / 1063)
    assert row.audio_seconds == 602 / 7
    assert [seed for seed, _ in asked] == [0, 1, 2]
    assert asked[1][1] == 0.5  # the second take continues the first


@pytest.mark.parametrize("minutes", [1.0, 0.5, -1.0, float("nan")])
def test_a_soak_lasts_more_than_the_minute_it_is_compared_with(minutes: float) -> None:
    with pytest.raises(
        OutOfRange, match=r"a soak of \S+ minutes is asked for; memory is compared with that after 1"
    ):
        measure_soak(SlowingBackend(Clock()), Fidelity.DRAFT, minutes)  # type: ignore[arg-type]


def test_takes_are_made_in_one_request_and_compared_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, counts = Clock(), []
    real = long_runs.run_request

    def timed(*args: Any, takes: int, **options: Any) -> Any:
        made = real(*args, takes=takes, **options)
        counts.append([take.info.head.request.seed for take in made])
        clock.now += 2.0 + takes  # one takes 3 s, four take 6
        return made

    monkeypatch.setattr(long_runs, "run_request", timed)
    backend = TorchBackend(load_model(save_tiny(tmp_path / "m")))
    seen: list[float] = []
    row = measure_takes(backend, Fidelity.DRAFT, 4, 0.2, seen.append, clock)
    assert counts == [[0], [0], [0, 1, 2, 3]]  # the first warms up
    assert (row.one_seconds, row.all_seconds, row.ratio) == (3.0, 6.0, 2.0)
    assert seen and max(seen) <= 1.0


def test_one_take_cannot_be_compared_with_one() -> None:
    with pytest.raises(OutOfRange, match="1 takes cannot be compared with one; give at least 2"):
        measure_takes(SlowingBackend(Clock()), Fidelity.DRAFT, 1, 1.0)  # type: ignore[arg-type]
