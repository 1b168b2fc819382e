"""Timings of things whose speed is known, because they wait for a known time."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.backends.protocol import Codes, WindowInput
from engine.backends.torch_backend import TorchBackend
from engine.bench.measure import (
    copy_bandwidth,
    measure_codec,
    measure_draw,
    measure_pipeline,
    measure_prefill,
    measure_steps,
    threads,
    weight_bytes,
)
from engine.request import Fidelity
from engine.store import load_model
from tests.evaluation.tiny import RATE, save_tiny, tiny_config

STEP, BEGIN = 0.004, 0.02


class SlowRunner:
    """Every window takes 20 ms to begin, every step 4 ms."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.prefixes: list[int] = []

    def begin(self, window: WindowInput) -> None:
        assert window.prefix.shape[0] == self.lanes
        self.prefixes.append(window.prefix.shape[1])
        time.sleep(BEGIN)

    def step(self, previous: Codes | None) -> np.ndarray:
        time.sleep(STEP)
        return np.zeros((self.lanes, 32), np.float32)


class SlowBackend:
    """A backend of known speed."""

    config = tiny_config()

    def runner(self, level: int, lanes: int) -> SlowRunner:
        return SlowRunner(lanes)

    def encode(self, samples: np.ndarray, levels: tuple[int, ...]) -> dict[int, Codes]:
        time.sleep(samples.size / RATE / 20)  # 20 times real time
        return {level: np.zeros(samples.size // self.config.hops[level], np.int64) for level in levels}

    def decode_grid(self, level: int) -> int:
        return 4096 // self.config.hops[level]

    def decode_piece(self, codes: Codes, level: int, piece: int, total: int) -> np.ndarray:
        time.sleep(4096 / RATE / 10)  # 10 times real time
        return np.zeros(4096, np.float32)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> TorchBackend:
    return TorchBackend(load_model(save_tiny(tmp_path_factory.mktemp("tiny"))))


@pytest.mark.parametrize("lanes", [1, 4])
def test_steps_of_known_duration(lanes: int) -> None:
    row = measure_steps(SlowBackend(), 1, lanes, seconds=0.3, read=1_000_000)  # type: ignore[arg-type]
    assert 1e3 * STEP <= row.p50_ms < 1e3 * STEP * 4
    assert row.p50_ms <= row.p99_ms
    assert lanes / STEP / 6 < row.tokens_per_second <= lanes / STEP
    assert row.needed_tokens_per_second == pytest.approx(22050 / 32)
    assert row.weights_gb_per_second == pytest.approx(1e-3 * row.tokens_per_second / lanes, rel=1e-6)
    assert row.steps >= 0.3 / (STEP * 6)


def test_prefill_counts_the_step_that_fetches_it() -> None:
    row = measure_prefill(SlowBackend(), 2, seconds=0.1)  # type: ignore[arg-type]
    assert row.tokens == 64
    assert 64 / (BEGIN + STEP) / 6 < row.tokens_per_second <= 64 / (BEGIN + STEP)


def test_codec_of_known_speed() -> None:
    row = measure_codec(SlowBackend(), 2, 2.0)  # type: ignore[arg-type]
    assert 3 < row.encode_factor <= 20
    assert 1.5 < row.decode_factor <= 10.1


def test_bytes_of_weights_by_hand(backend: TorchBackend) -> None:
    # Width 16, attention width 4, mlp width 16: 16x12+12, 4x16+16, two times 16x16+16 and two norms of 32 a layer;
    # the embedding of 32 tokens is read once a step, for the logits.
    layer = 16 * 12 + 12 + 4 * 16 + 16 + 2 * (16 * 16 + 16) + 2 * 32
    assert weight_bytes(backend.model.priors[0]) == 4 * (2 * layer + 32 * 16)
    assert weight_bytes(backend.model.priors[2]) == 4 * (3 * layer + 32 * 16)


@pytest.mark.parametrize("fidelity", list(Fidelity))
def test_a_whole_take_of_a_tiny_model(backend: TorchBackend, fidelity: Fidelity) -> None:
    seen: list[float] = []
    row = measure_pipeline(backend, fidelity, 0.5, seen.append)
    assert seen == sorted(seen) and seen[-1] == pytest.approx(1.0)
    assert sorted(row.tokens) == list(range(fidelity.level, 3))
    assert row.tokens[2] == -(-round(0.5 * RATE) // 128)  # whole top tokens, at least half a second of them
    whole_ms = 1e3 * row.seconds / row.real_time_factor
    assert 0 < row.first_audio_ms < whole_ms
    assert sum(row.level_seconds.values()) < whole_ms / 1e3


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_memory_and_drawing_are_within_what_machines_do() -> None:
    assert 0.5 < copy_bandwidth(torch.device("cpu"), 0.05) < 2000.0
    assert 1.0 < measure_draw(2048, 0.05) < 5000.0


def test_the_tiny_model_steps_and_prefills(backend: TorchBackend) -> None:
    row = measure_steps(backend, 0, 3, 0.05, weight_bytes(backend.model.priors[0]))
    assert row.lanes == 3 and row.steps >= 48  # the second half of a window of 128, less 16 to warm up
    assert row.needed_tokens_per_second == pytest.approx(22050 / 8)
    assert measure_prefill(backend, 0, 0.02).tokens == 64


def test_the_folder_of_a_model_is_measured_under_its_own_hash(tmp_path: Path) -> None:
    saved = save_tiny(tmp_path / "m")
    assert TorchBackend(load_model(saved)).hash == load_model(saved).hash != ""
