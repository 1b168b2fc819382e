"""One step of a prior with static shapes: the position is a tensor on the device, and nothing branches on it.

The same arithmetic as :meth:`engine.prior.prior.Prior.step`, of which every launch is the same whatever the
position, so that a CUDA graph can hold it (facts/peers.md §B.4). Each layer reads only what its kind may see;
what is not yet written there is hidden by a mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.prior.cache import LayerCache
from engine.prior.config import Shape
from engine.prior.patterns import Kind
from engine.prior.prior import Conditions, Prior
from engine.prior.transformer import Layer, quick_gelu


@dataclass(frozen=True)
class StepState:
    """Everything a step reads and writes beside the weights; the same memory from window to window.

    ``position`` int64 [1]: of the transformer, that is behind the characters of a joint sequence. ``ids`` int64 [N]:
    of the token before it, in the whole vocabulary. ``start`` [N, width] and ``added`` [N, ctx, width] or None: the
    window's conditions. ``table`` float32 [bins, width]: what makes logits of the codes.
    """

    position: Tensor
    ids: Tensor
    start: Tensor
    added: Tensor | None
    table: Tensor
    caches: tuple[LayerCache, ...]


def make_state(prior: Prior, lanes: int, caches: list[LayerCache]) -> StepState:
    """A state for ``lanes`` lanes on the prior's device. Whether anything is added follows from the configuration."""
    config, device, dtype = prior.config, prior.embed.device, prior.embed.dtype
    table = prior.embed if prior.out is None else prior.out.weight
    return StepState(
        position=torch.zeros(1, dtype=torch.int64, device=device),
        ids=torch.zeros(lanes, dtype=torch.int64, device=device),
        start=torch.zeros(lanes, config.width, dtype=dtype, device=device),
        added=torch.zeros(lanes, config.ctx, config.width, dtype=dtype, device=device)
        if config.told
        else None,
        # Half precision would round logits to steps as large as the differences that decide a draw; the released
        # sampler too makes them in float32 (facts/jukebox.md §3). One more copy of a small matrix.
        table=table.detach()[prior.first_code :].float(),
        caches=tuple(caches),
    )


def begin_window(prior: Prior, state: StepState, conditions: Conditions, tokens: int) -> None:
    """Take over the conditions of a window of which ``tokens`` codes are known; the caches are filled elsewhere."""
    state.position.fill_(prior.config.joint_lyrics + tokens)
    state.start.copy_(conditions.start)
    if state.added is not None and conditions.added is not None:
        state.added[:, : conditions.added.shape[1]].copy_(conditions.added)
    if conditions.characters is not None and prior.config.joint_lyrics:
        state.ids.copy_(conditions.characters[:, -1])  # the token before position 0 of the music


@dataclass(frozen=True)
class Here:
    """Where a position lies, worked out once a step for all layers: int64 [1] each, on the device."""

    position: Tensor
    row: Tensor
    column: Tensor

    @staticmethod
    def at(position: Tensor, shape: Shape) -> Here:
        """``position`` int64 [1] in rows of ``shape.block_ctx``."""
        row = position // shape.block_ctx
        return Here(position, row, position - row * shape.block_ctx)


class Operations(Protocol):
    """What a layer's step is made of; plain torch, or fused kernels (engine/backends/torch_kernels.py)."""

    def linear(
        self,
        part: nn.Module,
        x: Tensor,
        norm: nn.LayerNorm | None = None,
        gelu: bool = False,
        residual: Tensor | None = None,
    ) -> Tensor:
        """``part`` of x [N, n_in], which is normed first; then quick GELU; then ``residual`` [N, n_out] is added."""
        ...

    def attend(self, projected: Tensor, cache: LayerCache, here: Here, heads: int) -> Tensor:
        """Attention [N, attn_width] of queries, keys and values [N, 3 * attn_width], of which the keys and values
        are put into ``cache``; of queries alone [N, attn_width] for lyrics."""
        ...


