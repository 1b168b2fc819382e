"""Graphs without weights of their own: every initializer that the model store has points into its safetensors file.

A safetensors file is a header and then plain tensors, which is what ONNX calls external data. So a model's graphs
are small, share one copy of the weights, and cannot drift apart from it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, helper, numpy_helper

from engine.errors import BadFormat

TYPES = {"F32": TensorProto.FLOAT, "F16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16}


@dataclass(frozen=True)
class Stored:
    """One tensor of a safetensors file: ``offset`` and ``length`` in bytes from the file's beginning."""

    kind: int
    shape: tuple[int, ...]
    offset: int
    length: int


def stored_tensors(file: Path) -> dict[str, Stored]:
    """Where the tensors of a safetensors file lie."""
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(size))
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        if entry["dtype"] in TYPES:
            found[name] = Stored(TYPES[entry["dtype"]], tuple(entry["shape"]), 8 + size + start, stop - start)
    return found


def point_into(model: onnx.ModelProto, file: Path, prefixes: tuple[str, ...]) -> int:
    """Make initializers ``PREFIX + NAME`` of ``model`` references to tensor NAME of ``file``, widened to float32
    where they are stored narrower; gives the bytes that are left inside the graph.

    Raises BadFormat when a stored tensor is not what the graph holds.
    """
    stored = stored_tensors(file)
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
        if place.kind != TensorProto.FLOAT:
            tensor.name = f"{name}/stored"
            casts.append(
                helper.make_node("Cast", [tensor.name], [name], name=f"{name}/cast", to=TensorProto.FLOAT)
            )
        tensor.data_type = place.kind
        for field in ("raw_data", "float_data"):
            tensor.ClearField(field)
        tensor.data_location = TensorProto.EXTERNAL
        del tensor.external_data[:]
        for key, value in (("location", file.name), ("offset", place.offset), ("length", place.length)):
            tensor.external_data.add(key=key, value=str(value))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
    return sum(
        numpy_helper.to_array(tensor).nbytes
        for tensor in model.graph.initializer
        if tensor.data_location != TensorProto.EXTERNAL
    )
