"""The runner over the shipped model's graphs: lanes that do not hear one another, threads, weights that stay alive."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.backends import onnx_sessions
from engine.backends.onnx_backend import OnnxBackend
from engine.backends.onnx_runner import OnnxRunner, lanes_alike
from engine.backends.onnx_weights import BLOCK, GRAPH_PRECISIONS, GraphPrecision, quantised, restored
from engine.backends.protocol import Codes, LevelRunner, WindowInput
from engine.backends.torch_backend import TorchBackend
from engine.backends.torch_runner import TorchRunner
from engine.errors import BadFormat, OutOfRange
from engine.prior.config import LyricsConfig
from engine.prior.pulse import SongPulse
from engine.prior.vocabulary import LabelVocabulary
from engine.request import LevelSampling, Style
from engine.store import load_model
from tests.export.test_onnx import FORMS, sessions
from tests.often import often
from tests.prior.build import ARTISTS, GENRES
from tests.prior.test_lyric_attention import lyric_prior


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
@pytest.mark.parametrize("level", often((0, 1, 2), but=(1,)))
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


def repeated(given: WindowInput, lanes: int) -> WindowInput:
    """A window whose lanes all start as the first of ``given``; each is a copy."""
    upper, lyrics = (
        None if rows is None else np.repeat(rows[:1], lanes, 0) for rows in (given.upper, given.lyrics)
    )
    prefix = np.repeat(given.prefix[:1], lanes, 0)
    styles = tuple(Style(**given.styles[0].model_dump()) for _ in range(lanes))
    return replace(
        given, prefix=prefix, upper=upper, styles=styles, offsets=given.offsets[:1] * lanes, lyrics=lyrics
    )


def followed(runner: LevelRunner, given: WindowInput, following: Codes) -> np.ndarray:
    """Logits [steps, lanes, bins] behind a window's prefix, then behind ``following`` [lanes, steps - 1]."""
    runner.begin(given)
    before = given.prefix[:, -1] if given.prefix.shape[1] else None
    return np.stack([runner.step(codes).copy() for codes in (before, *following.T)])


def rows_passed(monkeypatch: pytest.MonkeyPatch, runner: OnnxRunner) -> list[int]:
    """Fills with the first position of every row that a runner's own prefill passes through."""
    passed: list[int] = []
    real = runner.row_graph.run

    def noted(first: int) -> None:
        passed.append(first)
        real(first)

    monkeypatch.setattr(runner.row_graph, "run", noted)
    return passed


@pytest.mark.parametrize("known", [0, 1, 100, 128])
@pytest.mark.parametrize("level", often((0, 2), but=(2,)))
def test_takes_that_start_alike_are_prefilled_once_and_come_out_as_each_alone(
    backends: dict[GraphPrecision, OnnxBackend],
    monkeypatch: pytest.MonkeyPatch,
    level: int,
    known: int,
) -> None:
    """Behind a window whose lanes differ; then company that differs in one lane, which is passed through whole."""
    backend = backends["int8"]
    start = window(backend, level, slice(0, 1), known)
    following = np.random.default_rng(98).integers(0, 2048, (8, 70))
    wanted = [followed(backend.runner(level, 1), start, codes[None]) for codes in following]
    for lanes in (2, 3, 8):
        runner = backend.runner(level, lanes)
        assert isinstance(runner, OnnxRunner)
        runner.begin(window(backend, level, slice(1, 1 + lanes), 200))
        passed = rows_passed(monkeypatch, runner)
        found = followed(runner, repeated(start, lanes), following[:lanes])
        np.testing.assert_array_equal(found, np.concatenate(wanted[:lanes], 1))
        assert passed == []
        company = repeated(start, lanes)
        company = replace(company, styles=(*company.styles[1:], Style(genres={"techno": 1})))
        found = followed(runner, company, following[:lanes])
        np.testing.assert_array_equal(found[:, :-1], np.concatenate(wanted[: lanes - 1], 1))
        assert np.abs(found[0, -1] - wanted[0][0, 0]).max() > 1e-3
        assert passed == {0: [0], 1: [0], 100: [0, 64], 128: [0, 64]}[known]


