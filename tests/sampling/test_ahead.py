"""The next window's prefix passes through while the window before it is sampled; nothing that is made changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.backends.protocol import Codes, WindowInput
from engine.backends.torch_backend import TorchBackend
from engine.errors import Cancelled
from engine.request import Fidelity, LevelSampling, PrimeRef, Request, Sampling
from engine.sampling import continue_takes
from engine.sampling.ahead import MOST_BYTES
from engine.store.folder import Model
from tests.sampling.collecting import collect, heard

PIECE = 8


class PiecewiseBackend(TorchBackend):
    """The real one, whose runners can go ahead; ``pieces``: of every window that was begun, how many tokens had been
    passed on before it was its turn."""

    def __init__(self, model: Model, nbytes: int = 1000) -> None:
        super().__init__(model)
        self.pieces: list[int] = []
        self.size = nbytes
        self.made = 0
        self.fail_ahead = False
        self.caught_up = threading.Event()  # nothing more can go ahead with what is known

    def runner(self, level: int, lanes: int) -> Piecewise:  # type: ignore[override]
        self.made += level == 2
        return Piecewise(self, super().runner(level, lanes), level)


class Piecewise:
    """One of its runners. Before the top samples it waits for the thread that goes ahead, if there is one."""

    def __init__(self, backend: PiecewiseBackend, real: object, level: int) -> None:
        self.backend, self.real, self.level = backend, real, level
        self.given: WindowInput | None = None
        self.passed: Codes = np.zeros((0, 0), np.int64)

    @property
    def nbytes(self) -> int:
        return self.backend.size

    def begin(self, window: WindowInput, stopped: Callable[[], bool] = lambda: False) -> None:
        self.real.begin(window, stopped)  # type: ignore[attr-defined]
        self.backend.pieces.append(0)

    def prepare(self, window: WindowInput) -> None:
        assert threading.current_thread().name == "segue-ahead-2"
        if self.backend.fail_ahead:
            raise ValueError("nothing goes ahead here")
        self.given, self.passed = window, np.zeros((len(window.prefix), 0), np.int64)

    def pass_on(self, prefix: Codes) -> bool:
        count = self.passed.shape[1]
        np.testing.assert_array_equal(prefix[:, :count], self.passed)
        if prefix.shape[1] < count + PIECE:
            self.backend.caught_up.set()
            return False
        self.passed = prefix[:, : count + PIECE].copy()
        return True

    def complete(self, prefix: Codes, stopped: Callable[[], bool] = lambda: False) -> None:
        assert self.given is not None
        np.testing.assert_array_equal(prefix[:, : self.passed.shape[1]], self.passed)
        self.real.begin(replace(self.given, prefix=prefix), stopped)  # type: ignore[attr-defined]
        self.backend.pieces.append(self.passed.shape[1])

    def step(self, previous: Codes | None) -> NDArray[np.float32]:
        return self.real.step(previous)  # type: ignore[attr-defined,no-any-return]

    def sample(self, previous: Codes | None, noise: NDArray[np.float64], settings: LevelSampling) -> Codes:
        if self.level == 2 and self.backend.size < MOST_BYTES:
            self.backend.caught_up.wait(0.5)
            self.backend.caught_up.clear()
        return self.real.sample(previous, noise, settings)  # type: ignore[attr-defined,no-any-return]


@pytest.fixture(autouse=True)
def _small_quanta(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a window of 64 tokens as many as of a real one, of 2,048."""
    monkeypatch.setattr("engine.sampling.scheduler.QUANTUM", 4)


def request(fidelity: Fidelity = Fidelity.DRAFT, frames: int = 24_000) -> Request:
    top = LevelSampling(hop_fraction=0.25)
    return Request(
        prime=PrimeRef(path="riff.wav"), frames=frames, seed=5, fidelity=fidelity, sampling=Sampling(top=top)
    )


@pytest.mark.parametrize("seeds", [(5,), (5, 6, 7)])
def test_takes_are_what_they_are_without(
    model: Model, prime: NDArray[np.float32], seeds: tuple[int, ...]
) -> None:
    backend = PiecewiseBackend(model)
    wanted = [e for e in continue_takes(TorchBackend(model), request(), seeds, prime)]
    found = [e for e in continue_takes(backend, request(), seeds, prime)]
    for take in range(len(seeds)):
        old, new = (collect(e for t, e in events if t == take) for events in (wanted, found))
        np.testing.assert_array_equal(new[1][2], old[1][2])
        np.testing.assert_allclose(new[0], old[0], atol=1e-6)
    assert len(backend.pieces) > 8
    went = backend.pieces[1:]  # nobody went ahead of the first
    assert sum(count >= 32 for count in went) > 0.7 * len(
        went
    )  # of 48 tokens, the last ones of which come last
    assert backend.made == 2  # which take turns


@pytest.mark.slow
def test_at_full_fidelity_only_the_top_goes_ahead(model: Model, prime: NDArray[np.float32]) -> None:
    backend = PiecewiseBackend(model)
    full = request(Fidelity.FULL, 9_000)
    wanted = heard(e for _, e in continue_takes(TorchBackend(model), full, (5,), prime))
    found = heard(e for _, e in continue_takes(backend, full, (5,), prime))
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert any(backend.pieces)


def test_a_large_model_keeps_to_one_runner(model: Model, prime: NDArray[np.float32]) -> None:
    backend = PiecewiseBackend(model, nbytes=1 << 30)
    list(continue_takes(backend, request(), (5,), prime))
    assert backend.made == 1 and not any(backend.pieces)


def test_what_fails_ahead_is_told(model: Model, prime: NDArray[np.float32]) -> None:
    backend = PiecewiseBackend(model)
    backend.fail_ahead = True
    with pytest.raises(ValueError, match="nothing goes ahead here"):
        list(continue_takes(backend, request(), (5,), prime))


def test_called_off_in_the_middle_no_thread_is_left(model: Model, prime: NDArray[np.float32]) -> None:
    backend, looked = PiecewiseBackend(model), iter(range(6))
    with pytest.raises(Cancelled):
        list(continue_takes(backend, request(), (5,), prime, should_stop=lambda: next(looked, None) is None))
    mine = ("segue-ahead", "segue-level")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(mine)]
