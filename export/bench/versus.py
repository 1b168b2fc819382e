"""The same random weights three times: Hugging Face's sampler, our torch and our graphs, in one process."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.backends.onnx_manifest import graph_file
from engine.backends.onnx_runner import LevelSessions, OnnxRunner
from engine.backends.onnx_sessions import Sessions
from engine.backends.onnx_weights import GRAPH_PRECISIONS, GraphPrecision
from engine.backends.protocol import LevelRunner, WindowInput
from engine.backends.torch_backend import TorchBackend
from engine.bench.measure import random_window
from engine.bench.random_model import random_model
from engine.bench.report import VersusRow
from engine.codec.config import CodecConfig
from engine.errors import BadArguments, BadFormat
from engine.prior.config import EncoderConfig, LyricsConfig, PriorConfig, TimeConfig, UpperConfig
from engine.request import LevelSampling
from engine.store import Model, ModelConfig, save_model, starter_config
from engine.store.files import prior_file
from export.bench.peer import logits_theirs, peer_name, peer_prior, sample_theirs
from export.onnx.write import write_conditions, write_prior

TOKENS, WARM_UP_TOKENS = 256, 32
RUNS = 5
SAME_WEIGHTS = 1e-3  # most that logits of equal weights may differ by, float32 sums in another order
NAMES = ("unknown", "first", "second", "third")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Shapes:
    """``config``'s priors at ``levels`` are compared; the others are there to make it a model."""

    name: str
    config: ModelConfig
    levels: tuple[int, ...]

    def only(self, levels: tuple[int, ...] | None) -> Shapes:
        """These shapes at some of their levels; None: at all."""
        if levels is None:
            return self
        return replace(self, levels=tuple(level for level in self.levels if level in levels))


