"""A prior's layers with the caches as inputs and only the new keys and values as outputs (DESIGN.md §4.3).

One module serves a step (one position of every lane) and a row of prefill (``block_ctx`` positions that begin a
row). Shapes are static but for the lanes; nothing loops, branches or grows inside a graph. Whoever runs it keeps
the caches and puts the new keys and values where they belong:

=========  ==========================================  =====================================================
kind       cache that is read                          layout, per layer of that kind
=========  ==========================================  =====================================================
row        the row so far (a step only)                [2, N, H, block_ctx, D]
column     the same column of the rows before          [block_ctx, 2, N, H, blocks, D]; a step: [2, N, H, blocks, D]
previous   the row before; zeros for row 0             [2, N, H, block_ctx, D]
dense      everything before                           [2, N, H, ctx, D]
prime      the first positions, the lyrics' rows       [2, N, H, prime, D]
lyrics     the lyric encoder's states                  [2, N, H, source, D]
=========  ==========================================  =====================================================

The first axis of a cache holds keys, then values (after ``block_ctx`` for columns, so that one column is one
contiguous piece of memory). Layers of one kind are stacked in front: [L, 2, N, ...] or [block_ctx, L, 2, N, ...].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.backends.onnx_caches import HIDDEN
from engine.prior.patterns import Kind
from engine.prior.prior import Prior
from engine.prior.transformer import Attention, Layer

NAMES = {
    Kind.ROW: "rows",
    Kind.COLUMN: "columns",
    Kind.PREVIOUS_ROW: "previous_rows",
    Kind.DENSE: "dense",
    Kind.PRIME: "prime",
    Kind.LYRICS: "lyrics",
}


def layers_of(prior: Prior) -> dict[Kind, list[int]]:
    """Layer numbers of each attention kind that the prior has."""
    kinds = prior.config.kinds
    return {kind: [i for i, own in enumerate(kinds) if own is kind] for kind in NAMES if kind in kinds}


class CachedLayers(nn.Module):
    """All layers of a prior over ``length`` new positions, 1 or ``block_ctx``."""

    def __init__(self, prior: Prior, length: int) -> None:
        super().__init__()
        # Not as a submodule: weights keep the names that the model store gives them.
        self._layers = tuple(prior.transformer.layers)
        self.length = length
        self.places = {
            number: (kind, place)
            for kind, numbers in layers_of(prior).items()
            for place, number in enumerate(numbers)
        }
        causal = torch.full((length, length), float(HIDDEN)).triu(1)
        self.register_buffer("causal", causal, persistent=False)

    def forward(
        self, x: Tensor, caches: dict[str, Tensor], masks: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """New positions [N, length, width] to the same, and the new keys and values of every kind that keeps some:
        [L, 2, N, H, length, D] by cache name.

        ``masks``: added to the scores of a cache, [positions of it] by its name; ``own_prime`` [length] for the new
        positions of prime attention.
        """
        new: dict[Kind, list[Tensor]] = {}
        for number, layer in enumerate(self._layers):
            assert isinstance(layer, Layer)
            kind, place = self.places[number]
            h = layer.ln_0(x)
            y, kept = self._attend(layer.attn, kind, place, h, caches, masks)
            if kept is not None:
                new.setdefault(kind, []).append(kept)
            x = layer._join(x, layer.attn.c_proj(y))
        return x, {NAMES[kind]: torch.stack(found) for kind, found in new.items()}

    def _attend(
        self,
        attn: Attention,
        kind: Kind,
        place: int,
        h: Tensor,
        caches: dict[str, Tensor],
        masks: dict[str, Tensor],
    ) -> tuple[Tensor, Tensor | None]:
        """Attention of one layer: [N, length, attn_width], and its new keys and values [2, N, H, length, D]."""
        name = NAMES[kind]
        if kind is Kind.LYRICS:
            (q,) = self._heads(attn, attn.c_attn(h), 1)
            return _joined(_read(q, caches[name][place], None)), None
        q, k, v = self._heads(attn, attn.c_attn(h), 3)
        kept = torch.stack((k, v))
        if kind is Kind.PREVIOUS_ROW:
            return _joined(_read(q, caches[name][place], None)), kept
        own = (q @ k.transpose(2, 3)) * q.shape[-1] ** -0.5 + self.causal  # [N, H, length, length]
        if kind is Kind.ROW and self.length > 1:
            return _joined(own.softmax(-1) @ v), kept
        if kind is Kind.COLUMN:
            return _joined(self._column(q, k, v, caches[name], place, masks[name])), kept
        if kind is Kind.PRIME:
            own = own + masks["own_prime"]
        keys, values = caches[name][place].unbind(0)
        scores = (q @ keys.transpose(2, 3)) * q.shape[-1] ** -0.5 + masks[name]
        weights = torch.cat((scores, own), -1).softmax(-1)
        held = scores.shape[-1]
        return _joined(weights[..., :held] @ values + weights[..., held:] @ v), kept

    def _column(self, q: Tensor, k: Tensor, v: Tensor, cache: Tensor, place: int, mask: Tensor) -> Tensor:
        """Column attention: every new position reads its own column, and itself."""
        if self.length == 1:
            keys, values = cache[place].unbind(0)  # [N, H, blocks, D]
            keys, values = keys.unsqueeze(2), values.unsqueeze(2)  # [N, H, 1, blocks, D]
        else:
            keys, values = cache[:, place].permute(1, 2, 3, 0, 4, 5).unbind(0)  # [N, H, block_ctx, blocks, D]
        scale = q.shape[-1] ** -0.5
        scores = (q.unsqueeze(3) @ keys.transpose(3, 4)).squeeze(3) * scale + mask  # [N, H, length, blocks]
        own = (q * k).sum(-1, keepdim=True) * scale
        weights = torch.cat((scores, own), -1).softmax(-1)
        return (weights[..., :-1].unsqueeze(3) @ values).squeeze(3) + weights[..., -1:] * v

    def _heads(self, attn: Attention, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        heads, d = attn.heads, x.shape[-1] // parts // attn.heads
        split = x.reshape(-1, self.length, parts, heads, d).permute(2, 0, 3, 1, 4)  # [parts, N, H, length, D]
        return split.unbind(0)


def _read(q: Tensor, cache: Tensor, mask: Tensor | None) -> Tensor:
    keys, values = cache.unbind(0)
    scores = (q @ keys.transpose(2, 3)) * q.shape[-1] ** -0.5
    return (scores if mask is None else scores + mask).softmax(-1) @ values


def _joined(y: Tensor) -> Tensor:
    """[N, H, L, D] to [N, L, H * D]."""
    return y.transpose(1, 2).flatten(2)


def _logits(prior: Prior, y: Tensor, added: Tensor) -> Tensor:
    """Logits [N, bins] of the codes from y, added [N, width]; characters of a joint sequence are never drawn, so they
    are left out."""
    table = prior.embed if prior.out is None else prior.out.weight
    return F.linear(
        y + added if prior.out is None else y, table[prior.first_code :] if prior.first_code else table
    )


class StepGraph(nn.Module):
    """One position of every lane."""

    def __init__(self, prior: Prior) -> None:
        super().__init__()
        self.prior, self.layers = prior, CachedLayers(prior, 1)

    def forward(
        self,
        previous: Tensor,
        position: Tensor,
        added: Tensor,
        caches: dict[str, Tensor],
        masks: dict[str, Tensor],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """``previous`` int64 [N], ``position`` int64 scalar (of the transformer), ``added`` [N, width]."""
        prior = self.prior
        ids = previous + prior.first_code if prior.first_code else previous
        x = prior.embed[ids] + prior.position[position] + added
        y, new = self.layers(x.unsqueeze(1), caches, masks)
        return _logits(prior, y[:, 0], added), new


class RowGraph(nn.Module):
    """``block_ctx`` positions that begin row ``row``; the logits are those of place ``last`` in it."""

    def __init__(self, prior: Prior) -> None:
        super().__init__()
        self.prior, self.layers = prior, CachedLayers(prior, prior.config.shape.block_ctx)

    def forward(
        self,
        ids: Tensor,
        start: Tensor,
        first: Tensor,
        row: Tensor,
        last: Tensor,
        added: Tensor,
        caches: dict[str, Tensor],
        masks: dict[str, Tensor],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """``ids`` int64 [N, block_ctx], the id before each position (any where there is none); ``start`` [N, width]
        stands in slot 0 where ``first`` (scalar) is 1, elsewhere it is 0; ``row``, ``last`` int64 scalars; ``added``
        [N, block_ctx, width]."""
        prior = self.prior
        shape = prior.config.shape
        x = prior.embed[ids]
        slot = first * start.unsqueeze(1) + (1.0 - first) * x[:, :1]
        places = prior.position.view(shape.blocks, shape.block_ctx, shape.width)[row]
        y, new = self.layers(torch.cat((slot, x[:, 1:]), 1) + places + added, caches, masks)
        return _logits(prior, y[:, last], added[:, last]), new
