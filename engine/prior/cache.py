"""Static key/value caches: allocated once per lane count, never grown (DESIGN.md §4.3).

Each kind keeps only what it may read: a row, the columns, two rows, or the whole window.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.prior.config import Shape
from engine.prior.patterns import Kind


@dataclass
class LayerCache:
    """Keys and values of one layer, laid out so that a step reads one contiguous run.

    dense [N, H, ctx, D]; row [N, H, block_ctx, D]; column [N, H, block_ctx, blocks, D];
    previous row [N, H, 2, block_ctx, D] (rows by parity); prime [N, H, prime, D]; lyrics [N, H, source, D], put
    there once a window by Transformer.read.
    """

    kind: Kind
    keys: Tensor
    values: Tensor
    block_ctx: int

    @property
    def flat(self) -> tuple[Tensor, Tensor]:
        """Keys and values with one axis of positions, [N, H, slots, D]: views of the same memory."""
        return self.keys.flatten(2, -2), self.values.flatten(2, -2)

    def update(self, keys: Tensor, values: Tensor, position: int) -> tuple[Tensor, Tensor] | None:
        """Store one position's keys and values [N, H, D]; what its query may read [N, H, M, D], or None for nothing."""
        row, column = divmod(position, self.block_ctx)
        if self.kind is Kind.DENSE:
            self.keys[:, :, position], self.values[:, :, position] = keys, values
            return self.keys[:, :, : position + 1], self.values[:, :, : position + 1]
        if self.kind is Kind.PRIME:
            held = self.keys.shape[2]
            if position < held:
                self.keys[:, :, position], self.values[:, :, position] = keys, values
            seen = min(position + 1, held)
            return self.keys[:, :, :seen], self.values[:, :, :seen]
        if self.kind is Kind.ROW:
            self.keys[:, :, column], self.values[:, :, column] = keys, values
            return self.keys[:, :, : column + 1], self.values[:, :, : column + 1]
        if self.kind is Kind.COLUMN:
            self.keys[:, :, column, row], self.values[:, :, column, row] = keys, values
            return self.keys[:, :, column, : row + 1], self.values[:, :, column, : row + 1]
        self.keys[:, :, row % 2, column], self.values[:, :, row % 2, column] = keys, values
        return (self.keys[:, :, 1 - row % 2], self.values[:, :, 1 - row % 2]) if row else None

    def fill(self, keys: Tensor, values: Tensor, length: int) -> None:
        """Store the first ``length`` positions of blocked keys and values [N, H, rows * block_ctx, D].

        Positions at or after ``length`` may hold anything: a step writes a position before reading it.
        """
        n, heads, padded, d = keys.shape
        rows = padded // self.block_ctx
        last = (length - 1) // self.block_ctx
        for store, new in ((self.keys, keys), (self.values, values)):
            blocked = new.view(n, heads, rows, self.block_ctx, d)
            if self.kind in (Kind.DENSE, Kind.PRIME):
                held = min(length, store.shape[2])
                store[:, :, :held] = new[:, :, :held]
            elif self.kind is Kind.ROW:
                store[:] = blocked[:, :, last]
            elif self.kind is Kind.COLUMN:
                store[:, :, :, :rows] = blocked.transpose(2, 3)
            else:
                store[:, :, last % 2] = blocked[:, :, last]
                if last:
                    store[:, :, 1 - last % 2] = blocked[:, :, last - 1]


def cache_positions(shape: Shape, kind: Kind) -> tuple[int, ...]:
    """Positions that a layer of ``kind`` keeps, as the middle axes of its cache."""
    kept: dict[Kind, tuple[int, ...]] = {
        Kind.DENSE: (shape.ctx,),
        Kind.ROW: (shape.block_ctx,),
        Kind.COLUMN: (shape.block_ctx, shape.blocks),
        Kind.PREVIOUS_ROW: (2, shape.block_ctx),
        Kind.LYRICS: (shape.source,),
        Kind.PRIME: (shape.prime,),
    }
    return kept[kind]


def make_caches(shape: Shape, lanes: int, device: torch.device, dtype: torch.dtype) -> list[LayerCache]:
    """Empty caches of every layer for ``lanes`` lanes."""
    d = shape.attn_width // shape.heads

    def empty(kind: Kind) -> Tensor:
        return torch.zeros((lanes, shape.heads, *cache_positions(shape, kind), d), device=device, dtype=dtype)

    return [LayerCache(kind, empty(kind), empty(kind), shape.block_ctx) for kind in shape.kinds]
