"""Graphs without weights of their own: every initializer that the model store has points into its safetensors file.

A safetensors file is a header and then plain tensors, which is what ONNX calls external data. So a model's graphs
are small, share one copy of the weights, and cannot drift apart from it.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper, numpy_helper

from engine.errors import BadFormat
from engine.store.safefile import read_header

TYPES = {"F32": TensorProto.FLOAT, "F16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16}


def point_into(model: onnx.ModelProto, file: Path, prefixes: tuple[str, ...]) -> int:
    """Make initializers ``PREFIX + NAME`` of ``model`` references to tensor NAME of ``file``, widened to float32
    where they are stored narrower; gives the bytes that are left inside the graph.

    Raises BadFormat when a stored tensor is not what the graph holds.
    """
    stored = {name: place for name, place in read_header(file).items() if place.dtype in TYPES}
    casts = []
    for tensor in model.graph.initializer:
        place = next((stored[n] for p in prefixes if (n := tensor.name.removeprefix(p)) in stored), None)
        if place is None or tensor.data_type != TensorProto.FLOAT:
            continue
        if tuple(tensor.dims) != place.shape:
            raise BadFormat(
                f"'{tensor.name}' is {tuple(tensor.dims)} in the graph and {place.shape} in {file.name}"
            )
        name = tensor.name
        kind = TYPES[place.dtype]
        if kind != TensorProto.FLOAT:
            tensor.name = f"{name}/stored"
            casts.append(
                helper.make_node("Cast", [tensor.name], [name], name=f"{name}/cast", to=TensorProto.FLOAT)
            )
        tensor.data_type = kind
        for field in ("raw_data", "float_data"):
            tensor.ClearField(field)
        tensor.data_location = TensorProto.EXTERNAL
        del tensor.external_data[:]
        for key, value in (("location", file.name), ("offset", place.offset), ("length", place.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
    return sum(
        numpy_helper.to_array(tensor).nbytes
        for tensor in model.graph.initializer
        if tensor.data_location != TensorProto.EXTERNAL
    )
