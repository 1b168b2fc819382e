"""Fused kernels of a step: five launches a layer in place of some fifteen (facts/peers.md §B.1, §B.4).

Written in Triton, which comes with torch's CUDA builds; import this module only where it is installed. What the
kernels compute is defined by :class:`engine.backends.torch_steps.PlainOperations`, to which the tests hold them.
Tile sizes are fixed and not tuned on the spot, and a tile always has 16 lanes: so the sums of a lane run in the
same order on every run and however many lanes there are, and its tokens stay the same.
"""
# Triton reads the signatures itself, and is not installed everywhere; what it compiles in is in capitals.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls
# ruff: noqa: N803

from __future__ import annotations

import torch
import triton  # type: ignore[import-not-found,import-untyped,unused-ignore]
import triton.language as tl  # type: ignore[import-not-found,import-untyped,unused-ignore]
from torch import Tensor, nn

from engine.backends.torch_steps import Here, PlainOperations
from engine.prior.cache import LayerCache
from engine.prior.int8 import Int8Linear
from engine.prior.patterns import Kind
from engine.prior.transformer import Linear

MOST_LANES = 16  # of a tile: the fewest rows that tensor cores multiply
OUTPUTS = (
    16  # columns that a program makes: few, so that there are programs enough to keep a whole GPU reading
)
TILE_BYTES = 512  # of a column that it reads at once, and half of what it reads of a lane
KEPT_NUMBERS = 16384  # of keys, and of values, that a program of the attention reads at once
LINEAR_WARPS, LINEAR_STAGES, ATTEND_WARPS = 4, 4, 8


@triton.jit
def linear_kernel(
    x, weight, scale, bias, gain, shift, residual, y,
    lanes, n_out, stride_in, stride_out,
    n_in: tl.constexpr, epsilon: tl.constexpr,
    SCALED: tl.constexpr, NORMED: tl.constexpr, GELU: tl.constexpr, ADDED: tl.constexpr,
    LANES: tl.constexpr, INPUTS: tl.constexpr, OUTPUTS: tl.constexpr,
):  # fmt: skip
    """Y [lanes, n_out] = gelu(norm(x) @ weight * scale + bias) + residual; a program makes OUTPUTS of its columns.

    ``x`` [lanes, n_in] and what has a row per lane are contiguous; ``weight`` lies as its strides say.
    """
    lane = tl.arange(0, LANES)
    out = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    here = lane < lanes
    inside = out < n_out
    rows = x + lane[:, None] * n_in
    if NORMED:  # mean and variance, both from the first number on, so that a large mean cancels nothing
        first = tl.load(x + lane * n_in, mask=here, other=0.0).to(tl.float32)
        total = tl.zeros([LANES], tl.float32)
        squares = tl.zeros([LANES], tl.float32)
        for start in range(0, n_in, INPUTS):
            at = start + tl.arange(0, INPUTS)
            known = here[:, None] & (at < n_in)[None, :]
            part = tl.load(rows + at[None, :], mask=known, other=0.0).to(tl.float32)
            part = tl.where(known, part - first[:, None], 0.0)
            total += tl.sum(part, 1)
            squares += tl.sum(part * part, 1)
        away = total / n_in
        mean = first + away
        spread = tl.rsqrt(squares / n_in - away * away + epsilon)
    found = tl.zeros([LANES, OUTPUTS], tl.float32)
    for start in range(0, n_in, INPUTS):
        at = start + tl.arange(0, INPUTS)
        known = here[:, None] & (at < n_in)[None, :]
        part = tl.load(rows + at[None, :], mask=known, other=0.0)
        if NORMED:
            gains = tl.load(gain + at, mask=at < n_in, other=0.0).to(tl.float32)
            shifts = tl.load(shift + at, mask=at < n_in, other=0.0).to(tl.float32)
            normed = (part.to(tl.float32) - mean[:, None]) * spread[:, None] * gains[None, :] + shifts[
                None, :
            ]
            part = tl.where(known, normed, 0.0).to(part.dtype)
        tile = weight + at[:, None] * stride_in + out[None, :] * stride_out
        numbers = tl.load(tile, mask=(at < n_in)[:, None] & inside[None, :], other=0)
        found = tl.dot(part, numbers.to(part.dtype), found, input_precision="ieee")
    if SCALED:
        found *= tl.load(scale + out, mask=inside, other=0.0)[None, :]
    found += tl.load(bias + out, mask=inside, other=0.0).to(tl.float32)[None, :]
    if GELU:
        found = found * tl.sigmoid(1.702 * found)
    stored = here[:, None] & inside[None, :]
    place = lane[:, None] * n_out + out[None, :]
    if ADDED:
        found += tl.load(residual + place, mask=stored, other=0.0).to(tl.float32)
    tl.store(y + place, found.to(y.dtype.element_ty), mask=stored)


