"""What was exported: the graphs of a model folder, their digests, and the precision that each level runs in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from engine.backends.onnx_weights import GRAPH_PRECISIONS, GraphPrecision
from engine.errors import BadFormat, NoModel
from engine.request import Frozen
from engine.store.files import GRAPHS_FILE

FORMAT: Literal[2] = 2  # 1: caches that the runner filled, float32 only

DEVICE_STEP = "device_step"  # the kind of graph that runs steps on a card (engine/backends/onnx_cuda.py)


def graph_file(kind: str, level: int, precision: GraphPrecision = "fp32") -> str:
    """File name of one graph; it lies beside the weights that it is of."""
    return f"{kind}_{level}.onnx" if precision == "fp32" else f"{kind}_{level}.{precision}.onnx"


def graphs_of(levels: int) -> Iterator[tuple[str, int, GraphPrecision]]:
    """Kind, level and precision of every graph that a model is run by on the processor."""
    for level in range(levels):
        for precision in GRAPH_PRECISIONS:
            yield from (("step", level, precision), ("row", level, precision))
        yield from ((kind, level, "fp32") for kind in ("conditions", "encoder", "decoder"))


class OnnxManifest(Frozen):
    """``graphs``: SHA-256 by file name; ``model_hash``: of the weights they are of; ``precisions``: what each level
    runs in where nothing else is asked for."""

    format: Literal[2] = 2
    model_hash: str
    opset: int
    graphs: dict[str, str]
    precisions: tuple[GraphPrecision, ...]


def read_manifest(folder: Path) -> OnnxManifest:
    """The manifest, checked against the files: raises NoModel without one, BadFormat where they differ."""
    path = folder / GRAPHS_FILE
    again = f"export the model again: segue export onnx {folder.name}"
    if not path.is_file():
        raise NoModel(f"'{folder.name}' has no ONNX graphs; write them with: segue export onnx {folder.name}")
    try:
        text = path.read_bytes()
        if (found := json.loads(text).get("format")) != FORMAT:
            raise BadFormat(f"{path} is of format {found}, this program reads {FORMAT}; {again}")
        manifest = OnnxManifest.model_validate_json(text)
    except (ValueError, AttributeError) as error:
        raise BadFormat(f"{path} is damaged; {again}") from error
    for name, digest in manifest.graphs.items():
        file = folder / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            state = "is not the one that" if file.is_file() else "is missing, which"
            raise BadFormat(f"{file} {state} {GRAPHS_FILE} names; {again}")
    return manifest
