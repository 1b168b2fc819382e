"""The step of a prior as a graph for a card: always the same launches over the same memory, whatever the position.

The graphs of :mod:`export.onnx.layers` are bound anew for every column and get positions from the host. Here the
position is a number on the device, caches are whole inputs that the graph indexes, and no shape is computed from a
tensor, so nothing passes through the host inside a step and one CUDA graph holds it (facts/peers.md §B.4).

Inputs beside the caches: ``place`` int64 [], of the transformer; ``previous`` int64 [N], the token before it;
``added`` [ctx, N, width], what the window's conditions add; ``lane_heads`` int64 [N * H, 2], rows (k, 0). Output
beside the caches: ``logits`` [N, bins]. A cache ``NAME.K.keys`` or ``.values`` is [N * H, slots, D], see
:data:`engine.backends.onnx_cuda.SLOTS`; ``new_NAME...`` is bound to the same memory and differs in one slot. A step
that is run again at its position gives the same.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from engine.backends.onnx_caches import HIDDEN, NAMES
from engine.backends.onnx_cuda import slots
from engine.prior.config import PriorConfig
from engine.prior.patterns import Kind
from export.onnx.layers import LANES, OWN_OPS, PriorGraph

LANE_HEADS = "lane_heads"
_NEVER = 1 << 62  # a position that no window reaches


class DeviceStepGraph(PriorGraph):
    """Builds the graph; ``weights`` as for :class:`PriorGraph`, always in single precision."""

    def __init__(self, config: PriorConfig, weights: str) -> None:
        super().__init__(config, 1, "fp32", weights)
        self._made: dict[str, str] = {}  # what all layers of a kind share

    def build(self) -> onnx.ModelProto:
        """The graph; inputs and outputs as :class:`engine.backends.onnx_cuda.DeviceRunner` binds them."""
        self.position = self.give("place", TensorProto.INT64)
        self.lane_heads = self.give(LANE_HEADS, TensorProto.INT64, LANE_HEADS, 2)
        block = self._number(self.config.shape.block_ctx)
        self.row = self.op("Div", self.position, block)
        self.column = self.op("Sub", self.position, self.op("Mul", self.row, block))
        half = self.op("Mul", self.op("Div", self.row, self._number(2)), self._number(2))
        self.parity = self.op("Sub", self.row, half)
        return super().build()

    def _number(self, value: int) -> str:
        return self.constant(np.array(value, np.int64))

    def _embedded(self) -> tuple[str, str]:
        """Input of the first layer, and what is added to every position; both [lanes, width]."""
        config = self.config
        table = self.weight("embed", config.vocabulary, config.width)
        places = self.weight("position", config.ctx, config.width)
        given = self.give("added", TensorProto.FLOAT, config.ctx, LANES, config.width)
        added = self.op("Gather", given, self.position)
        x = self.op("Gather", table, self.give("previous", TensorProto.INT64, LANES))
        return self.op("Add", self.op("Add", x, self.op("Gather", places, self.position)), added), added

    def _attend(self, h: str, kind: Kind, number: int) -> str:
        """Attention of one layer to h [lanes, width]: [lanes, attn]."""
        name = f"{NAMES[kind]}.{self.config.kinds[:number].count(kind)}"
        projected = self._linear(h, f"transformer.layers.{number}.attn.c_attn")
        if kind is Kind.LYRICS:
            keys, values = (self._cache(f"{name}.{part}", kind) for part in ("keys", "values"))
            return self._look(projected, keys, values, "")
        sizes = self.constant(np.array([self.attn] * 3, np.int64))
        q, *new = self.ops("Split", (projected, sizes), 3, axis=-1)
        keys, values = (
            self._seen(self._put(f"{name}.{part}", kind, own), kind)
            for part, own in zip(("keys", "values"), new, strict=True)
        )
        y = self._look(q, keys, values, self._visible(kind))
        if kind is not Kind.PREVIOUS_ROW:
            return y
        nothing = self.constant(np.zeros((), np.float32))  # lies before row 0
        return self.op("Where", self._once("later", "Greater", self.row, self._number(0)), y, nothing)

    def _once(self, name: str, kind: str, *inputs: str) -> str:
        """A node that layers share."""
        if name not in self._made:
            self._made[name] = self.op(kind, *inputs)
        return self._made[name]

    def _cache(self, name: str, kind: Kind) -> str:
        return self.give(name, TensorProto.FLOAT, LANE_HEADS, slots(self.config, kind), self.d)

    def _put(self, name: str, kind: Kind, new: str) -> str:
        """The cache with the new keys or values [lanes, attn] in their slot."""
        rows = self.op("Reshape", new, self.shape(-1, self.d))
        made = self.op("ScatterND", self._cache(name, kind), self._indices(kind), rows)
        self.take(f"new_{name}", made, (LANE_HEADS, slots(self.config, kind), self.d))
        return f"new_{name}"

    def _indices(self, kind: Kind) -> str:
        """Where every lane and head keeps the new position, [N * H, 2]."""
        if (name := f"indices {kind}") not in self._made:
            shape = self.config.shape
            if kind is Kind.ROW:
                slot = self.column
            elif kind is Kind.COLUMN:
                slot = self.op("Add", self.op("Mul", self.column, self._number(shape.blocks)), self.row)
            elif kind is Kind.PREVIOUS_ROW:
                slot = self.op("Add", self.op("Mul", self.parity, self._number(shape.block_ctx)), self.column)
            elif kind is Kind.PRIME:
                slot = self.op("Min", self.position, self._number(shape.prime))
            else:
                slot = self.position
            second = self.op("Mul", slot, self.constant(np.array([[0, 1]], np.int64)))
            self._made[name] = self.op("Add", self.lane_heads, second)
        return self._made[name]

    def _seen(self, cache: str, kind: Kind) -> str:
        """What of a cache the position's kind may look among, [N * H, M, D]."""
        shape = self.config.shape
        if kind is Kind.COLUMN:
            parts, slot = (shape.block_ctx, shape.blocks), self.column
        elif kind is Kind.PREVIOUS_ROW:
            parts, slot = (2, shape.block_ctx), self._once("other", "Sub", self._number(1), self.parity)
        else:
            return cache
        return self.op("Gather", self.op("Reshape", cache, self.shape(-1, *parts, self.d)), slot, axis=1)

    def _visible(self, kind: Kind) -> str:
        """Bool [M]: what is already there; empty where all of it is."""
        shape, last = self.config.shape, self.position
        if kind is Kind.PREVIOUS_ROW:
            return ""
        if kind is Kind.ROW:
            places, last = np.arange(shape.block_ctx), self.column
        elif kind is Kind.COLUMN:
            places, last = np.arange(shape.blocks), self.row
        elif kind is Kind.PRIME:  # its last slot takes what is not kept
            places = np.append(np.arange(shape.prime), _NEVER)
        else:
            places = np.arange(shape.ctx)
        return self._once(f"visible {kind}", "LessOrEqual", self.constant(places.astype(np.int64)), last)

    def _look(self, q: str, keys: str, values: str, visible: str) -> str:
        """Attention of queries [lanes, attn] to keys and values [N * H, M, D]: [lanes, attn]."""
        queries = self.op("Reshape", q, self.shape(-1, 1, self.d))
        scores = self.op("FusedMatMul", queries, keys, domain=OWN_OPS, transB=1, alpha=self._scale())
        if visible:
            scores = self.op("Where", visible, scores, self.constant(np.array(HIDDEN, np.float32)))
        return self._flat(self.op("MatMul", self.op("Softmax", scores, axis=-1), values))
