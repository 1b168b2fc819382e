"""A prior's layers as a graph that holds structure only: caches are inputs that the graph updates in place.

One builder serves a step (one position of every lane) and a row of prefill (``block_ctx`` positions that begin a
row). Nothing loops, branches or grows inside a graph. Weights are named and come when it is loaded
(engine/backends/onnx_weights.py); the caches are laid out as engine/backends/onnx_caches.py says.

=========  ======================================  ==========================================================
kind       reads                                   how its new keys and values are kept
=========  ======================================  ==========================================================
row        the row so far                          in place: ``new_NAME`` is bound to the memory of ``NAME``
column     the same column of the rows before      in place
dense      everything before                       in place by a step; ``new_dense`` of a row of prefill
previous   the row before; zeros for row 0         ``new_previous_rows``
prime      the first positions, the lyrics' rows   ``new_prime``
lyrics     the lyric encoder's states              none
=========  ======================================  ==========================================================

``NAME.K`` in a graph is ``NAME`` and the layer's place among those of its kind; ``.keys`` and ``.values`` follow.
Attention, layer norms and 8-bit matrices are ONNX Runtime's own operators (domain com.microsoft).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engine.backends.onnx_caches import NAMES, positions_kept
from engine.backends.onnx_weights import (
    BLOCK,
    INT8,
    LOGITS,
    SCALES,
    GraphPrecision,
    head_size,
    matrices,
)
from engine.prior.config import PriorConfig
from engine.prior.patterns import Kind

OWN_OPS = "com.microsoft"
OPSET = 20
IR_VERSION = 10
LANES = "lanes"
EPSILON = 1e-5  # of the layer norms (facts/jukebox.md §3)
_TYPES = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}


class PriorGraph:
    """Builds one graph of a prior: ``length`` new positions of every lane, 1 or ``block_ctx``.

    ``weights``: name of the file that the weights are made from, which lies beside the graph.
    """

    def __init__(self, config: PriorConfig, length: int, precision: GraphPrecision, weights: str) -> None:
        self.config, self.length, self.precision, self.file = config, length, precision, weights
        self.step = length == 1
        self.d = head_size(config)
        self.attn = self.d * config.heads
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: dict[str, onnx.ValueInfoProto] = {}
        self.outputs: dict[str, onnx.ValueInfoProto] = {}
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.sizes = matrices(config)

    def build(self) -> onnx.ModelProto:
        """The graph; inputs and outputs as :mod:`engine.backends.onnx_runner` binds them."""
        x, added = self._embedded()
        y = self._layers(x)
        if not self.config.merged_decoder:
            y = self.op("Add", y, added)
        if not self.step:  # logits of one position are wanted, see ``last``
            y = self.op("Reshape", y, self.shape(-1, self.length, self.config.width))
            y = self.op("Gather", y, self.give("last", TensorProto.INT64), axis=1)
        self.take("logits", self._matrix(y, LOGITS), (LANES, self.config.bins))
        graph = helper.make_graph(
            self.nodes,
            f"level {self.config.level}",
            list(self.inputs.values()),
            list(self.outputs.values()),
            list(self.initializers.values()),
        )
        sets = [helper.make_opsetid("", OPSET), helper.make_opsetid(OWN_OPS, 1)]
        return helper.make_model(graph, opset_imports=sets, ir_version=IR_VERSION, producer_name="segue")

    # What a graph is made of.

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node of one output; its name."""
        return self.ops(kind, inputs, 1, domain, **attributes)[0]

    def ops(
        self, kind: str, inputs: tuple[str, ...], outputs: int, domain: str = "", **attributes: Any
    ) -> list[str]:
        """A node; names of its outputs."""
        names = [f"{kind}_{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **attributes))
        return names

    def give(self, name: str, kind: int, *shape: int | str) -> str:
        """An input, declared once."""
        self.inputs[name] = helper.make_tensor_value_info(name, kind, list(shape))
        return name

    def take(self, name: str, value: str, shape: tuple[int | str, ...]) -> None:
        """Make ``value`` the output ``name``."""
        for node in self.nodes:
            node.output[:] = [name if output == value else output for output in node.output]
            node.input[:] = [name if given == value else given for given in node.input]
        self.outputs[name] = helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    def constant(self, array: NDArray[Any]) -> str:
        """A small constant inside the graph."""
        name = f"constant_{len(self.initializers)}"
        for known, tensor in self.initializers.items():
            if tensor.data_location == TensorProto.DEFAULT:
                held = numpy_helper.to_array(tensor)
                if held.dtype == array.dtype and held.shape == array.shape and (held == array).all():
                    return known
        self.initializers[name] = numpy_helper.from_array(array, name)
        return name

    def shape(self, *sizes: int) -> str:
        """Sizes for a Reshape; -1 takes what is left, 0 stays."""
        return self.constant(np.array(sizes, np.int64))

    def weight(self, name: str, *shape: int, kind: str = "float32") -> str:
        """A weight, which the runtime is given when the graph is loaded; the file is named for the runtime's checks."""
        if name not in self.initializers:
            tensor = onnx.TensorProto(name=name, data_type=_TYPES[kind], dims=shape)
            tensor.data_location = TensorProto.EXTERNAL
            size = int(np.prod(shape)) * np.dtype(kind).itemsize
            for key, value in (("location", self.file), ("offset", "0"), ("length", str(size))):
                tensor.external_data.add(key=key, value=value)
            self.initializers[name] = tensor
        return name

    # The model.

    def _embedded(self) -> tuple[str, str]:
        """Input of the first layer, and what is added to every position; both [positions of all lanes, width]."""
        config, width, n = self.config, self.config.width, self.length
        table = self.weight("embed", config.vocabulary, width)
        places = self.weight("position", config.ctx, width)
        if self.step:
            added = self.give("added", TensorProto.FLOAT, LANES, width)
            x = self.op("Gather", table, self.give("previous", TensorProto.INT64, LANES))
            place = self.op("Gather", places, self.give("place", TensorProto.INT64))
            return self.op("Add", self.op("Add", x, place), added), added
        x = self.op("Gather", table, self.give("ids", TensorProto.INT64, LANES, n))
        opening = self.give("opening", TensorProto.BOOL, n, 1)
        x = self.op("Where", opening, self.give("start", TensorProto.FLOAT, LANES, 1, width), x)
        place = self.op("Gather", places, self.give("places", TensorProto.INT64, n))
        given = self.give("added", TensorProto.FLOAT, LANES, n, width)
        x = self.op("Add", self.op("Add", x, place), given)
        flat = self.shape(-1, width)
        return self.op("Reshape", x, flat), self.op("Reshape", given, flat)

    def _layers(self, x: str) -> str:
        """All layers over x [positions, width]; sums are left to the layer norm behind them."""
        config = self.config
        scale = 1.0 / config.depth if config.residual_scale else 1.0
        more = ""
        for number, kind in enumerate(config.kinds):
            name = f"transformer.layers.{number}"
            h, x = self._norm(x, more, f"{name}.ln_0")
            a = self._linear(self._attend(h, kind, number), f"{name}.attn.c_proj")
            h, joined = self._norm(x, a, f"{name}.ln_1")
            inner = self.op("QuickGelu", self._linear(h, f"{name}.mlp.c_fc"), domain=OWN_OPS, alpha=1.702)
            more = self._linear(inner, f"{name}.mlp.c_proj")
            if scale == 1.0:
                x = joined
            else:
                more = self.op("Mul", self.op("Add", a, more), self.constant(np.array(scale, np.float32)))
        return self.op("Add", x, more)

    def _norm(self, x: str, more: str, name: str) -> tuple[str, str]:
        """Layer norm of x + more, and that sum."""
        width = self.config.width
        parts = (self.weight(f"{name}.weight", width), self.weight(f"{name}.bias", width))
        # ONNX Runtime's fused sum and norm runs a number at a time; apart they take a quarter of its time.
        x = self.op("Add", x, more) if more else x
        return self.op("LayerNormalization", x, *parts, epsilon=EPSILON, axis=-1), x

    def _linear(self, x: str, name: str) -> str:
        outputs = self.sizes[f"{name}.weight"][1]
        return self._matrix(x, f"{name}.weight", self.weight(f"{name}.bias", outputs))

    def _matrix(self, x: str, name: str, bias: str = "") -> str:
        """X [positions, inputs] times a matrix, plus a bias: [positions, outputs]."""
        inputs, outputs = self.sizes[name]
        if self.precision == "int8":
            blocks = -(-inputs // BLOCK)
            numbers = self.weight(name + INT8, outputs, blocks, BLOCK, kind="uint8")
            scales = self.weight(name + SCALES, outputs, blocks)
            given = (x, numbers, scales, "", "", bias) if bias else (x, numbers, scales)
            return self.op(
                "MatMulNBits", *given, domain=OWN_OPS, K=inputs, N=outputs, bits=8, block_size=BLOCK,
                accuracy_level=4,
            )  # fmt: skip
        if name == LOGITS:
            return self.op("Gemm", x, self.weight(name, outputs, inputs), transB=1)
        return self.op("Gemm", x, self.weight(name, inputs, outputs), bias)

    def _attend(self, h: str, kind: Kind, number: int) -> str:
        """Attention of one layer to h [positions, width]: [positions, attn]."""
        place = self.config.kinds[:number].count(kind)
        given = self._linear(h, f"transformer.layers.{number}.attn.c_attn")
        if kind is Kind.COLUMN and not self.step:
            return self._columns_of_row(given, place)
        if kind in (Kind.ROW, Kind.COLUMN) or (kind is Kind.DENSE and self.step):
            lanes = self.op("Reshape", given, self.shape(-1, self.length, 3 * self.attn))
            return self._flat(self._cached(lanes, kind, place, LANES))
        caches = self._caches(kind, place)
        if kind is Kind.LYRICS:
            return self._read(given, *caches)
        sizes = self.constant(np.array([self.attn, 2 * self.attn], np.int64))
        q, new = self.ops("Split", (given, sizes), 2, axis=-1)
        self.take(name := f"new_{NAMES[kind]}.{place}", new, ("positions", 2 * self.attn))
        if kind is Kind.PREVIOUS_ROW:
            return self._read(q, *caches)
        return self._read(q, *self._behind(name, caches), self._mask(kind))

    def _caches(self, kind: Kind, place: int, lanes: str = LANES) -> tuple[str, str]:
        size = (lanes, self.config.heads, positions_kept(self.config, kind), self.d)
        keys, values = (
            self.give(f"{NAMES[kind]}.{place}.{part}", TensorProto.FLOAT, *size)
            for part in ("keys", "values")
        )
        return keys, values

    def _cached(self, given: str, kind: Kind, place: int, lanes: str) -> str:
        """Attention of queries, keys and values [lanes, n, 3 * attn] to a cache and themselves: [lanes, n, attn].

        The cache takes up the new keys and values.
        """
        name = NAMES[kind]
        seen = self.give(f"seen_{name}", TensorProto.INT32, lanes)
        total = self.give(f"total_{name}", TensorProto.INT32, 1)
        caches = self._caches(kind, place, lanes)
        y, keys, values = self.ops(
            "GroupQueryAttention",
            (given, "", "", *caches, seen, total),
            3,
            OWN_OPS,
            num_heads=self.config.heads,
            kv_num_heads=self.config.heads,
            scale=self._scale(),
        )
        size = (lanes, self.config.heads, positions_kept(self.config, kind), self.d)
        for cache, new in zip(caches, (keys, values), strict=True):
            self.take(f"new_{cache}", new, size)
        return y

    def _columns_of_row(self, given: str, place: int) -> str:
        """Every position of a row is a lane of its own: it reads its column, and stores itself there."""
        n, attn = self.length, self.attn
        lanes = self.op("Reshape", given, self.shape(-1, n, 3 * attn))
        columns = self.op("Transpose", lanes, perm=[1, 0, 2])
        columns = self.op("Reshape", columns, self.shape(-1, 1, 3 * attn))
        y = self._cached(columns, Kind.COLUMN, place, "columns")
        y = self.op("Reshape", y, self.shape(n, -1, attn))
        return self._flat(self.op("Transpose", y, perm=[1, 0, 2]))

    def _behind(self, new: str, caches: tuple[str, str]) -> tuple[str, str]:
        """The caches with the new positions' own keys and values behind them."""
        found = []
        sizes = self.constant(np.array([self.attn, self.attn], np.int64))
        for cache, own in zip(caches, self.ops("Split", (new, sizes), 2, axis=-1), strict=True):
            heads = self.op("Reshape", own, self.shape(-1, self.length, self.config.heads, self.d))
            found.append(self.op("Concat", cache, self.op("Transpose", heads, perm=[0, 2, 1, 3]), axis=2))
        return found[0], found[1]

    def _mask(self, kind: Kind) -> str:
        size = (1, 1, self.length, positions_kept(self.config, kind) + self.length)
        return self.give(f"mask_{NAMES[kind]}", TensorProto.FLOAT, *size)

    def _read(self, q: str, keys: str, values: str, mask: str = "") -> str:
        """Attention of queries [positions, attn] to keys and values [lanes, H, M, D]."""
        lanes = self.op("Reshape", q, self.shape(-1, self.length, self.attn))
        given = (lanes, keys, values, "", "", mask) if mask else (lanes, keys, values)
        return self._flat(
            self.op(
                "MultiHeadAttention", *given, domain=OWN_OPS, num_heads=self.config.heads, scale=self._scale()
            )
        )

    def _scale(self) -> float:
        return float((self.config.attn_width // self.config.heads) ** -0.5)

    def _flat(self, y: str) -> str:
        return self.op("Reshape", y, self.shape(-1, self.attn))
