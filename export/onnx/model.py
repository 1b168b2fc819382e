"""A whole model as graphs: written beside its weights, checked against torch, described by a manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engine.audio.durable import write_durably
from engine.backends.onnx_backend import (
    CODEC_GRAPHS,
    PRIOR_GRAPHS,
    OnnxBackend,
    OnnxManifest,
    graph_file,
)
from engine.backends.protocol import Backend, WindowInput
from engine.backends.torch_backend import TorchBackend
from engine.errors import BadFormat
from engine.request import LevelSampling, Style
from engine.sampling.draw import draw
from engine.sampling.noise import uniforms
from engine.store import Model, load_model
from engine.store.files import CODEC_FILE, GRAPHS_FILE, prior_file
from export.onnx.write import OPSET, write_codec, write_conditions, write_row, write_step

LOGIT_TOLERANCE = 1e-4
SAMPLE_TOLERANCE = 1e-4


@dataclass(frozen=True)
class LevelCheck:
    """One level of an exported model beside torch: largest differences, tokens drawn alike before the first that
    was not, codes that agree."""

    level: int
    logits: float
    tokens: int
    tokens_alike: int
    codes_alike: float
    samples: float
    bytes: int


def export_model(name: str | Path, step: Callable[[str], None] = lambda words: None) -> Path:
    """Write all graphs of a model into its folder; gives the folder. ``step`` is told what is being written.

    Graphs are written under other names and take their place together, so a killed export leaves no mixture.
    Raises BadFormat for a model without labels (no graph gives its start token).
    """
    model = load_model(name)
    if any(not prior.config.artists for prior in model.priors.values()):
        raise BadFormat(
            f"'{model.config.name}' has a prior without labels; only labelled priors can be exported"
        )
    folder = model.folder
    written: dict[str, Path] = {}

    def place(kind: str, level: int) -> Path:
        step(graph_file(kind, level))
        written[graph_file(kind, level)] = folder / f".{graph_file(kind, level)}.part"
        return written[graph_file(kind, level)]

    try:
        for level, prior in sorted(model.priors.items()):
            weights = folder / prior_file(level)
            write_step(prior, place("step", level), weights)
            write_row(prior, place("row", level), weights)
            write_conditions(prior, place("conditions", level), weights)
            write_codec(
                model.codec, level, place("encoder", level), place("decoder", level), folder / CODEC_FILE
            )
        graphs = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in written.items()}
        for name_there, path in written.items():
            path.replace(folder / name_there)
    finally:
        for path in written.values():
            path.unlink(missing_ok=True)
    manifest = OnnxManifest(model_hash=model.hash, opset=OPSET, graphs=graphs)
    write_durably(folder / GRAPHS_FILE, manifest.model_dump_json(indent=1).encode() + b"\n")
    return folder


def check_model(
    folder: Path, tokens: int, step: Callable[[int], None] = lambda done: None
) -> Iterator[LevelCheck]:
    """Compare every level of an exported model with torch: logits and tokens over ``tokens`` steps from the same noise,
    codes and samples of a second of sound. ``step`` gets the tokens of each window.
    """
    model = load_model(folder)
    ours, theirs = OnnxBackend(folder), TorchBackend(model)
    for level in sorted(model.priors):
        logits, alike = _tokens(ours, theirs, model, level, tokens, step)
        codes, samples = _codec(ours, theirs, model, level)
        names = [graph_file(kind, level) for kind in (*PRIOR_GRAPHS, *CODEC_GRAPHS)]
        size = sum((folder / name).stat().st_size for name in names)
        yield LevelCheck(level, logits, tokens, alike, codes, samples, size)


def _tokens(
    ours: Backend, theirs: Backend, model: Model, level: int, tokens: int, step: Callable[[int], None]
) -> tuple[float, int]:
    """Largest logit difference over ``tokens`` steps, and the tokens before the first that differs."""
    config = model.config.priors[level]
    rng = np.random.default_rng([20, level])
    rate = model.config.rate
    settings = LevelSampling()
    worst, done, alike, differs = 0.0, 0, 0, False
    while done < tokens:
        count = min(config.n_ctx // 2, tokens - done)
        upper = config.upper
        window = WindowInput(
            prefix=rng.integers(0, config.bins, (1, int(rng.integers(1, config.n_ctx - count + 1)))),
            upper=rng.integers(0, upper.bins, (1, config.n_ctx // upper.ratio)) if upper else None,
            styles=(Style(),),
            total=60 * rate,
            offsets=(10 * rate,),
            lyrics=rng.integers(1, 79, (1, config.lyrics.tokens)) if config.lyrics else None,
        )
        runners = ours.runner(level, 1), theirs.runner(level, 1)
        for runner in runners:
            runner.begin(window)
        previous = window.prefix[:, -1]
        for uniform in uniforms(7, level, done, done + count):
            first, second = (runner.step(previous)[0].copy() for runner in runners)
            worst = max(worst, float(np.abs(first - second).max()))
            token = draw(second, uniform, settings)
            differs = differs or draw(first, uniform, settings) != token
            alike += not differs
            previous = np.array([token])
        done += count
        step(count)
    return worst, alike


def _codec(ours: Backend, theirs: Backend, model: Model, level: int) -> tuple[float, float]:
    """Share of equal codes of a second of sound, and the largest difference of samples decoded from them."""
    rate, hop = model.config.rate, model.config.hops[level]
    time = np.arange(rate // hop * hop) / rate
    noise = np.random.default_rng(level).normal(0, 0.05, time.size)
    sound = (0.4 * np.sin(2 * np.pi * 220 * time) * np.exp(-3 * (time % 0.25)) + noise).astype(np.float32)
    first, second = (backend.encode(sound, (level,))[level] for backend in (ours, theirs))
    grid = theirs.decode_grid(level)
    worst = 0.0
    for piece in range(-(-second.size // grid)):
        made = (backend.decode_piece(second, level, piece, second.size) for backend in (ours, theirs))
        worst = max(worst, float(np.abs(np.subtract(*made)).max()))
    return float((first == second).mean()), worst


def require_equal(checks: list[LevelCheck]) -> None:
    """Raise BadFormat naming the first level whose graphs do not give what torch gives."""
    for check in checks:
        if (
            check.logits > LOGIT_TOLERANCE
            or check.samples > SAMPLE_TOLERANCE
            or check.tokens_alike < check.tokens
        ):
            raise BadFormat(f"the graphs of level {check.level} differ from torch: {asdict(check)}")
