"""Levels in threads, takes and windows in lanes: nothing of it changes a take."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.backends.protocol import LevelRunner
from engine.backends.torch_backend import TorchBackend
from engine.errors import NoMemory
from engine.events import AudioChunk, Event, Preview, Progress
from engine.request import Fidelity, LevelSampling, PrimeRef, Request, Sampling, Style
from engine.sampling import Making, continue_prime, continue_takes, warm_start
from engine.store.folder import Model
from tests.often import often
from tests.sampling.collecting import collect, heard

FRAMES = 7_001  # neither a token nor a chunk


def request(**changes: object) -> Request:
    values: dict[str, object] = {"prime": PrimeRef(path="riff.wav"), "frames": FRAMES, "seed": 5}
    return Request.model_validate(values | changes)


def test_the_draft_is_heard_first_and_finer_levels_follow(model: Model, prime: NDArray[np.float32]) -> None:
    making = Making(chunk_frames=512, previews=True)
    events = [e for _, e in continue_takes(TorchBackend(model), request(), (5,), prime, making=making)]
    alone = {
        fidelity: heard(continue_prime(model, request(fidelity=fidelity), prime)) for fidelity in Fidelity
    }
    for level, fidelity in ((2, Fidelity.DRAFT), (1, Fidelity.FINE)):
        previews = np.concatenate([e.samples for e in events if isinstance(e, Preview) and e.level == level])
        assert previews.shape == alone[fidelity].shape
        error = np.square(previews - alone[fidelity]).mean() / np.square(alone[fidelity]).mean()
        assert error < 1e-3  # they are heard before all is known that reaches into them
    np.testing.assert_array_equal(heard(iter(events)), alone[Fidelity.FULL])
    order = [e.level if isinstance(e, Preview) else 0 for e in events if isinstance(e, Preview | AudioChunk)]
    assert order[0] == 2 and order.index(1) < order.index(0)


@pytest.mark.parametrize(
    ("lanes", "groups"),
    often(((1, 1), (3, 2), (16, 1), (8, 3)), but=((1, 1), (3, 2), (16, 1))),
)
def test_takes_beside_each_other_are_what_each_is_alone(
    model: Model, prime: NDArray[np.float32], lanes: int, groups: int
) -> None:
    seeds = (5, 6, 5)
    making = Making(lanes=lanes, groups=groups)
    events = list(continue_takes(TorchBackend(model), request(), seeds, prime, making=making))
    for take, seed in enumerate(seeds):
        own = collect(_of(events, take))
        audio, codes, _ = collect(continue_prime(model, request(seed=seed), prime))
        assert all(np.array_equal(codes[level], own[1][level]) for level in range(3))
        np.testing.assert_allclose(own[0], audio, atol=1e-6)


@pytest.mark.parametrize("overlap", [pytest.param(0.0, marks=pytest.mark.slow), 0.25])
@pytest.mark.slow
def test_strands_give_the_same_take_in_any_lanes_and_after_a_resume(
    model: Model, prime: NDArray[np.float32], overlap: float
) -> None:
    lower = LevelSampling(strand=2, overlap_fraction=overlap)
    asked = request(sampling=Sampling(bottom=lower, middle=lower))
    results = []
    for lanes in (1, 4, 8):
        making = Making(lanes=lanes)
        events = [e for _, e in continue_takes(TorchBackend(model), asked, (5,), prime, making=making)]
        results.append(collect(iter(events)))
    audio, codes, _ = results[0]
    for other in results[1:]:
        assert all(np.array_equal(codes[level], other[1][level]) for level in range(3))
        np.testing.assert_allclose(other[0], audio, atol=1e-6)
    done = {level: found[: found.size * 2 // 3] for level, found in codes.items()}
    resumed = heard(continue_prime(model, asked, prime, done=done))
    np.testing.assert_allclose(resumed, audio, atol=1e-6)
    _, exact_codes, _ = collect(continue_prime(model, request(), prime))
    assert np.array_equal(exact_codes[2], codes[2]) and not np.array_equal(exact_codes[0], codes[0])


@pytest.mark.slow
def test_a_warm_start_gives_the_same_take_and_is_passed_over_by_another(
    model: Model, prime: NDArray[np.float32]
) -> None:
    backend = TorchBackend(model)
    plain, _, _ = collect(continue_prime(model, request(), prime))
    warm = warm_start(backend, request(), prime)
    assert warm is not None
    other = request(style=Style(artists={"ada": 1}))
    for asked, used in ((other, False), (request(), True), (request(), True)):
        events = (e for _, e in continue_takes(backend, asked, (5,), prime, making=Making(warm=warm)))
        audio, _, _ = collect(events)
        assert np.array_equal(audio, plain) == used
        assert warm.used == used


def test_a_closed_take_leaves_no_thread(model: Model, prime: NDArray[np.float32]) -> None:
    before = threading.active_count()
    events = continue_takes(TorchBackend(model), request(), (5,), prime)
    assert isinstance(events, Generator)
    next(e for _, e in events if isinstance(e, Progress))
    assert threading.active_count() > before
    events.close()
    assert threading.active_count() == before


def test_what_a_level_raises_reaches_the_caller(model: Model, prime: NDArray[np.float32]) -> None:
    backend = TorchBackend(model)
    whole = backend.runner

    def runner(level: int, lanes: int) -> LevelRunner:
        if level == 1:
            raise NoMemory("no room for the middle level")
        return whole(level, lanes)

    backend.runner = runner  # type: ignore[method-assign]
    with pytest.raises(NoMemory, match="no room for the middle level"):
        list(continue_prime(backend, request(), prime))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("segue-level")]


def _of(events: list[tuple[int, Event]], take: int) -> Iterator[Event]:
    return (event for index, event in events if index == take)
