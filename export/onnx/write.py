"""Writing graphs: example inputs, torch's exporter, checks on what came out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim

from engine.backends.onnx_weights import GraphPrecision
from engine.codec.vqvae import Codec
from engine.errors import BadFormat
from engine.prior.config import PriorConfig
from engine.prior.prior import Prior
from export.onnx.device_step import DeviceStepGraph
from export.onnx.layers import OPSET, PriorGraph
from export.onnx.surroundings import ConditionGraph, DecoderGraph, EncoderGraph
from export.onnx.weights import point_into

LANES = Dim("lanes", min=1, max=1024)
# They keep a graph from being captured, and ONNX Runtime from planning memory.
FORBIDDEN = {"Loop", "If", "Scan"}
# Bytes that a graph may hold itself, or a hundredth of the weights if that is more: masks, scales, and the tables of
# signals such as time, which the exporter folds; never the weights.
INLINE_LIMIT = 2 << 20
PREFIX = ("prior.", "codec.")  # what the graphs' modules call the module whose weights are stored


def write_prior(config: PriorConfig, kind: str, precision: GraphPrecision, path: Path, weights: str) -> None:
    """The graph of one step (``kind`` "step") or of a row of prefill ("row"), see :class:`PriorGraph`.

    ``weights``: name of the file that its weights are made from.
    """
    model = PriorGraph(config, 1 if kind == "step" else config.shape.block_ctx, precision, weights).build()
    _straight(model, path)
    onnx.save(model, path)


def write_device_step(config: PriorConfig, path: Path, weights: str) -> None:
    """The graph of one step for a card, see :class:`DeviceStepGraph`; ``weights`` as for :func:`write_prior`."""
    model = DeviceStepGraph(config, weights).build()
    _straight(model, path)
    onnx.save(model, path)


def write_conditions(prior: Prior, path: Path, weights: Path) -> None:
    """The graph of a window's conditions, see :class:`ConditionGraph`."""
    config = prior.config
    inputs: dict[str, Tensor] = {}
    shapes: dict[str, Any] = {}
    outputs = []
    if config.artists:
        inputs |= {"artists": torch.rand(2, config.artists), "genres": torch.rand(2, config.genres)}
        outputs.append("start")
        if config.time is not None:
            inputs |= {
                "total": torch.full((2,), config.time.min_seconds * config.sample_rate),
                "offset": torch.zeros(2),
            }
        if config.pulse is not None:
            inputs |= {
                "phase": torch.ones(2, config.n_ctx, dtype=torch.int64),
                "tempo": torch.ones(2, dtype=torch.int64),
                "key": torch.ones(2, dtype=torch.int64),
            }
        if config.told and config.upper is None:
            outputs.append("added")
    shapes |= {name: {0: LANES} for name in inputs}
    if config.upper is not None:
        inputs["upper"] = torch.zeros(2, 8, dtype=torch.int64)
        shapes["upper"] = {0: LANES, 1: Dim("upper_tokens", min=2, max=config.n_ctx // config.upper.ratio)}
        outputs.append("added")
    if config.lyrics is not None and config.lyrics.encoder is not None:
        inputs["characters"] = torch.zeros(2, config.lyrics.tokens, dtype=torch.int64)
        shapes["characters"] = {0: LANES}
        outputs.append("lyrics")
    _write(
        ConditionGraph(prior), {"inputs": inputs}, {"inputs": shapes}, list(inputs), outputs, path, weights
    )


def write_codec(codec: Codec, level: int, encoder: Path, decoder: Path, weights: Path) -> None:
    """Encoder and decoder of one level; any number of tokens."""
    tokens = Dim("tokens", min=2, max=1 << 24)
    hop = codec.config.hops[level]
    samples = torch.randn(2, 8 * hop)
    _write(
        EncoderGraph(codec, level),
        {"samples": samples},
        {"samples": {0: LANES, 1: hop * tokens}},
        ["samples"],
        ["codes"],
        encoder,
        weights,
    )
    codes = torch.zeros(2, 8, dtype=torch.int64)
    lengths = {"codes": {0: LANES, 1: tokens}}
    _write(DecoderGraph(codec, level), {"codes": codes}, lengths, ["codes"], ["samples"], decoder, weights)


def _write(
    module: nn.Module,
    arguments: dict[str, Any],
    shapes: dict[str, Any],
    inputs: list[str],
    outputs: list[str],
    path: Path,
    weights: Path,
) -> None:
    traced = torch.export.export(module.eval(), (), arguments, dynamic_shapes=shapes, strict=False)
    program = torch.onnx.export(
        traced, input_names=inputs, output_names=outputs, opset_version=OPSET, dynamo=True, verbose=False
    )
    assert program is not None
    model = program.model_proto
    del model.graph.value_info[:]  # shapes of the example's lanes, which mislead what reads the graph later
    model.producer_name, model.producer_version, model.doc_string = "segue", "", ""
    found = [value.name for value in model.graph.input], [value.name for value in model.graph.output]
    if found != (inputs, outputs):
        raise BadFormat(f"the graph '{path.name}' came out with {found}, not {(inputs, outputs)}")
    _straight(model, path)
    for node in model.graph.node:  # where in this machine's source each came from
        del node.metadata_props[:]
        node.doc_string = ""
    left = point_into(model, weights, PREFIX)
    limit = max(INLINE_LIMIT, weights.stat().st_size // 100)
    if left > limit:
        raise BadFormat(
            f"the graph '{path.name}' would hold {left} bytes of its own; at most {limit} are allowed"
        )
    onnx.save(model, path)


def _straight(model: onnx.ModelProto, path: Path) -> None:
    bad = FORBIDDEN & {node.op_type for node in model.graph.node}
    if bad:
        raise BadFormat(f"the graph '{path.name}' holds {', '.join(sorted(bad))}; it must be straight")