def test_lanes_start_alike_only_if_everything_is_the_same() -> None:
    same = np.ones((3, 5), np.int64)
    other = same.copy()
    other[2, 4] = 2
    alike = WindowInput(same, same, (Style(),) * 3, 44100, (7,) * 3, same)
    assert lanes_alike(alike) and lanes_alike(replace(alike, upper=None, lyrics=None))
    changes: list[dict[str, Any]] = [{"prefix": other}, {"upper": other}, {"lyrics": other}]
    changes += [{"offsets": (7, 7, 8)}, {"styles": (Style(), Style(), Style(genres={"dub": 1}))}]
    for change in changes:
        assert not lanes_alike(replace(alike, **change)), change


@pytest.mark.parametrize("known", [100, 128])
def test_takes_that_start_alike_are_those_of_torch(
    backends: dict[GraphPrecision, OnnxBackend], known: int
) -> None:
    ours, theirs = backends["fp32"].runner(2, 4), TorchBackend(load_model("starter", levels=[2])).runner(2, 4)
    given = repeated(window(backends["fp32"], 2, slice(0, 1), known), 4)
    following = np.random.default_rng(97).integers(0, 2048, (4, 30))
    np.testing.assert_allclose(
        followed(ours, given, following), followed(theirs, given, following), atol=1e-4
    )
    noise = np.random.default_rng(96).random((4, 40))
    drawn = []
    for runner in (ours, theirs):
        runner.begin(given)
        drawn.append(runner.sample(given.prefix[:, -1], noise, LevelSampling()))
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert len({tuple(codes) for codes in drawn[0]}) == 4


WHOLE_ROWS_OF_LYRICS = FORMS["joint lyrics"] | {"n_ctx": 40, "blocks": 6, "lyrics": LyricsConfig(tokens=20)}
ALIKE = FORMS | {"joint lyrics in whole rows": WHOLE_ROWS_OF_LYRICS}


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(form, id=name, marks=[] if name == "pulse and style" else [pytest.mark.slow])
        for name, form in ALIKE.items()
    ],
)
def test_every_kind_of_cache_is_copied_to_lanes_that_start_alike(
    form: dict[str, Any], tmp_path: Path
) -> None:
    """Every position against torch, from no prefix, a part of a row and whole rows (7 behind joint lyrics of 20 with
    rows of 9, 10 with rows of 10), one window after another in the same runner, by other lyrics each."""
    torch.manual_seed(1)
    prior = lyric_prior({}, **form)
    names = LabelVocabulary.own(ARTISTS, GENRES)
    theirs = TorchRunner.__new__(TorchRunner)
    theirs.prior, theirs.names, theirs.caches = prior, names, prior.caches(3)
    ours = OnnxRunner(sessions(tmp_path, prior), prior.config, names, 3)
    n, block = prior.config.n_ctx, prior.config.shape.block_ctx
    rng = np.random.default_rng(0)
    for known in (2 * block, 10, 7, 3, 0):
        lyrics = rng.integers(1, 79, (1, 20)) if prior.config.lyrics else None
        first = WindowInput(
            rng.integers(0, 16, (1, known)),
            None,
            (Style(genres={"dub": 1, "jazz": 2}),),
            44100 * 9,
            (20000,),
            lyrics,
            SongPulse(5000.0, 77.0, 3),
        )
        given = repeated(first, 3)
        following = rng.integers(0, 16, (3, n - known - 1))
        found, wanted = (followed(runner, given, following) for runner in (ours, theirs))
        np.testing.assert_allclose(found, wanted, atol=1e-4)
        np.testing.assert_array_equal(found[0, 1:], found[0, :-1])
        assert np.ptp(found) > 0.1


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