class PlainOperations:
    """Operations of torch alone, on any device."""

    def linear(
        self,
        part: nn.Module,
        x: Tensor,
        norm: nn.LayerNorm | None = None,
        gelu: bool = False,
        residual: Tensor | None = None,
    ) -> Tensor:
        """See :class:`Operations`. Norms of half precision are computed in float32 by torch itself."""
        y = part(x if norm is None else norm(x))
        if gelu:
            y = quick_gelu(y)
        return y if residual is None else residual + y

    def attend(self, projected: Tensor, cache: LayerCache, here: Here, heads: int) -> Tensor:
        """See :class:`Operations`."""
        n = projected.shape[0]
        if cache.kind is Kind.LYRICS:
            q = projected.view(n, heads, 1, -1)  # [N, H, 1, D]
            return F.scaled_dot_product_attention(q, cache.keys, cache.values).reshape(n, -1)
        q, k, v = projected.view(n, 3, heads, 1, -1).unbind(1)  # [N, H, 1, D]
        put(cache, k, v, here)
        keys, values, seen = readable(cache, here)
        y = F.scaled_dot_product_attention(q, keys, values, attn_mask=seen)  # [N, H, 1, D]
        if cache.kind is Kind.PREVIOUS_ROW:  # nothing lies before row 0
            y = torch.where(here.row > 0, y, torch.zeros_like(y))
        return y.reshape(n, -1)


def put(cache: LayerCache, k: Tensor, v: Tensor, here: Here) -> None:
    """Store keys and values [N, H, 1, D] of one position where its kind keeps them."""
    slots = cache.keys.shape[2]
    if cache.kind is Kind.ROW:
        slot = here.column
    elif cache.kind is Kind.COLUMN:
        slot = here.column * cache.keys.shape[3] + here.row
    elif cache.kind is Kind.PREVIOUS_ROW:
        slot = here.row % 2 * cache.block_ctx + here.column
    else:
        slot = here.position
    kept = here.position < slots
    slot = slot.clamp(max=slots - 1) if cache.kind is Kind.PRIME else slot
    for store, new in zip(cache.flat, (k, v), strict=True):
        if cache.kind is Kind.PRIME:  # behind its positions nothing is kept: write back what is there
            new = torch.where(kept, new, store.index_select(2, slot))
        store.index_copy_(2, slot, new)


def readable(cache: LayerCache, here: Here) -> tuple[Tensor, Tensor, Tensor | None]:
    """Keys and values [N, H, M, D] that the position may look among, and bool [1, M], what it may see of them (None:
    all); M is the kind's own and never changes."""
    keys, values = cache.keys, cache.values
    if cache.kind is Kind.PREVIOUS_ROW:
        other = 1 - here.row % 2
        return keys.index_select(2, other).squeeze(2), values.index_select(2, other).squeeze(2), None
    last = here.position
    if cache.kind is Kind.ROW:
        last = here.column
    elif cache.kind is Kind.COLUMN:
        keys = keys.index_select(2, here.column).squeeze(2)
        values = values.index_select(2, here.column).squeeze(2)
        last = here.row
    return keys, values, (torch.arange(keys.shape[2], device=keys.device) <= last).unsqueeze(0)


def layer_step(layer: Layer, x: Tensor, cache: LayerCache, here: Here, on: Operations) -> Tensor:
    """One layer of one position: [N, width] to the same."""
    projected = on.linear(layer.attn.c_attn, x, norm=layer.ln_0)  # [N, 3 * attn_width]
    y = on.attend(projected, cache, here, layer.attn.heads)  # [N, attn_width]
    if layer.scale != 1.0:
        a = on.linear(layer.attn.c_proj, y)
        m = on.linear(layer.mlp.c_proj, on.linear(layer.mlp.c_fc, x + a, norm=layer.ln_1, gelu=True))
        return x + layer.scale * (a + m)
    x = on.linear(layer.attn.c_proj, y, residual=x)
    hidden = on.linear(layer.mlp.c_fc, x, norm=layer.ln_1, gelu=True)  # [N, mlp_width]
    return on.linear(layer.mlp.c_proj, hidden, residual=x)


def step_logits(prior: Prior, state: StepState, on: Operations) -> Tensor:
    """Logits float32 [N, bins] of the codes at ``state.position``; its keys and values go into the caches."""
    position = state.position
    x = prior.embed[state.ids]  # [N, width]
    if not prior.config.joint_lyrics:
        x = torch.where(position == 0, state.start, x)
    x = x + prior.position[position]  # [1, width]
    added = None if state.added is None else state.added.index_select(1, position).squeeze(1)  # [N, width]
    if added is not None:
        x = x + added
    here = Here.at(position, prior.config.shape)
    for layer, cache in zip(prior.transformer.layers, state.caches, strict=True):
        assert isinstance(layer, Layer)
        x = layer_step(layer, x, cache, here, on)
    y = x.float()
    if added is not None and prior.out is None:
        y = y + added.float()
    return F.linear(y, state.table)
