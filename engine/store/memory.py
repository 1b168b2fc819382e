"""What a model needs in memory, worked out before anything is loaded.

Weights are counted on modules without storage, caches by what each attention kind keeps (engine/prior/cache.py);
activations are an upper bound of what is alive at once while a whole window is prefilled. All sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

import torch

from engine.codec.pieces import DECODE_SPAN, ENCODE_CHUNK, decoder_margin, encoder_margin
from engine.codec.vqvae import Codec
from engine.errors import NoMemory
from engine.prior.cache import cache_positions
from engine.prior.config import PriorConfig, UpperConfig
from engine.prior.prior import Prior
from engine.prior.transformer import Linear
from engine.store.config import ModelConfig
from engine.store.home import PRECISIONS, Precision

ACTIVATION_BYTES: dict[Precision, int] = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 2}
_FLOAT = 4  # the codec, its audio and the logits are always float32
_GB = 1e9


@dataclass(frozen=True)
class LevelMemory:
    """One level's prior: number of ``parameters``; bytes of ``weights``, of ``caches`` for all lanes, and of
    ``activations``. ``resident``: its weights stay on the device; else they are moved there while it samples."""

    level: int
    parameters: int
    weights: int
    caches: int
    activations: int
    resident: bool = True


@dataclass(frozen=True)
class MemoryPlan:
    """What a model needs on one device. ``codec``: its weights; ``working``: most that encoding or decoding needs
    beside them; ``reserve``: what the device takes for itself; ``available``: free bytes, None for no limit;
    ``overlap``: levels and codec compute at the same time."""

    model: str
    precision: Precision
    lanes: tuple[int, ...]
    codec: int
    working: int
    levels: tuple[LevelMemory, ...]
    reserve: int = 0
    available: int | None = None
    overlap: bool = False

    @property
    def weights(self) -> int:
        """Weights on the device at once: the codec, the resident levels, the largest of the moved ones."""
        moved = max((level.weights for level in self.levels if not level.resident), default=0)
        return self.codec + sum(level.weights for level in self.levels if level.resident) + moved

    @property
    def caches(self) -> int:
        """Caches of all levels; they stay, since the levels take turns within one take."""
        return sum(level.caches for level in self.levels)

    @property
    def activations(self) -> int:
        """What levels and codec need while they compute: of all where they overlap, else the largest, since only
        one computes at a time."""
        each = [self.working, *(level.activations for level in self.levels)]
        return sum(each) if self.overlap else max(each)

    @property
    def needed(self) -> int:
        """Bytes on the device at the worst moment."""
        return self.weights + self.caches + self.activations + self.reserve

    @property
    def host(self) -> int:
        """Bytes that moved levels occupy in main memory."""
        return sum(level.weights for level in self.levels if not level.resident)

    @property
    def fits(self) -> bool:
        """Whether the device has room for it."""
        return self.available is None or self.needed <= self.available

    def describe(self) -> str:
        """``needs 12.3 GB as fp16 (weights 10.1, caches 0.9, activations 1.3)``."""
        how = "" if all(level.resident for level in self.levels) else " with levels moved in turn"
        lanes = max(self.lanes, default=1)
        parts = f"weights {_gb(self.weights)}, caches {_gb(self.caches)}, activations {_gb(self.activations)}"
        rest = f", device {_gb(self.reserve)}" if self.reserve else ""
        return (
            f"needs {_gb(self.needed)} GB as {self.precision}{how}"
            f"{f' with {lanes} lanes' if lanes > 1 else ''} ({parts}{rest})"
        )


def plan_memory(
    config: ModelConfig,
    *,
    levels: Iterable[int] | None = None,
    lanes: int | Mapping[int, int] = 1,
    precision: Precision = "fp32",
    available: int | None = None,
    reserve: int = 0,
    move: bool = True,
    overlap: bool = False,
) -> MemoryPlan:
    """The plan for ``levels`` (default all) with ``lanes`` rows a batch, one number or one a level; ``overlap``: they
    and the codec compute at the same time.

    Where not all fits into ``available`` bytes and ``move`` allows it, the levels with most weights are moved to
    the device in turn, as few of them as will do; see :attr:`MemoryPlan.fits`.
    """
    chosen = sorted(set(range(len(config.priors)) if levels is None else levels))
    rows = {level: lanes if isinstance(lanes, int) else lanes.get(level, 1) for level in chosen}
    found = [_level(config.priors[level], rows[level], precision) for level in chosen]
    with torch.device("meta"):
        codec = Codec(config.codec)
    together = MemoryPlan(
        config.name,
        precision,
        tuple(rows.values()),
        sum(tensor.numel() * tensor.element_size() for tensor in (*codec.parameters(), *codec.buffers())),
        _codec_working(config, max(rows.values(), default=1)),
        tuple(found),
        reserve,
        available,
        overlap,
    )
    return next(
        (plan for plan in _variants(together, move) if plan.fits), list(_variants(together, move))[-1]
    )


def require_memory(
    config: ModelConfig,
    available: int,
    *,
    levels: Sequence[int] | None = None,
    lanes: int | Mapping[int, int] = 1,
    precision: Precision = "fp32",
    reserve: int = 0,
    move: bool = False,
    overlap: bool = False,
    offered: Sequence[Precision] = tuple(PRECISIONS.values()),
) -> MemoryPlan:
    """The plan, if it fits into ``available`` bytes; else NoMemory with the numbers and what would fit.

    ``offered``: precisions that the caller can load; ``move``: whether it can move levels; ``overlap``: whether they
    compute at the same time.
    """

    def plan(precision: Precision, move: bool, rows: int | Mapping[int, int] = lanes) -> MemoryPlan:
        return plan_memory(
            config,
            levels=levels,
            lanes=rows,
            precision=precision,
            available=available,
            reserve=reserve,
            move=move,
            overlap=overlap,
        )

    wanted = plan(precision, move)
    if wanted.fits:
        return wanted
    others = [plan(other, move) for other in offered] + [plan(other, move, 1) for other in offered]
    fitting = next((other for other in others if other.fits), None)
    least = min(others, key=lambda other: other.needed, default=wanted)
    advice = (
        f"it would fit as {fitting.precision}{_turns(fitting)} (write @{fitting.precision} behind its name): it "
        f"{fitting.describe()}"
        if fitting is not None
        else f"at the least it {least.describe()}, so free some memory or choose a smaller model"
    )
    raise NoMemory(
        f"the model '{config.name}' {wanted.describe()} and {_gb(available)} GB are free; {advice}"
    )


def _turns(plan: MemoryPlan) -> str:
    return f" with {max(plan.lanes)} lane{'s' * (max(plan.lanes) > 1)}"


def memory_table(config: ModelConfig, lanes: int = 1) -> list[dict[str, int | str]]:
    """For every precision one row of bytes: weights by level, codec, caches, activations, everything resident
    (``resident``), and with levels moved in turn (``moved``)."""
    rows: list[dict[str, int | str]] = []
    for precision in ACTIVATION_BYTES:
        plan = plan_memory(config, lanes=lanes, precision=precision)
        moved = plan_memory(config, lanes=lanes, precision=precision, available=0)
        rows.append(
            {
                "precision": precision,
                "codec": plan.codec,
                **{f"weights_{level.level}": level.weights for level in plan.levels},
                **{f"caches_{level.level}": level.caches for level in plan.levels},
                "activations": plan.activations,
                "resident": plan.needed,
                "moved": moved.needed,
            }
        )
    return rows


def _variants(plan: MemoryPlan, move: bool) -> Iterator[MemoryPlan]:
    """The plan with all levels resident, then with more and more of the heaviest ones moved."""
    yield plan
    heaviest = sorted(plan.levels, key=lambda level: -level.weights)
    for count in range(2, len(heaviest) + 1) if move else ():  # (moving one alone would save nothing)
        moved = {level.level for level in heaviest[:count]}
        yield replace(
            plan,
            levels=tuple(replace(level, resident=level.level not in moved) for level in plan.levels),
        )


def _level(config: PriorConfig, lanes: int, precision: Precision) -> LevelMemory:
    sizes = _tensors(config)
    weights = sum(_weight_bytes(size, columns, precision) for size, columns in sizes)
    size = ACTIVATION_BYTES[precision]
    shape = config.shape
    kept = sum(prod(cache_positions(shape, kind)) for kind in shape.kinds)
    return LevelMemory(
        config.level,
        sum(count for count, _ in sizes),
        weights,
        2 * kept * shape.attn_width * lanes * size,
        lanes * (_prefill(config) * size + config.vocabulary * _FLOAT),
    )


@lru_cache(maxsize=16)
def _tensors(config: PriorConfig) -> tuple[tuple[int, int], ...]:
    """(numbers, columns) of every tensor of a prior; columns is 0 unless int8 would quantise it."""
    with torch.device("meta"):
        prior = Prior(config)
    quantised = {id(part.weight) for part in prior.modules() if isinstance(part, Linear)}
    tensors = (*prior.parameters(), *prior.buffers())
    return tuple((t.numel(), t.shape[-1] if id(t) in quantised else 0) for t in tensors)


def _weight_bytes(numbers: int, columns: int, precision: Precision) -> int:
    """int8: a byte a number and a float scale a column for the transformer's matrices, half precision for the rest."""
    if precision == "int8" and columns:
        return numbers + columns * _FLOAT
    return numbers * ACTIVATION_BYTES[precision]


