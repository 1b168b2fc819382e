"""The runner whose loop stays on the device: the tokens of the eager one, in any chunks, lanes and threads."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.backends.protocol import Codes, LevelRunner, WindowInput
from engine.backends.torch_backend import TorchBackend, keep_precision
from engine.backends.torch_graphs import SWITCH, GraphMisuse
from engine.backends.torch_runner import TorchRunner
from engine.backends.torch_static import CHUNK, StaticRunner, static_bytes
from engine.errors import BadFormat, OutOfRange
from engine.prior.int8 import quantise
from engine.prior.prior import Prior
from engine.request import LevelSampling, Style
from engine.sampling.draw import draw_lanes
from engine.sampling.noise import uniforms
from engine.store import ModelConfig, load_model
from tests.backends.priors import BINS, FORMS, RATE, SELDOM, form_prior, tokens_of
from tests.often import often
from tests.prior.build import ARTISTS, prior_config, tiny_model

SETTINGS = [LevelSampling(), LevelSampling(temperature=0.7, top_k=3), LevelSampling(top_p=0.8)]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ModelConfig:
    """Of a model with the labels of every form."""
    return tiny_model(tmp_path_factory.mktemp("models")).config


def window(prior: Prior, lanes: int, prefix: int, seed: int = 0) -> WindowInput:
    shape, rng = prior.config, np.random.default_rng(seed)
    upper = lyrics = None
    if shape.upper is not None:
        upper = rng.integers(0, BINS, (lanes, shape.n_ctx // shape.upper.ratio))
    if shape.lyrics is not None:
        lyrics = rng.integers(0, 79, (lanes, shape.lyrics.tokens))
    return WindowInput(
        prefix=tokens_of(prior, lanes, seed)[:, :prefix].cpu().numpy(),
        upper=upper,
        styles=tuple(Style(artists={ARTISTS[lane % 3]: 1.0}) for lane in range(lanes)),
        total=RATE * 10,
        offsets=tuple(RATE + 999 * lane for lane in range(lanes)),
        lyrics=lyrics,
    )


def noise_of(lanes: int, count: int) -> NDArray[np.float64]:
    return np.stack([uniforms(lane, 2, 0, count) for lane in range(lanes)])


def sampled(
    runner: LevelRunner, given: WindowInput, noise: NDArray[np.float64], settings: LevelSampling, size: int
) -> Codes:
    """A window sampled in chunks of ``size``."""
    runner.begin(given)
    parts: list[Codes] = []
    previous = given.prefix[:, -1] if given.prefix.shape[1] else None
    for first in range(0, noise.shape[1], size):
        parts.append(runner.sample(previous, noise[:, first : first + size], settings))
        previous = parts[-1][:, -1]
    return np.concatenate(parts, 1)


@pytest.mark.parametrize("form", often(tuple(FORMS), but=SELDOM))
def test_tokens_are_those_of_the_eager_runner(form: str, config: ModelConfig) -> None:
    """Lanes 1 to 4, windows with and without a prefix, every filter, chunks of any size, one runner for all."""
    prior = form_prior(form)
    n = prior.config.n_ctx
    for lanes in (1, 4):
        static, eager = StaticRunner(prior, config, lanes), TorchRunner(prior, config, lanes)
        for prefix, settings, size in zip((0, 1, n // 2 + 1), SETTINGS, (n, 5, 1), strict=True):
            given, noise = window(prior, lanes, prefix, seed=prefix), noise_of(lanes, n - prefix)
            wanted = sampled(eager, given, noise, settings, 64)
            found = sampled(static, given, noise, settings, size)
            np.testing.assert_array_equal(found, wanted)
        assert found.shape == (lanes, n - prefix) and len(np.unique(found)) > 2


@pytest.mark.parametrize("form", ["order-2", "joint"])
def test_steps_give_the_eager_logits_and_may_alternate_with_draws(form: str, config: ModelConfig) -> None:
    prior = form_prior(form)
    static, eager = StaticRunner(prior, config, 2), TorchRunner(prior, config, 2)
    given, noise = window(prior, 2, 0), noise_of(2, 30)
    for runner in (static, eager):
        runner.begin(given)
    previous = None
    for place in range(0, 30, 2):
        found, wanted = static.step(previous), eager.step(previous)
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        previous = found.argmax(1)
        tokens = [
            runner.sample(previous, noise[:, place : place + 1], SETTINGS[0]) for runner in (static, eager)
        ]
        np.testing.assert_array_equal(*tokens)
        previous = tokens[0][:, -1]


def test_more_tokens_than_a_chunk_holds(config: ModelConfig) -> None:
    prior = form_prior("order-2", n_ctx=CHUNK + 64, blocks=32)
    noise = noise_of(1, CHUNK + 64)
    wanted = sampled(TorchRunner(prior, config, 1), window(prior, 1, 0), noise, SETTINGS[0], CHUNK + 64)
    found = sampled(StaticRunner(prior, config, 1), window(prior, 1, 0), noise, SETTINGS[0], CHUNK + 64)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.slow
def test_a_take_is_the_same_take(tmp_path: Path) -> None:
    """The whole path of sampling over the two kinds of runner, all levels."""
    from engine.events import WindowDone
    from engine.request import PrimeRef, Request
    from engine.sampling import continue_prime

    model = tiny_model(tmp_path)
    prime = np.random.default_rng(0).normal(0, 0.1, 128 * 40).astype(np.float32)
    request = Request(prime=PrimeRef(path="noise"), frames=128 * 50, seed=3)

    def codes(static: bool) -> list[list[int]]:
        events = continue_prime(TorchBackend(model, static=static), request, prime)
        done = [event for event in events if isinstance(event, WindowDone)]
        return [event.codes.tolist() for event in sorted(done, key=lambda event: (event.level, event.index))]

    assert codes(True) == codes(False) != []


def test_two_runners_in_two_threads_are_two_runners_one_after_another(config: ModelConfig) -> None:
    prior = form_prior("order-2")
    work = [(window(prior, 2, 5, seed), noise_of(2, 50) * (1 - 0.1 * seed)) for seed in range(2)]

    def run(index: int) -> Codes:
        runner = StaticRunner(prior, config, 2)
        return np.concatenate([sampled(runner, *work[index], SETTINGS[index], 7) for _ in range(4)], 1)

    wanted = [run(0), run(1)]
    found: dict[int, Codes] = {}
    ready = threading.Barrier(2)

    def thread(index: int) -> None:
        ready.wait(20)
        found[index] = run(index)

    threads = [threading.Thread(target=thread, args=(index,)) for index in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for index in range(2):
        np.testing.assert_array_equal(found[index], wanted[index])


def test_one_runner_is_one_threads(config: ModelConfig) -> None:
    """A graph that is inside a step refuses a second caller; see tests of the wrapper for the sentence."""
    runner = StaticRunner(form_prior("order-2"), config, 1)
    runner.begin(window(runner.prior, 1, 4))
    runner.step(np.zeros(1, np.int64))
    graph = runner._graphs[None]
    assert graph._running.acquire(blocking=False)
    try:
        with pytest.raises(GraphMisuse, match="the step of level 2 with 1 lane that gives logits is running"):
            runner.step(np.zeros(1, np.int64))
    finally:
        graph._running.release()


def test_what_does_not_fit_is_refused_in_a_sentence(config: ModelConfig) -> None:
    prior = form_prior("order-2")
    runner = StaticRunner(prior, config, 2)
    with pytest.raises(RuntimeError, match="step before begin: a window has to be begun first"):
        runner.step(None)
    message = (
        "windows for 3 lanes are given to a runner of level 2 with 2; give it 2 or make a runner for 3",
        "60 tokens are wanted of level 2 and its window has room for 59; begin the next window",
        "noise of 3 lanes and 4 tokens is given to a runner of level 2; it takes 2 lanes and up to 256 tokens",
        "tokens of this runner are pending; fetch them first, their memory is used again",
    )
    with pytest.raises(OutOfRange, match=re.escape(message[0])):
        runner.begin(window(prior, 3, 5))
    runner.begin(window(prior, 2, 5))
    previous = np.zeros(2, np.int64)
    with pytest.raises(OutOfRange, match=re.escape(message[1])):
        runner.sample(previous, noise_of(2, 60), SETTINGS[0])
    with pytest.raises(OutOfRange, match=re.escape(message[2])):
        runner.launch(np.zeros(3, np.int64), noise_of(3, 4), SETTINGS[0])
    pending = runner.launch(previous, noise_of(2, 4), SETTINGS[0])
    with pytest.raises(RuntimeError, match=message[3]):
        runner.launch(previous, noise_of(2, 4), SETTINGS[0])
    assert pending.codes().shape == (2, 4)
    runner.launch(previous, noise_of(2, 4), SETTINGS[0]).codes()


def test_logits_that_overflow_are_told_and_leave_nothing_behind(config: ModelConfig) -> None:
    """Weights beyond float16's range: said in a sentence, and the next window is as if it had not been."""
    prior = form_prior("order-2")
    runner = StaticRunner(prior, config, 1)
    given, noise = window(prior, 1, 3), noise_of(1, 20)
    wanted = sampled(runner, given, noise, SETTINGS[0], 20)
    layer = prior.transformer.layers[1].attn.c_attn.bias
    layer.data.fill_(torch.inf)
    message = "the prior of level 2 gives no finite logits; float16 is too narrow for it: write @bf16 behind"
    with pytest.raises(BadFormat, match=message):
        sampled(runner, given, noise, SETTINGS[0], 20)
    layer.data.zero_()
    np.testing.assert_array_equal(sampled(runner, given, noise, SETTINGS[0], 20), wanted)


