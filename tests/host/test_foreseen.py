"""A prime that is encoded while it is still being played has the codes of one that is encoded when it is whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from engine.backends.choose import open_backend
from engine.backends.protocol import Backend
from engine.host.foreseen import foresee
from engine.host.primes import PrimeShelf
from engine.request import PrimeRef
from presets import default_riff

RATE = 44_100


@pytest.fixture(scope="module")
def backend() -> Backend:
    return open_backend("starter", wanted="onnx")


@pytest.fixture(scope="module")
def riff() -> np.ndarray:
    samples, _ = sf.read(default_riff(), dtype="float32", always_2d=True)
    return np.ascontiguousarray(np.tile(samples[:, 0], 3))


@pytest.mark.parametrize("frames", [4 * RATE, 4 * RATE + 77, 9 * RATE + 1])
@pytest.mark.parametrize("there", [0.6, 0.93])
def test_the_codes_are_the_same(backend: Backend, riff: np.ndarray, frames: int, there: float) -> None:
    whole = riff[:frames]
    found = foresee(backend, whole[: round(there * frames)], frames)
    assert found is not None
    hop = backend.config.hops[-1]
    assert found.codes.size >= 0.8 * (round(there * frames) - found.first) / hop - 100
    codes = found.codes_of(backend, whole)
    assert codes is not None
    expected = backend.encode(np.ascontiguousarray(whole[found.first :]), (backend.config.top,))
    assert np.array_equal(codes, expected[backend.config.top])


def test_another_prime_is_encoded_as_a_whole(backend: Backend, riff: np.ndarray) -> None:
    found = foresee(backend, riff[: 3 * RATE], 4 * RATE)
    assert found is not None
    other = riff[: 4 * RATE].copy()
    other[RATE] += 0.1
    assert found.codes_of(backend, other) is None
    assert found.codes_of(backend, riff[: 4 * RATE + 1]) is None
    assert foresee(backend, riff[:4000], 4 * RATE) is None  # too little to begin with


def test_the_shelf_encodes_the_end_only(backend: Backend, riff: np.ndarray, tmp_path: Path) -> None:
    part, whole = tmp_path / "part.wav", tmp_path / "whole.wav"
    sf.write(part, riff[: 3 * RATE], RATE, subtype="FLOAT")
    sf.write(whole, riff[: 4 * RATE], RATE, subtype="FLOAT")
    plain = PrimeShelf().begin(backend, PrimeRef(path=str(whole)), 120.0)
    shelf = PrimeShelf()
    shelf.foresee(backend, PrimeRef(path=str(part)), 4 * RATE)
    encoded: list[int] = []

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(backend, name)

        def encode(self, samples: np.ndarray, levels: tuple[int, ...]) -> object:
            encoded.append(samples.size)
            return backend.encode(samples, levels)

    counting: Backend = Counting()  # type: ignore[assignment]
    known = shelf.begin(counting, PrimeRef(path=str(whole)), 120.0).known
    top = backend.config.top
    assert np.array_equal(known.codes[top], plain.known.codes[top])
    assert len(encoded) == 1
    assert encoded[0] < 2 * RATE