def _prefill(config: PriorConfig) -> int:
    """Numbers alive at once, per lane, while a whole window is conditioned or prefilled: an upper bound."""
    shape = config.shape
    width, attn, mlp = shape.width, shape.attn_width, shape.mlp_width
    attention = width + 10 * attn  # norm; q, k, v; their rearranged copies; the result twice
    feed_forward = 3 * width + 4 * mlp  # attention's result, the sum, its norm; the hidden layer and its gate
    layer = shape.ctx * (3 * width + max(attention, feed_forward))  # inputs, conditions and the layer's own
    return max(layer, _conditioner(config.upper, width, config.n_ctx) if config.upper else 0)


def _conditioner(upper: UpperConfig, width: int, positions: int) -> int:
    """The last stage of up-convolution, or the result with its norm."""
    return positions * max(4 * upper.width // upper.stride + width, 3 * width)


def _codec_working(config: ModelConfig, lanes: int) -> int:
    codec = config.codec
    most = 0
    for level, hop in enumerate(codec.hops):
        channels = 4 * max(codec.level_width(below) for below in range(level + 1))
        decoded = (DECODE_SPAN << level) + 2 * decoder_margin(codec, level) * hop
        encoded = (ENCODE_CHUNK + 2 * encoder_margin(codec, level)) // codec.strides[0]
        most = max(most, channels * decoded, channels * encoded)
    return lanes * most * _FLOAT


def _gb(size: int) -> str:
    return f"{size / _GB:.1f}" if size >= 0.1 * _GB else f"{size / _GB:.3f}"
