"""Static caches as plain arrays, laid out as the graphs read them (export/onnx/layers.py); no model runtime here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from engine.backends.onnx_weights import head_size
from engine.prior.config import PriorConfig
from engine.prior.patterns import Kind

Array = NDArray[np.float32]
HIDDEN = np.float32(-1e9)  # added to the score of what may not be seen
NAMES = {
    Kind.ROW: "rows",
    Kind.COLUMN: "columns",
    Kind.PREVIOUS_ROW: "previous_rows",
    Kind.DENSE: "dense",
    Kind.PRIME: "prime",
    Kind.LYRICS: "lyrics",
}


def positions_kept(config: PriorConfig, kind: Kind) -> int:
    """Positions that the cache of a kind holds, of one column where the kind is columns."""
    shape = config.shape
    return {
        Kind.ROW: shape.block_ctx,
        Kind.PREVIOUS_ROW: shape.block_ctx,
        Kind.COLUMN: shape.blocks,
        Kind.DENSE: shape.ctx,
        Kind.PRIME: shape.prime,
        Kind.LYRICS: shape.source,
    }[kind]


def by_layer(name: str, stacked: Array, lanes: int) -> Iterator[tuple[str, Array]]:
    """Names and views of the keys and of the values of every layer of a kind, as a graph names and reads them:
    of ``stacked`` [L, 2, ..., H, positions, D] views [lanes, H, positions, D]."""
    for place, layer in enumerate(stacked):
        for part, half in zip(("keys", "values"), layer, strict=True):
            yield f"{name}.{place}.{part}", half.reshape(lanes, *half.shape[-3:])


class WindowCaches:
    """Keys and values of one window, N lanes, all layers of a kind together.

    ``rows``, ``dense``, ``prime``, ``lyrics`` [L, 2, N, H, positions, D]; ``columns`` [L, 2, block_ctx, N, H,
    blocks, D]; ``previous`` three arrays [L, 2, N, H, block_ctx, D]: rows by parity, and zeros, which row 0 has
    before it. What a prior's layers lack is missing. Nothing is cleared between windows: a position is written
    before it is seen. Graphs write most of it themselves; what they give instead is put here.
    """

    def __init__(self, config: PriorConfig, lanes: int) -> None:
        self.config, self.lanes = config, lanes
        self.heads, self.d = config.heads, head_size(config)

        def empty(kind: Kind) -> Array:
            before = (config.shape.block_ctx, lanes) if kind is Kind.COLUMN else (lanes,)
            kept = (*before, self.heads, positions_kept(config, kind), self.d)
            return np.zeros((config.kinds.count(kind), 2, *kept), np.float32)

        kinds = set(config.kinds)
        self.arrays = {name: empty(kind) for kind, name in NAMES.items() if kind in kinds}
        first = self.arrays.pop(NAMES[Kind.PREVIOUS_ROW], None)
        self.previous = [] if first is None else [first, empty(Kind.PREVIOUS_ROW), empty(Kind.PREVIOUS_ROW)]

    @property
    def nbytes(self) -> int:
        """Bytes of all of it."""
        return sum(array.nbytes for array in (*self.arrays.values(), *self.previous))

    def given(self, length: int, column: int, before: int) -> Iterator[tuple[str, Array, bool]]:
        """Everything that a graph of ``length`` new positions reads, by its name there, and whether the graph updates
        it in place. ``column``: of a step; ``before``: which of ``previous`` is the row before, 0 to 2."""
        held = dict(self.arrays)
        if self.previous:
            held[NAMES[Kind.PREVIOUS_ROW]] = self.previous[before]
        for kind, name in NAMES.items():
            if name not in held:
                continue
            array, lanes = held[name], self.lanes
            inside = kind in (Kind.ROW, Kind.COLUMN) or (kind is Kind.DENSE and length == 1)
            if kind is Kind.COLUMN:
                array = array[:, :, column] if length == 1 else array
                lanes = self.lanes if length == 1 else self.lanes * length
            for part, view in by_layer(name, array, lanes):
                yield part, view, inside

    def before(self, row: int) -> int:
        """Which of ``previous`` holds the row before ``row``."""
        return (row - 1) % 2 if row else 2

    def news(self, length: int) -> dict[str, Array]:
        """Arrays for new keys and values that a graph gives, [L, N * length, 2 * H * D] by cache name."""
        kinds = {Kind.PREVIOUS_ROW, Kind.PRIME} | ({Kind.DENSE} if length > 1 else set())
        size = (self.lanes * length, 2 * self.heads * self.d)
        counts = {kind: self.config.kinds.count(kind) for kind in NAMES if kind in kinds}
        return {NAMES[kind]: np.zeros((count, *size), np.float32) for kind, count in counts.items() if count}

    def split(self, new: Array) -> Array:
        """A view of one of :meth:`news` as caches have their axes: [L, 2, N, H, length, D]."""
        layers = len(new)
        return new.reshape(layers, self.lanes, -1, 2, self.heads, self.d).transpose(0, 3, 1, 4, 2, 5)

    def row_places(self, column: int, before: int, length: int) -> Array:
        """Where ``length`` positions from ``column`` on of a row are kept for the row after it, a view
        [L, 2, N, H, length, D]; ``before``: see :meth:`given`. Places that are not known yet may hold anything."""
        return self.previous[0 if before else 1][..., column : column + length, :]

    def put(self, first: int, new: Mapping[str, Array]) -> None:
        """Store positions from ``first`` on in caches of the whole window: [L, 2, N, H, length, D] by cache name.

        What lies beyond a cache's end is left out.
        """
        for name, values in new.items():
            held = self.arrays[name][..., first : first + values.shape[-2], :]
            held[:] = values[..., : held.shape[-2], :]

    def copy_lane(self, one: WindowCaches, known: int) -> None:
        """Fill every lane with the lane of ``one``, in which positions before ``known`` are stored; places of the
        whole window that lie behind them are left out."""
        rows = -(-known // self.config.shape.block_ctx)
        for kind, name in NAMES.items():
            if name in self.arrays:
                kept = {Kind.COLUMN: rows, Kind.DENSE: known, Kind.PRIME: known}.get(kind)
                self.arrays[name][..., :kept, :] = one.arrays[name][..., :kept, :]
        for held, theirs in zip(self.previous[:2], one.previous, strict=False):  # the third stays zero
            held[:] = theirs


def masks(config: PriorConfig, length: int) -> dict[str, Array]:
    """Masks of a graph of ``length`` new positions, by cache name: [1, 1, length, positions + length], added to the
    scores of a cache and, behind it, of the new positions themselves; all hidden."""
    kinds = {Kind.PRIME} | ({Kind.DENSE} if length > 1 else set())
    return {
        NAMES[kind]: np.full((1, 1, length, positions_kept(config, kind) + length), HIDDEN)
        for kind in sorted(kinds & set(config.kinds))
    }


def show(found: Mapping[str, Array], config: PriorConfig, first: int) -> None:
    """Write masks for new positions from ``first`` on: they see the cache before ``first``, and one another.

    Prime attention ends: positions see one another only as far as they belong to it.
    """
    for name, mask in found.items():
        length = mask.shape[2]
        held = mask.shape[3] - length
        mask[:] = HIDDEN
        mask[..., : min(first, held)] = 0.0
        own = np.arange(length) + first < (held if name == NAMES[Kind.PRIME] else config.ctx)
        seen = np.tri(length, dtype=bool) & own
        mask[0, 0, :, held:][seen] = 0.0
