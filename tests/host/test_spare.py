"""What is done ahead of need: it is used, and changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.backends.choose import open_backend
from engine.backends.torch_backend import TorchBackend
from engine.host.jobs import run_request
from engine.host.primes import PrimeShelf
from engine.host.protocol import Generate, Prepare, PrimeReady, TakeDone, TakePrime
from engine.host.spare import SpareTime, light, warm_up
from engine.request import Request, Style
from engine.sampling.warm import WarmStart
from tests.host.pipe import engine
from tests.host.tiny import make_request


@pytest.fixture(scope="module")
def backend(tiny_model: Path) -> TorchBackend:
    return open_backend(str(tiny_model))


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def begun(spare: SpareTime, backend: TorchBackend, request: Request, takes: int = 1) -> WarmStart:
    """The head start for a request, once there is one."""
    found: list[WarmStart] = []
    spare.begin_take(backend, Prepare(request=request, takes=takes))
    until(lambda: (warm := spare.head_start()) is not None and not found.append(warm))
    return found[0]


@pytest.mark.parametrize("takes", [1, 2])
def test_a_take_goes_on_from_its_head_start(
    backend: TorchBackend, tiny_model: Path, riff: Path, tmp_path: Path, takes: int
) -> None:
    request = make_request(tiny_model, riff, 0.1, fidelity="draft")
    shelf = PrimeShelf()
    shelf.take_in(backend, request.prime)
    warm = begun(SpareTime(shelf), backend, request.model_copy(update={"seed": 99, "frames": 9_000}), takes)
    plain = run_request(backend, request, folder=tmp_path / "plain", takes=takes)
    known = shelf.find(backend, request.prime)
    ahead = run_request(backend, request, folder=tmp_path / "w", takes=takes, warm=warm, prime=known)
    assert warm.used
    for one, other in zip(plain, ahead, strict=True):
        assert all(np.array_equal(one.codes()[level], other.codes()[level]) for level in one.codes())


def test_another_style_passes_the_head_start_over(
    backend: TorchBackend, tiny_model: Path, riff: Path, tmp_path: Path
) -> None:
    request = make_request(tiny_model, riff, 0.1, fidelity="draft")
    shelf = PrimeShelf()
    shelf.take_in(backend, request.prime)
    warm = begun(SpareTime(shelf), backend, request)
    styled = request.model_copy(update={"style": Style(genres={"dub": 1.0})})
    (plain,) = run_request(backend, styled, folder=tmp_path / "plain")
    (ahead,) = run_request(backend, styled, folder=tmp_path / "w", warm=warm)
    assert not warm.used and np.array_equal(plain.codes()[2], ahead.codes()[2])


def test_nothing_is_begun_while_a_job_runs(backend: TorchBackend, tiny_model: Path, riff: Path) -> None:
    request = make_request(tiny_model, riff, 0.1)
    shelf = PrimeShelf()
    shelf.begin(backend, request.prime)
    spare = SpareTime(shelf)
    spare.job_came()
    spare.begin_take(backend, Prepare(request=request))
    spare.encode_rest(backend, request.prime)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        assert spare.head_start() is None and sorted(shelf.find(backend, request.prime).codes) == [2]
    spare.job_went()
    until(lambda: sorted(shelf.find(backend, request.prime).codes) == [0, 1, 2])
    assert spare.head_start() is not None


def test_a_model_is_run_once_at_every_level(backend: TorchBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = TorchBackend(backend.model)  # that no work ahead of need of another test still uses
    ran: list[tuple[str, int]] = []
    for name, place in (("encode", 1), ("runner", 0), ("decode_piece", 1)):
        whole = getattr(backend, name)

        def watched(*given, name=name, place=place, whole=whole):
            ran.append((name, given[place] if name != "encode" else given[place][0]))
            return whole(*given)

        monkeypatch.setattr(backend, name, watched)
    warm_up(backend)
    assert sorted(ran) == [
        (name, level) for name in ("decode_piece", "encode", "runner") for level in (0, 1, 2)
    ]


def test_a_large_model_is_left_alone(backend: TorchBackend) -> None:
    config = backend.config
    assert light(config)
    top = config.priors[2].model_copy(update={"width": 2048, "depth": 72})  # the 1b of the paper
    assert not light(config.model_copy(update={"priors": (*config.priors[:2], top)}))


@pytest.mark.slow
def test_the_engine_takes_a_wish_and_the_job_that_follows(
    tiny_model: Path, riff: Path, tmp_path: Path
) -> None:
    request = make_request(tiny_model, riff, 0.1)
    with engine() as started:
        started.load(str(tiny_model))
        started.send(TakePrime(tag="p", prime=request.prime))
        started.wait_for(PrimeReady)
        for seed in (1, 2):
            started.send(Prepare(request=request))
            own = request.model_copy(update={"seed": seed})
            started.send(Generate(job="j", request=own, folder=str(tmp_path)))
            done = started.terminal()
            assert isinstance(done, TakeDone) and done.seed == seed
