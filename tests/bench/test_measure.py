"""Timings of things whose speed is known, because they wait for a known time."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.backends.protocol import Codes, WindowInput
from engine.backends.torch_backend import TorchBackend
from engine.bench.machine import copy_bandwidth, memory_of, resident_bytes
from engine.bench.measure import (
    first_audio,
    measure_codec,
    measure_draw,
    measure_pipeline,
    measure_prefill,
    measure_steps,
    random_window,
    request_of,
    sample_signal,
    threads,
)
from engine.bench.traffic import copied_bytes, device_of, runtime_of, step_weight_bytes
from engine.prior.int8 import quantise
from engine.request import Fidelity, LevelSampling
from engine.store import load_model
from tests.evaluation.tiny import RATE, save_tiny, tiny_config
from tests.often import often

STEP, BEGIN = 0.004, 0.02


class SlowRunner:
    """Every window takes 20 ms to begin, every step 4 ms, and drawing a token 4 ms more."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.prefixes: list[int] = []

    def begin(self, window: WindowInput) -> None:
        assert window.prefix.shape[0] == len(window.offsets) == self.lanes
        self.prefixes.append(window.prefix.shape[1])
        time.sleep(BEGIN)

    def step(self, previous: Codes | None) -> np.ndarray:
        time.sleep(STEP)
        return np.zeros((self.lanes, 32), np.float32)

    def sample(self, previous: Codes | None, noise: np.ndarray, settings: LevelSampling) -> Codes:
        assert noise.shape[0] == self.lanes
        time.sleep(2 * STEP * noise.shape[1])
        return np.zeros(noise.shape, np.int64)


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
    assert row.sample_tokens_per_second <= lanes / (2 * STEP)
    assert row.steps >= 0.3 / (STEP * 6)
    assert row.copied_bytes is None  # it binds nothing, so it cannot say


@pytest.mark.parametrize("lanes", [1, 4])
def test_the_figures_of_a_row_agree(lanes: int) -> None:
    row = measure_steps(SlowBackend(), 1, lanes, seconds=0.05, read=1_000_000)  # type: ignore[arg-type]
    assert row.tokens_per_second * row.mean_ms / 1e3 == pytest.approx(lanes)
    assert row.needed_tokens_per_second == pytest.approx(22050 / 32)
    assert row.real_time_factor * row.needed_tokens_per_second == pytest.approx(row.sample_tokens_per_second)
    # a millionth of a GB a step, and a step for every `lanes` tokens
    assert row.weights_gb_per_second == pytest.approx(1e-3 * row.tokens_per_second / lanes)
    assert row.weight_bytes == 1_000_000


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
    assert step_weight_bytes(backend, 0) == 4 * (2 * layer + 32 * 16)
    assert step_weight_bytes(backend, 2) == 4 * (3 * layer + 32 * 16)


def test_bytes_of_weights_in_8_bits_by_hand(tmp_path: Path) -> None:
    model = load_model(save_tiny(tmp_path / "m"))
    quantise(model.priors[0])
    matrices, rest = 16 * 12 + 4 * 16 + 2 * 16 * 16, 12 + 3 * 16 + 2 * 32
    scales = 12 + 3 * 16  # one for every output
    assert step_weight_bytes(TorchBackend(model), 0) == 2 * (matrices + 4 * (rest + scales)) + 4 * 32 * 16


class GraphBackend:
    """Graphs of a tiny model, level 0 in float32 and level 1 in 8 bits with a scale for every 64 inputs."""

    config = tiny_config()
    precisions = {0: "fp32", 1: "int8", 2: "fp32"}


def test_bytes_of_weights_of_graphs_by_hand() -> None:
    # Graphs pad heads of 4 to 8: 16x24+24 and 8x16+16 instead.
    rest = 24 + 3 * 16 + 2 * 32  # biases and norms
    matrices = 16 * 24 + 8 * 16 + 2 * 16 * 16
    assert step_weight_bytes(GraphBackend(), 0) == 4 * (2 * (matrices + rest) + 32 * 16)  # type: ignore[arg-type]
    in_8_bits = 2 * (24 + 3 * 16) * (64 + 4) + 32 * (64 + 4)  # outputs, each with its one block and its scale
    assert step_weight_bytes(GraphBackend(), 1) == in_8_bits + 4 * 2 * rest  # type: ignore[arg-type]