@pytest.mark.parametrize("weights", ["plain", "int8"])
@pytest.mark.parametrize("form", often(tuple(FORMS), but=SELDOM))
def test_a_captured_step_uses_its_own_device_and_no_value(
    form: str, weights: str, config: ModelConfig
) -> None:
    """On a device without values: a tensor of the processor among the others raises, and so does asking for one."""
    with torch.device("meta"), torch.inference_mode():
        prior = Prior(prior_config(**FORMS[form])).half()
        if weights == "int8":
            quantise(prior)
    runner = StaticRunner(prior, config, 2)
    state, chunk = runner.state, runner.chunk
    with torch.inference_mode():
        runner._step_only(state.position, state.ids, chunk.logits)
        for kind in ("none", "top_k", "top_p"):
            runner._step_and_draw(kind, state.position, state.ids, chunk.noise, chunk.codes, chunk.drawn)
        with pytest.raises(RuntimeError, match="not on the expected device"):
            chunk.logits + torch.zeros(2, BINS)
        with pytest.raises(RuntimeError, match=r"item\(\) cannot be called on meta tensors"):
            state.position.item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("form", FORMS)
def test_what_a_runner_keeps_is_known_beforehand(form: str, dtype: torch.dtype, config: ModelConfig) -> None:
    prior = form_prior(form).to(dtype)
    runner = StaticRunner(prior, config, 3)
    state = runner.state
    held = [state.position, state.ids, state.start, state.added, state.table, *vars(runner.chunk).values()]
    weights = {parameter.untyped_storage().data_ptr() for parameter in prior.parameters()}
    kept = [tensor for tensor in held if tensor is not None]
    own = [tensor for tensor in kept if tensor.untyped_storage().data_ptr() not in weights]
    found = sum(tensor.numel() * tensor.element_size() for tensor in own)
    assert static_bytes(prior.config, 3, dtype.itemsize) == found


