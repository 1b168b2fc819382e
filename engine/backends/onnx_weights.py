"""A prior's weights as its graphs want them: made from the safetensors file when it is loaded, in float32 or 8 bits.

The graphs (export/onnx/layers.py) hold structure only and name what they need; here is what those names mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadFormat
from engine.prior.config import PriorConfig
from engine.prior.patterns import Kind
from engine.store.safefile import read_header
from engine.store.tensors import StoredTensor

GraphPrecision = Literal["fp32", "int8"]
GRAPH_PRECISIONS: tuple[GraphPrecision, ...] = ("fp32", "int8")
# Numbers that share one scale, along the inputs. With 64 and less ONNX Runtime's 8-bit kernels give a lane the same
# bits whatever the number of lanes; with 128 they do not.
BLOCK = 64
HEAD_STEP = 8  # ONNX Runtime's cached attention takes head sizes that are multiples of this
INT8, SCALES = "/int8", "/scales"  # behind a matrix's name
LOGITS = "logits.weight"  # of the codes alone, [bins, width]
_READ: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


def head_size(config: PriorConfig) -> int:
    """Size of a head in graphs and caches: the prior's own, with zeros up to a multiple of :data:`HEAD_STEP`."""
    return -(-(config.attn_width // config.heads) // HEAD_STEP) * HEAD_STEP


def matrices(config: PriorConfig) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of every matrix that may be held in 8 bits, by name."""
    width, inner, attn = config.width, config.mlp_width, head_size(config) * config.heads
    found = {}
    for layer, kind in enumerate(config.kinds):
        name = f"transformer.layers.{layer}"
        found[f"{name}.attn.c_attn.weight"] = (width, attn if kind is Kind.LYRICS else 3 * attn)
        found[f"{name}.attn.c_proj.weight"] = (attn, width)
        found[f"{name}.mlp.c_fc.weight"] = (width, inner)
        found[f"{name}.mlp.c_proj.weight"] = (inner, width)
    found[LOGITS] = (width, config.bins)
    return found


def quantised(weight: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Numbers [outputs, inputs] in 8 bits: [outputs, blocks, BLOCK] around 128, and a scale per block
    [outputs, blocks]; the last block of a row is filled up with zeros."""
    outputs, inputs = weight.shape
    blocks = -(-inputs // BLOCK)
    padded = np.zeros((outputs, blocks * BLOCK), np.float32)
    padded[:, :inputs] = weight
    held = padded.reshape(outputs, blocks, BLOCK)
    scales = np.maximum(np.maximum(held.max(-1), -held.min(-1)) / 127, np.float32(1e-30))
    np.divide(held, scales[..., None], out=held)
    held += 128.5  # rounds to the nearest when what follows cuts
    return held.astype(np.uint8), scales


def restored(numbers: NDArray[np.uint8], scales: NDArray[np.float32], inputs: int) -> NDArray[np.float32]:
    """What :func:`quantised` numbers stand for, [outputs, inputs]."""
    values = (numbers.astype(np.float32) - 128) * scales[..., None]
    return values.reshape(len(numbers), -1)[:, :inputs]


def graph_weights(file: Path, config: PriorConfig, precision: GraphPrecision) -> dict[str, NDArray[Any]]:
    """Every array that the graphs of a prior name, by that name. Raises BadFormat for a file that lacks one."""
    stored = _Stored(file)
    found: dict[str, NDArray[Any]] = {name: stored.read(name) for name in ("embed", "position")}
    table = stored.read("out.weight") if config.merged_decoder else found["embed"]
    made: dict[str, NDArray[np.float32]] = {LOGITS: table[config.vocabulary - config.bins :]}
    for layer in range(config.depth):
        name = f"transformer.layers.{layer}"
        for norm in ("ln_0", "ln_1"):
            found |= {f"{name}.{norm}.{part}": stored.read(f"{name}.{norm}.{part}") for part in _PARTS}
        for inner in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"):
            weight, bias = (stored.read(f"{name}.{inner}.{part}") for part in _PARTS)
            if inner == "attn.c_attn":
                weight, bias = _pad_heads(weight, config, 1), _pad_heads(bias, config, 0)
            elif inner == "attn.c_proj":
                weight = _pad_heads(weight, config, 0)
            made[f"{name}.{inner}.weight"], found[f"{name}.{inner}.bias"] = weight, bias
    for name, weight in made.items():
        if precision == "fp32":
            found[name] = np.ascontiguousarray(weight)
        else:
            # A Linear is stored inputs first, the table of the logits outputs first.
            found[name + INT8], found[name + SCALES] = quantised(weight if name == LOGITS else weight.T)
    return found


_PARTS = ("weight", "bias")


def _pad_heads(array: NDArray[np.float32], config: PriorConfig, axis: int) -> NDArray[np.float32]:
    """Zeros behind every head of ``axis``, so that it has :func:`head_size` entries."""
    own, wanted = config.attn_width // config.heads, head_size(config)
    if own == wanted:
        return array
    before, after = array.shape[:axis], array.shape[axis + 1 :]
    split = array.reshape(*before, -1, own, *after)
    widths = [(0, 0)] * split.ndim
    widths[axis + 1] = (0, wanted - own)
    return np.pad(split, widths).reshape(*before, -1, *after)


class _Stored:
    """The tensors of a safetensors file, read in float32."""

    def __init__(self, file: Path) -> None:
        self.file, self.header = file, read_header(file)

    def read(self, name: str) -> NDArray[np.float32]:
        place = self.header.get(name)
        if place is None or place.dtype not in _READ:
            raise BadFormat(f"{self.file} lacks '{name}', which its graphs read; get the model again")
        return _widened(place)


def _widened(place: StoredTensor) -> NDArray[np.float32]:
    raw = np.frombuffer(b"".join(place.pieces()), _READ[place.dtype]).reshape(place.shape)
    if place.dtype == "BF16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float32)