class BoundGraph:
    """What a graph with three bound inputs, logits and one array of new keys says."""

    inputs = {
        "previous": np.zeros(2, np.int64),
        "place": np.zeros((), np.int64),
        "added": np.zeros((2, 16), np.float32),
    }
    news = {"previous_rows": np.zeros((1, 2, 8), np.float32)}
    logits = np.zeros((2, 32), np.float32)


def test_bytes_copied_are_what_is_bound_apart_from_caches() -> None:
    runner = SlowRunner(2)
    runner.step_graph = BoundGraph()  # type: ignore[attr-defined]
    assert copied_bytes(runner) == 2 * 8 + 8 + 4 * (2 * 16 + 16 + 2 * 32)


def test_windows_hold_all_that_a_prior_reads(backend: TorchBackend) -> None:
    top, bottom = random_window(backend, 2, 3, 5), random_window(backend, 0, 3, 5)
    assert top.upper is None and top.prefix.shape == bottom.prefix.shape == (3, 5)
    assert bottom.upper is not None and bottom.upper.shape == (3, 128 // 4)
    assert top.offsets == (30 * RATE,) * 3 and len(top.styles) == 3


@pytest.mark.parametrize("fidelity", often(Fidelity, but=(Fidelity.FULL,)))
def test_a_whole_take_of_a_tiny_model(backend: TorchBackend, fidelity: Fidelity) -> None:
    seen: list[float] = []
    row = measure_pipeline(backend, fidelity, 0.5, seen.append)
    assert min(seen) >= 0.0 and max(seen) == pytest.approx(1.0)
    assert sorted(row.tokens) == list(range(fidelity.level, 3))
    assert row.tokens[2] == -(-round(0.5 * RATE) // 128)  # whole top tokens, at least half a second of them
    assert row.first_audio_ms > 0 and row.first_audio_known_ms > 0
    assert row.prime_seconds == 6.0 and row.real_time_factor > 0


def test_a_known_prime_is_not_encoded_again(backend: TorchBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    request, prime = request_of(RATE, 0.5, Fidelity.DRAFT), sample_signal(RATE, 1.0)
    _, codes = first_audio(backend, request, prime)
    assert codes[2].size > 0

    def refuse(*_: object) -> None:
        raise AssertionError("encoded")

    monkeypatch.setattr(backend, "encode", refuse)
    spent, again = first_audio(backend, request, prime, codes)
    assert spent > 0 and np.array_equal(again[2], codes[2])


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_memory_and_drawing_are_within_what_machines_do() -> None:
    assert 0.5 < copy_bandwidth("cpu", 0.05) < 2000.0
    assert 1.0 < measure_draw(2048, 0.05) < 5000.0


def test_the_most_memory_is_no_less_than_what_is_held() -> None:
    held = resident_bytes()
    most = memory_of("cpu")
    assert most.card_bytes is None
    assert 10e6 < held <= most.peak_resident_bytes * 1.01 < 1e12  # the two count at different moments


def test_who_runs_it_and_where(backend: TorchBackend) -> None:
    assert (runtime_of(backend), device_of(backend)) == ("torch", "cpu")


def test_the_tiny_model_steps_and_prefills(backend: TorchBackend) -> None:
    row = measure_steps(backend, 0, 3, 0.05, step_weight_bytes(backend, 0))
    assert row.lanes == 3 and row.steps >= 48  # the second half of a window of 128, less 16 to warm up
    assert row.needed_tokens_per_second == pytest.approx(22050 / 8)
    assert measure_prefill(backend, 0, 0.02).tokens == 64


def test_the_folder_of_a_model_is_measured_under_its_own_hash(tmp_path: Path) -> None:
    saved = save_tiny(tmp_path / "m")
    assert TorchBackend(load_model(saved)).hash == load_model(saved).hash != ""