def _model(width: int, depth: int, lyrics: bool = False) -> ModelConfig:
    """Priors as the released ones are built (row, column and previous row, a quarter of the width for attention), but
    narrow and shallow; with lyrics, the top one as 5b_lyrics has it, and lower ones that are not compared."""
    shared: dict[str, Any] = {
        "n_ctx": 512, "blocks": 32, "heads": 2, "artists": len(NAMES), "genres": len(NAMES), "init_scale": 4.0,
    }  # fmt: skip
    below = {"width": 16, "depth": 1} if lyrics else {"width": width, "depth": depth}
    top: dict[str, Any] = {"width": width, "depth": depth}
    if lyrics:
        encoder = EncoderConfig(width=width // 2, depth=4, heads=2)
        sung = LyricsConfig(tokens=128, vocabulary="v2", encoder=encoder)
        top |= {"attention_order": 10, "merged_decoder": True, "lyrics": sung}
    upper = UpperConfig(width=32, depth=4)
    time_signal = TimeConfig(bins=64, min_seconds=1.0, max_seconds=600.0)
    return ModelConfig(
        name="random",
        codec=CodecConfig(width=8, depth=1),
        priors=(
            PriorConfig(level=0, hop=8, upper=upper, **below, **shared),
            PriorConfig(level=1, hop=32, upper=upper, **below, **shared),
            PriorConfig(level=2, hop=128, time=time_signal, **top, **shared),
        ),
        artists=NAMES,
        genres=NAMES,
    )


def shapes_named(name: str) -> list[Shapes]:
    """``tiny``, ``small`` (with and without lyrics) or ``starter``; raises BadArguments for others."""
    if name == "starter":
        return [Shapes(name, starter_config(NAMES, NAMES), (2, 1, 0))]
    sizes = {"tiny": (64, 12, 19), "small": (128, 24, 29)}  # lyrics are read at layers 18 and 28
    if name not in sizes:
        raise BadArguments(f"there are no shapes '{name}' to compare in; choose from tiny, small, starter")
    width, depth, with_lyrics = sizes[name]
    return [
        Shapes(name, _model(width, depth), (2, 1, 0)),
        Shapes(name, _model(width, with_lyrics, lyrics=True), (2,)),
    ]


def compare(shapes: Shapes, say: Say = lambda words: None, tokens: int = TOKENS) -> Iterator[VersusRow]:
    """One row a level. The weights are made once and read by all three; a difference in what they say raises
    BadFormat, for then the speeds would be of different models."""
    peer = peer_name()
    if not shapes.levels:
        return
    random = random_model(shapes.config, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        save_model(folder, random.config, random.codec, random.priors, dtype=torch.float32)
        for level in shapes.levels:
            say(f"{shapes.name}, level {level}: writing graphs")
            graphs, rounded = (graph_runner(folder, random, level, each) for each in GRAPH_PRECISIONS)
            say(f"{shapes.name}, level {level}: sampling")
            yield _row(peer, shapes, level, random, (graphs, rounded), tokens)


def graph_runner(folder: Path, model: Model, level: int, precision: GraphPrecision) -> OnnxRunner:
    """The runner that the ONNX backend gives a level, by graphs written for it into the model's folder."""
    prior, weights = model.priors[level], prior_file(level)
    for kind in ("step", "row"):
        write_prior(prior.config, kind, precision, folder / graph_file(kind, level, precision), weights)
    conditions = folder / graph_file("conditions", level)
    if not conditions.is_file():
        write_conditions(prior, conditions, folder / weights)
    sessions = Sessions(folder, model.config)
    step, row = (sessions.get(kind, level, precision) for kind in ("step", "row"))
    loaded = LevelSessions(step, row, sessions.get("conditions", level, "fp32"))
    return OnnxRunner(loaded, prior.config, model.config.vocabulary(level), 1)


def _row(
    peer: str,
    shapes: Shapes,
    level: int,
    model: Model,
    graphs: tuple[LevelRunner, LevelRunner],
    tokens: int,
) -> VersusRow:
    """One level; ``graphs``: in float32, which must say what the others say, and in 8 bits."""
    prior = model.priors[level]
    config = prior.config
    tokens = min(tokens, config.n_ctx)
    theirs = peer_prior(prior, len(model.priors))
    torch_side = TorchBackend(model)
    window = random_window(torch_side, level, 1, 0)
    runners: list[LevelRunner] = [torch_side.runner(level, 1), graphs[0]]
    differ = _difference(theirs, config, random_window(torch_side, level, 1, config.n_ctx), runners)
    if not differ <= SAME_WEIGHTS:
        raise BadFormat(
            f"the three give other logits at level {level}, by {differ:.1e}; the weights are not the same"
        )
    ways: list[Callable[[int], object]] = [partial(sample_theirs, theirs, config, window)]
    ways += [partial(sample_ours, runner, window) for runner in (*runners, graphs[1])]
    peers, eager, exported, rounded = rates(ways, tokens)
    return VersusRow(
        peer=peer,
        shapes=shapes.name,
        level=level,
        lyrics=config.lyrics is not None,
        width=config.width,
        depth=config.depth,
        tokens=tokens,
        logits_differ=differ,
        peer_tokens_per_second=peers,
        torch_tokens_per_second=eager,
        onnx_tokens_per_second=exported,
        torch_ratio=eager / peers,
        onnx_ratio=exported / peers,
        int8_tokens_per_second=rounded,
        int8_ratio=rounded / peers,
    )


def rates(
    ways: list[Callable[[int], object]], tokens: int, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Tokens a second of each way to sample ``tokens``: in turns, the fastest of several, which what else runs
    disturbs least."""
    for way in ways:
        way(min(WARM_UP_TOKENS, tokens))
    spent: list[list[float]] = [[] for _ in ways]
    for _ in range(RUNS):
        for way, times in zip(ways, spent, strict=True):
            start = clock()
            way(tokens)
            times.append(clock() - start)
    return [tokens / min(times) for times in spent]


def sample_ours(runner: LevelRunner, window: WindowInput, tokens: int) -> np.ndarray[Any, Any]:
    """The first ``tokens`` of a window from nothing: int64 [1, tokens]."""
    runner.begin(window)
    noise = np.random.default_rng(5).random((1, tokens))
    return runner.sample(None, noise, LevelSampling())


def _difference(theirs: Any, config: PriorConfig, window: WindowInput, runners: list[LevelRunner]) -> float:
    """The largest difference between their logits and ours over the second half of one window of random codes."""
    codes, half = window.prefix, config.n_ctx // 2
    expected = logits_theirs(theirs, config, window, codes).numpy()
    if not np.abs(expected).max() > 0.05:
        raise BadFormat("the random weights say nothing; their logits are too small to compare")
    worst = 0.0
    for runner in runners:
        runner.begin(replace(window, prefix=codes[:, :half]))
        for position in range(half, config.n_ctx):
            logits = runner.step(codes[:, position - 1])[0]
            worst = max(worst, float(np.abs(logits - expected[position]).max()))
    return worst