@triton.jit
def attend_kernel(
    projected, keys, values, position, y, softmax_scale,
    KIND: tl.constexpr, heads: tl.constexpr, size: tl.constexpr, block_ctx: tl.constexpr, blocks: tl.constexpr,
    slots: tl.constexpr, SIZE: tl.constexpr, SLOTS: tl.constexpr,
):  # fmt: skip
    """One head of one lane: stores its key and value, attends to what its kind may see; y [N, heads * size].

    ``projected`` [N, 3 * heads * size] (queries alone for lyrics); ``keys``, ``values`` [N, heads, slots, size];
    ``KIND``: the number of :class:`engine.prior.patterns.Kind`. Softmax and sums are float32, tile by tile.
    """
    lane, head = tl.program_id(0), tl.program_id(1)
    at = tl.arange(0, SIZE)
    real = at < size
    width: tl.constexpr = heads * size
    parts: tl.constexpr = 1 if KIND == 6 else 3
    given = projected + lane * parts * width + head * size + at
    query = tl.load(given, mask=real, other=0.0).to(tl.float32) * softmax_scale
    base = (lane * heads + head).to(tl.int64) * slots * size
    here = tl.load(position)
    row, column = here // block_ctx, here % block_ctx
    slot, begin, count = here, here * 0, here  # dense
    if KIND == 1:  # row
        slot, count = column, column
    if KIND == 2:  # column
        slot, begin, count = column * blocks + row, column * blocks, row
    if KIND == 3:  # previous row, by parity; none before row 0
        slot, begin = row % 2 * block_ctx + column, (1 - row % 2) * block_ctx
        count = tl.minimum(row, 1) * block_ctx
    if KIND == 7:  # prime: what lies behind its positions is neither kept nor seen
        count = tl.minimum(here, slots)
    if KIND == 6:  # lyrics: all of them, put there before
        count = here * 0 + slots
    largest = tl.full([], float("-inf"), tl.float32)
    total = tl.zeros([], tl.float32)
    found = tl.zeros([SIZE], tl.float32)
    if KIND != 6:
        key = tl.load(given + width, mask=real, other=0.0)
        value = tl.load(given + 2 * width, mask=real, other=0.0)
        kept = tl.where(slot < slots, 1, 0)
        store = at < size * kept
        tl.store(keys + base + slot * size + at, key, mask=store)
        tl.store(values + base + slot * size + at, value, mask=store)
        if KIND != 3:  # sees itself, unless it lies behind the prime positions
            own = kept.to(tl.float32)
            largest = tl.sum(query * key.to(tl.float32), 0) * own + (own - 1.0) * 1e30
            total += own
            found += value.to(tl.float32) * own
    for start in range(0, count, SLOTS):
        places = start + tl.arange(0, SLOTS)
        seen = places < count
        tile = base + (begin + places)[:, None] * size + at[None, :]
        shown = seen[:, None] & real[None, :]
        looked = tl.load(keys + tile, mask=shown, other=0.0)
        read = tl.load(values + tile, mask=shown, other=0.0)  # on its way while the scores are made
        scores = tl.sum(looked.to(tl.float32) * query[None, :], 1)
        scores = tl.where(seen, scores, float("-inf"))
        most = tl.maximum(largest, tl.max(scores, 0))
        weights = tl.exp(scores - most)
        shrink = tl.exp(largest - most)
        found = found * shrink + tl.sum(weights[:, None] * read.to(tl.float32), 0)
        total = total * shrink + tl.sum(weights, 0)
        largest = most
    found = tl.where(total > 0, found / tl.maximum(total, 1e-30), 0.0)
    tl.store(y + lane * width + head * size + at, found.to(y.dtype.element_ty), mask=real)


