"""Exported graphs beside torch: logits, tokens, codes and samples; what 8 bits cost, and where they are the default."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.backends.onnx_backend import OnnxBackend
from engine.backends.onnx_manifest import graph_file, read_manifest
from engine.backends.onnx_weights import GRAPH_PRECISIONS, GraphPrecision
from engine.backends.protocol import Backend, Codes, WindowInput
from engine.backends.torch_backend import TorchBackend
from engine.errors import BadFormat
from engine.request import LevelSampling, Style
from engine.sampling.draw import draw
from engine.sampling.noise import uniforms
from engine.store import Model, load_model
from export.onnx.model import write_manifest

BOUNDARY = 1e-5  # of the noise: what rounding of the logits moves a boundary by
LOGIT_TOLERANCE = 1e-4
SAMPLE_TOLERANCE = 1e-4
INT8_BITS = 0.01  # per token; what 8 bits may cost where they are the default


@dataclass(frozen=True)
class LevelCheck:
    """One level of an exported model in one precision beside torch.

    ``logits``: largest difference; ``tokens_alike``: drawn alike from the same noise after the same tokens;
    ``tokens_rounded``: drawn otherwise because the noise fell on a boundary between two tokens, within 1e-5;
    ``bits``: what the precision costs per token of the model's own making, the mean divergence of its distribution
    from torch's; ``step_us``: median of a step of one lane, this machine's; ``codes_alike``, ``samples``: of a second
    of sound, where the precision has a codec of its own; ``bytes``: of its graphs.
    """

    level: int
    precision: GraphPrecision
    logits: float
    tokens: int
    tokens_alike: int
    tokens_rounded: int
    bits: float
    step_us: float
    codes_alike: float | None
    samples: float | None
    bytes: int


@dataclass
class _Seen:
    """What was seen of one precision, step by step."""

    logits: float = 0.0
    alike: int = 0
    rounded: int = 0
    bits: float = 0.0
    seconds: list[float] = field(default_factory=list)


def check_model(
    folder: Path, tokens: int, step: Callable[[int], None] = lambda done: None
) -> Iterator[LevelCheck]:
    """Compare every level and precision of an exported model with torch over ``tokens`` steps, from the top down:
    each level's tokens are sampled by torch, below those of the level above. ``step`` gets the tokens of each window.
    """
    model = load_model(folder)
    theirs = TorchBackend(model)
    ours = {precision: OnnxBackend(folder, precision) for precision in GRAPH_PRECISIONS}
    above = np.zeros(0, np.int64)
    for level in sorted(model.priors, reverse=True):
        above, seen = _tokens(ours, theirs, model, level, tokens, above, step)
        codes, samples = _codec(ours["fp32"], theirs, model, level)
        for precision, found in seen.items():
            whole = precision == "fp32"
            kinds = ("step", "row", "conditions", "encoder", "decoder") if whole else ("step", "row")
            yield LevelCheck(
                level,
                precision,
                found.logits,
                tokens,
                found.alike,
                found.rounded,
                found.bits / tokens,
                1e6 * float(np.median(found.seconds)),
                codes if whole else None,
                samples if whole else None,
                sum((folder / graph_file(kind, level, precision)).stat().st_size for kind in kinds),
            )


def _tokens(
    ours: dict[GraphPrecision, OnnxBackend],
    theirs: Backend,
    model: Model,
    level: int,
    tokens: int,
    above: Codes,
    step: Callable[[int], None],
) -> tuple[Codes, dict[GraphPrecision, _Seen]]:
    """Tokens that torch sampled, and how far each precision is from it over them."""
    config = model.config.priors[level]
    rng = np.random.default_rng([20, level])
    settings = LevelSampling()
    seen = {precision: _Seen() for precision in ours}
    made = rng.integers(0, config.bins, 1)
    while made.size <= tokens:
        count = min(config.n_ctx // 2, tokens + 1 - made.size)
        known = int(rng.integers(1, min(made.size, config.n_ctx - count) + 1))
        first = made.size - known
        window = WindowInput(
            prefix=made[None, first:],
            upper=None if config.upper is None else _under(above, first, config.n_ctx, config.upper.ratio),
            styles=(Style(),),
            total=60 * model.config.rate,
            offsets=(10 * model.config.rate,),
            lyrics=rng.integers(1, 79, (1, config.lyrics.tokens)) if config.lyrics else None,
        )
        judge = theirs.runner(level, 1)
        runners = {precision: backend.runner(level, 1) for precision, backend in ours.items()}
        for runner in (judge, *runners.values()):
            runner.begin(window)
        for uniform in uniforms(7, level, made.size, made.size + count):
            previous = made[-1:]
            wanted = judge.step(previous)[0].copy()
            token = draw(wanted, uniform, settings)
            for precision, runner in runners.items():
                started = time.perf_counter()
                logits = runner.step(previous)[0]
                found = seen[precision]
                found.seconds.append(time.perf_counter() - started)
                found.logits = max(found.logits, float(np.abs(logits - wanted).max()))
                other = draw(logits, uniform, settings)
                found.alike += other == token
                lowest, highest = (
                    draw(wanted, min(max(uniform + shift, 0.0), 1.0 - 1e-12), settings)
                    for shift in (-BOUNDARY, BOUNDARY)
                )
                found.rounded += other != token and lowest <= other <= highest
                found.bits += divergence(wanted, logits)
            made = np.append(made, token)
        step(count)
    return made, seen


def _under(above: Codes, first: int, window: int, ratio: int) -> Codes:
    """The codes [1, window // ratio] over a window that begins at token ``first``; from the start again at the end."""
    return above[(first // ratio + np.arange(window // ratio)) % above.size][None]


def divergence(wanted: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Bits per token lost by coding what has logits ``wanted`` [bins] with ``found``: Kullback-Leibler."""
    p, q = (_log_probabilities(logits.astype(np.float64)) for logits in (wanted, found))
    return float((np.exp(p) * (p - q)).sum() / np.log(2))


def _log_probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))


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
    """Raise BadFormat naming the first level whose fp32 graphs do not give what torch gives."""
    for check in checks:
        if check.precision != "fp32":
            continue
        if (
            check.logits > LOGIT_TOLERANCE
            or (check.samples or 0.0) > SAMPLE_TOLERANCE
            or check.tokens_alike + check.tokens_rounded < check.tokens
        ):
            raise BadFormat(f"the graphs of level {check.level} differ from torch: {asdict(check)}")


def settle(folder: Path, checks: list[LevelCheck]) -> tuple[GraphPrecision, ...]:
    """Let each level run in 8 bits where they are faster and cost at most :data:`INT8_BITS`; precisions by level."""
    manifest = read_manifest(folder)
    by_level = {(check.level, check.precision): check for check in checks}
    chosen: list[GraphPrecision] = []
    for level in range(len(manifest.precisions)):
        small, whole = by_level[level, "int8"], by_level[level, "fp32"]
        chosen.append("int8" if small.bits <= INT8_BITS and small.step_us < whole.step_us else "fp32")
    precisions = tuple(chosen)
    write_manifest(folder, manifest.model_copy(update={"precisions": precisions}))
    return precisions
