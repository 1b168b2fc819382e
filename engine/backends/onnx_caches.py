"""Static caches as plain arrays, laid out as the graphs read them (export/onnx/layers.py); no model runtime here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engine.prior.config import Shape
from engine.prior.patterns import Kind

Array = NDArray[np.float32]
HIDDEN = np.float32(-1e9)  # added to the score of what may not be seen


def cache_shape(shape: Shape, kind: Kind, lanes: int) -> tuple[int, ...]:
    """Shape of the cache of one kind, all its layers; see export/onnx/layers.py."""
    layers, d = shape.kinds.count(kind), shape.attn_width // shape.heads
    if kind is Kind.COLUMN:
        return (shape.block_ctx, layers, 2, lanes, shape.heads, shape.blocks, d)
    positions = {
        Kind.ROW: shape.block_ctx,
        Kind.PREVIOUS_ROW: shape.block_ctx,
        Kind.DENSE: shape.ctx,
        Kind.PRIME: shape.prime,
        Kind.LYRICS: shape.source,
    }[kind]
    return (layers, 2, lanes, shape.heads, positions, d)


class WindowCaches:
    """Keys and values of one window, ``lanes`` lanes, all layers of a kind together.

    ``rows`` [L, 2, N, H, block_ctx, D]; ``columns`` [block_ctx, L, 2, N, H, blocks, D]; ``previous`` three arrays
    [L, 2, N, H, block_ctx, D]: rows by parity, and zeros, which row 0 has before it; ``dense`` and ``prime``
    [L, 2, N, H, positions, D]. What a kind does not have is missing. Nothing is cleared between windows: a
    position is written before a mask shows it.
    """

    def __init__(self, shape: Shape, lanes: int) -> None:
        self.shape = shape
        names = {Kind.ROW: "rows", Kind.COLUMN: "columns", Kind.DENSE: "dense", Kind.PRIME: "prime"}

        def empty(kind: Kind) -> Array:
            return np.zeros(cache_shape(shape, kind, lanes), np.float32)

        self.arrays = {name: empty(kind) for kind, name in names.items() if kind in shape.kinds}
        told = Kind.PREVIOUS_ROW in shape.kinds
        self.previous = [empty(Kind.PREVIOUS_ROW) for _ in range(3)] if told else []

    def row_before(self, row: int) -> Array:
        """Keys and values of the row before ``row``; zeros before row 0."""
        return self.previous[(row - 1) % 2 if row else 2]

    def put_position(self, position: int, new: Mapping[str, Array]) -> None:
        """Store one position: ``new`` [L, 2, N, H, 1, D] by cache name."""
        row, column = divmod(position, self.shape.block_ctx)
        for name, values in new.items():
            if name == "rows":
                self.arrays[name][..., column, :] = values[..., 0, :]
            elif name == "columns":
                self.arrays[name][column, ..., row, :] = values[..., 0, :]
            elif name == "previous_rows":
                self.previous[row % 2][..., column, :] = values[..., 0, :]
            elif position < self.arrays[name].shape[-2]:
                self.arrays[name][..., position, :] = values[..., 0, :]

    def put_row(self, row: int, new: Mapping[str, Array]) -> None:
        """Store a whole row: ``new`` [L, 2, N, H, block_ctx, D] by cache name.

        Places of the row that are not known yet may hold anything.
        """
        first = row * self.shape.block_ctx
        for name, values in new.items():
            if name == "rows":
                self.arrays[name][:] = values
            elif name == "columns":
                self.arrays[name][..., row, :] = np.moveaxis(values, 4, 0)
            elif name == "previous_rows":
                self.previous[row % 2][:] = values
            else:
                held = self.arrays[name][..., first : first + self.shape.block_ctx, :]
                held[:] = values[..., : held.shape[-2], :]


class Masks:
    """Masks of one position or one row, float32, rewritten in place; see :mod:`export.onnx.layers`."""

    def __init__(self, shape: Shape, step: bool) -> None:
        self.shape, self.step = shape, step
        sizes = {
            "rows": shape.block_ctx if step and Kind.ROW in shape.kinds else 0,
            "columns": shape.blocks if Kind.COLUMN in shape.kinds else 0,
            "dense": shape.ctx if Kind.DENSE in shape.kinds else 0,
            "prime": shape.prime if Kind.PRIME in shape.kinds else 0,
            "own_prime": (1 if step else shape.block_ctx) if Kind.PRIME in shape.kinds else 0,
        }
        self.arrays = {name: np.zeros(size, np.float32) for name, size in sizes.items() if size}

    def show(self, position: int) -> None:
        """Show what lies before ``position``, the first of the new ones."""
        row, column = divmod(position, self.shape.block_ctx)
        seen = {"rows": column, "columns": row, "dense": position, "prime": position}
        for name, mask in self.arrays.items():
            # Prime attention ends: the new positions see themselves only as far as they belong to it.
            visible = self.shape.prime - position if name == "own_prime" else seen[name]
            mask[:] = HIDDEN
            mask[: max(0, visible)] = 0.0