def tile_inputs(weight_bytes: int, x_bytes: int) -> int:
    """Inputs that a program multiplies at once, by the sizes of a weight's number and of an input's."""
    return min(TILE_BYTES // weight_bytes, 2 * TILE_BYTES // x_bytes)


def tile_slots(size: int) -> int:
    """Positions that the attention reads at once, of heads of ``size`` (a power of two)."""
    return max(1, min(KEPT_NUMBERS // size, 128))


class FusedOperations(PlainOperations):
    """Operations by these kernels. Matrices of half precision are torch's own from 17 lanes on, where its libraries do
    as well; those of 8 bits are read once for every 16 lanes, which is less than to write them out in 16 bits."""

    def linear(
        self,
        part: nn.Module,
        x: Tensor,
        norm: nn.LayerNorm | None = None,
        gelu: bool = False,
        residual: Tensor | None = None,
    ) -> Tensor:
        """See :class:`engine.backends.torch_steps.Operations`."""
        eight = isinstance(part, Int8Linear)
        if x.shape[0] > MOST_LANES and eight:
            added = [None] * x.shape[0] if residual is None else residual.split(MOST_LANES)
            rows = zip(x.split(MOST_LANES), added, strict=False)
            return torch.cat([self.linear(part, some, norm, gelu, also) for some, also in rows])
        if not isinstance(part, Linear | Int8Linear) or x.shape[0] > MOST_LANES:
            return super().linear(part, x, norm, gelu, residual)
        lanes, n_in = x.shape
        n_out = part.weight.shape[0 if eight else 1]
        strides = (1, n_in) if eight else (n_out, 1)
        y = torch.empty(lanes, n_out, dtype=x.dtype, device=x.device)
        linear_kernel[(triton.cdiv(n_out, OUTPUTS),)](
            x.contiguous(), part.weight, part.scale if eight else x, part.bias,
            x if norm is None else norm.weight, x if norm is None else norm.bias,
            x if residual is None else residual.contiguous(), y,
            lanes, n_out, *strides,
            n_in=n_in, epsilon=0.0 if norm is None else norm.eps,
            SCALED=eight, NORMED=norm is not None, GELU=gelu, ADDED=residual is not None,
            LANES=MOST_LANES, INPUTS=tile_inputs(part.weight.element_size(), x.element_size()),
            OUTPUTS=OUTPUTS,
            num_warps=LINEAR_WARPS, num_stages=LINEAR_STAGES,
        )  # fmt: skip
        return y

    def attend(self, projected: Tensor, cache: LayerCache, here: Here, heads: int) -> Tensor:
        """See :class:`engine.backends.torch_steps.Operations`."""
        keys, values = cache.flat  # [N, H, slots, D]
        n, _, slots, size = keys.shape
        padded = triton.next_power_of_2(size)
        y = torch.empty(n, heads * size, dtype=projected.dtype, device=projected.device)
        attend_kernel[(n, heads)](
            projected.contiguous(), keys, values, here.position, y, size**-0.5,
            KIND=int(cache.kind), heads=heads, size=size, block_ctx=cache.block_ctx,
            blocks=cache.keys.shape[3] if cache.kind is Kind.COLUMN else 1,
            slots=slots, SIZE=padded, SLOTS=tile_slots(padded), num_warps=ATTEND_WARPS,
        )  # fmt: skip
        return y
