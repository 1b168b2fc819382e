"""The runner over the shipped model's graphs: lanes that do not hear one another, threads, weights that stay alive."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import numpy as np
import pytest

from engine.backends import onnx_sessions
from engine.backends.onnx_backend import OnnxBackend
from engine.backends.onnx_weights import BLOCK, GRAPH_PRECISIONS, GraphPrecision, quantised, restored
from engine.backends.protocol import WindowInput
from engine.errors import BadFormat, OutOfRange
from engine.request import Style


@pytest.fixture(scope="module")
def backends() -> dict[GraphPrecision, OnnxBackend]:
    """The shipped model in both precisions."""
    return {precision: OnnxBackend("starter", precision) for precision in GRAPH_PRECISIONS}


def window(backend: OnnxBackend, level: int, lanes: slice, known: int) -> WindowInput:
    """Lanes of a window of 16, each with codes and a style of its own."""
    config = backend.config.priors[level]
    rng = np.random.default_rng(level)
    codes = rng.integers(0, config.bins, (16, known))
    upper = None
    if config.upper is not None:
        upper = rng.integers(0, config.upper.bins, (16, config.n_ctx // config.upper.ratio))[lanes]
    four = (Style(genres={"house": 1}), Style(), Style(genres={"techno": 1}), Style())
    styles = tuple(four[lane % 4] for lane in range(16))
    count = len(codes[lanes])
    return WindowInput(codes[lanes], upper, styles[lanes], 44100 * 60, (44100 * 8,) * count)


def logits(backend: OnnxBackend, level: int, lanes: slice, known: int, steps: int) -> np.ndarray:
    """Logits [steps, lanes, bins] of the positions behind ``known`` ones, over codes that are the same for a lane in
    whatever company it is."""
    given = window(backend, level, lanes, known)
    following = np.random.default_rng(99).integers(0, 2048, (steps, 16))[:, lanes]
    runner = backend.runner(level, len(given.prefix))
    runner.begin(given)
    return np.stack([runner.step(before).copy() for before in following])


@pytest.mark.parametrize("precision", GRAPH_PRECISIONS)
@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_lane_has_the_same_bits_whatever_the_number_of_lanes(
    backends: dict[GraphPrecision, OnnxBackend], precision: GraphPrecision, level: int
) -> None:
    """Prefill of a row and a bit, then steps into the row after it; a take does not depend on its company."""
    backend = backends[precision]
    together = logits(backend, level, slice(0, 16), 100, 40)
    assert np.isfinite(together).all() and np.ptp(together) > 1
    for lanes in (slice(0, 1), slice(3, 5), slice(5, 8), slice(8, 13), slice(9, 16)):
        alone = logits(backend, level, lanes, 100, 40)
        np.testing.assert_array_equal(alone, together[:, lanes], err_msg=str(lanes))


def test_every_thread_may_ask_for_a_runner_and_a_graph_is_loaded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    real = onnx_sessions.open_graph

    def counted(path: Path, weights: onnx_sessions.Weights) -> onnx_sessions.WeightedSession:
        opened.append(path.name)
        return real(path, weights)

    monkeypatch.setattr(onnx_sessions, "open_graph", counted)
    backend = OnnxBackend("starter", "int8")
    found: dict[int, np.ndarray] = {}
    together = threading.Barrier(6)

    def work(number: int) -> None:
        together.wait()
        found[number] = logits(backend, 0, slice(2, 3), 70, 20)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(opened) == ["conditions_0.onnx", "row_0.int8.onnx", "step_0.int8.onnx"]
    assert len(found) == 6
    for number in range(1, 6):
        np.testing.assert_array_equal(found[number], found[0])


def test_a_runner_outlives_its_backend() -> None:
    """The runtime reads the weights where Python holds them."""
    backend = OnnxBackend("starter", "fp32")
    wanted = logits(backend, 0, slice(0, 1), 10, 5)
    runner = backend.runner(0, 1)
    given = window(backend, 0, slice(0, 1), 10)
    del backend
    gc.collect()
    held = [np.full(1 << 20, 7.0, np.float32) for _ in range(40)]  # takes memory that was given back
    runner.begin(given)
    following = np.random.default_rng(99).integers(0, 2048, (5, 16))[:, :1]
    np.testing.assert_array_equal(np.stack([runner.step(before).copy() for before in following]), wanted)
    assert len(held) == 40


def test_lanes_that_no_graph_takes_are_refused(backends: dict[GraphPrecision, OnnxBackend]) -> None:
    for lanes in (0, 1025):
        with pytest.raises(OutOfRange, match=f"^{lanes} lanes are asked for; the graphs take 1 to 1024$"):
            backends["int8"].runner(0, lanes)


def test_a_graph_that_the_runtime_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "step_0.onnx").write_bytes(b"no graph")
    with pytest.raises(BadFormat, match=r"step_0\.onnx cannot be loaded: "):
        onnx_sessions.open_graph(tmp_path / "step_0.onnx", {})


def test_8_bits_hold_every_number_to_half_a_step_of_its_block() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 1, (5, 150)).astype(np.float32)
    weight[2, :BLOCK] = 0
    weight[3, 7] = 50.0  # spoils its own block only
    numbers, scales = quantised(weight)
    assert numbers.shape == (5, 3, BLOCK) and numbers.dtype == np.uint8 and scales.shape == (5, 3)
    assert (numbers[:, 2, 150 - 2 * BLOCK :] == 128).all()  # filled up with zeros
    blocks = np.pad(weight, ((0, 0), (0, 3 * BLOCK - 150))).reshape(5, 3, BLOCK)
    steps = np.abs(blocks).max(-1) / 127
    off = np.abs(restored(numbers, scales, 150) - weight)
    assert (off <= np.repeat(steps, BLOCK, 1)[:, :150] * 0.501).all()
    assert off[3, 7] < 1e-4 and off[3, BLOCK:].max() < 0.05
    assert not restored(numbers, scales, 150)[2, :BLOCK].any()