def test_the_backend_keeps_eager_steps_on_a_cpu(tmp_path: Path) -> None:
    model = tiny_model(tmp_path)
    assert type(TorchBackend(model).runner(2, 1)) is TorchRunner
    assert type(TorchBackend(model, static=True).runner(2, 1)) is StaticRunner


def test_precision_is_kept() -> None:
    keep_precision()
    matmul = torch.backends.cuda.matmul
    assert not matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32
    assert not matmul.allow_fp16_reduced_precision_reduction
    assert not matmul.allow_bf16_reduced_precision_reduction


@pytest.mark.gpu
@pytest.mark.parametrize("form", FORMS)
def test_captured_steps_give_the_processors_logits_and_draw_its_tokens(
    form: str, config: ModelConfig
) -> None:
    """Logits along the tokens that the GPU draws, in float32; and from these logits the processor draws the same."""
    prior = form_prior(form)
    n = prior.config.n_ctx
    given, noise = window(prior, 3, 5), noise_of(3, n - 5)
    keep_precision()
    runner = StaticRunner(form_prior(form).to("cuda"), config, 3)
    stepping = StaticRunner(form_prior(form).to("cuda"), config, 3)
    for settings in SETTINGS:
        tokens = sampled(runner, given, noise, settings, 7)
        eager = TorchRunner(prior, config, 3)
        eager.begin(given)
        stepping.begin(given)
        previous = given.prefix[:, -1]
        for place in range(n - 5):
            logits = stepping.step(previous).copy()
            np.testing.assert_allclose(logits, eager.step(previous), atol=1e-3)
            previous = draw_lanes(logits, noise[:, place], settings)
            np.testing.assert_array_equal(tokens[:, place], previous)
    assert len(runner._graphs) == 3
    assert all(graph.captured for graph in (*runner._graphs.values(), *stepping._graphs.values()))


@pytest.mark.gpu
def test_graphs_and_no_graphs_draw_the_same(config: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    prior = form_prior("order-2").to("cuda").half()
    given, noise = window(prior, 4, 9), noise_of(4, 55)
    with_graphs = sampled(StaticRunner(prior, config, 4), given, noise, SETTINGS[0], 11)
    monkeypatch.setenv(SWITCH, "1")
    without = sampled(StaticRunner(prior, config, 4), given, noise, SETTINGS[0], 11)
    np.testing.assert_array_equal(with_graphs, without)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
def test_levels_overlap_on_the_device_and_keep_their_tokens(precision: str) -> None:
    """The starter's three levels in threads of their own, captured meanwhile, against one after another."""
    backend = TorchBackend(load_model(f"starter@{precision}", device="cuda"))

    def run(level: int) -> Codes:
        prior = backend.model.priors[level]
        shape = prior.config
        upper = None if shape.upper is None else np.zeros((2, shape.n_ctx // 4), np.int64)
        prefix = np.zeros((2, 9), np.int64)
        given = WindowInput(prefix, upper, (Style(), Style()), RATE * 60, (RATE, RATE))
        return sampled(backend.runner(level, 2), given, noise_of(2, 300), SETTINGS[0], 64)

    wanted = [run(level) for level in range(3)]
    found: dict[int, Codes] = {}
    threads = [threading.Thread(target=lambda at=level: found.update({at: run(at)})) for level in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for level in range(3):
        np.testing.assert_array_equal(found[level], wanted[level])
