"""What one step moves: weights that it reads, and arrays that pass between the host and the model."""

from __future__ import annotations

from typing import Any

from engine.backends.onnx_weights import BLOCK, LOGITS, matrices
from engine.backends.protocol import Backend, LevelRunner
from engine.prior.config import PriorConfig

_FLOAT = 4


def runtime_of(backend: Backend) -> str:
    """``torch`` or ``onnx``: the runtime that a backend is named after."""
    return type(backend).__module__.rpartition(".")[2].removesuffix("_backend")


def device_of(backend: Backend) -> str:
    """``cpu``, or the card that torch computes on or that graphs run their steps on."""
    if getattr(backend, "place", None) == "cuda":
        return "cuda"
    codec = getattr(getattr(backend, "model", None), "codec", None)
    return "cpu" if codec is None else str(next(codec.parameters()).device)


def step_weight_bytes(backend: Backend, level: int) -> int:
    """Bytes of weights that one step reads, however many lanes: all layers, and the matrix that makes logits.

    Of a torch model as they lie in memory, of graphs in the precision of that level. What makes keys and values of
    the lyrics is read once a window and not counted.
    """
    model = getattr(backend, "model", None)
    if model is None:
        return _graph_bytes(backend.config.priors[level], backend.precisions[level])  # type: ignore[attr-defined]
    prior = model.priors[level]
    parts: list[Any] = [*prior.transformer.named_parameters(), *prior.transformer.named_buffers()]
    read = [tensor for name, tensor in parts if ".c_enc_kv." not in name]
    last = prior.embed if prior.out is None else prior.out.weight
    return sum(tensor.numel() * tensor.element_size() for tensor in (*read, last))


def _graph_bytes(config: PriorConfig, precision: str) -> int:
    """Matrices as they are multiplied, scales included, and biases and norms in float32."""
    total = 0
    for name, (inputs, outputs) in matrices(config).items():
        blocks = -(-inputs // BLOCK)
        total += outputs * (blocks * (BLOCK + _FLOAT) if precision == "int8" else inputs * _FLOAT)
        total += 0 if name == LOGITS else outputs * _FLOAT
    return total + config.depth * 4 * config.width * _FLOAT


def copied_bytes(runner: LevelRunner) -> int | None:
    """Bytes that the host writes for a step and reads after it: everything that the step graph has bound, apart from
    the caches, which it reads and writes where they lie: tokens, places, masks, conditions, logits, and new keys and
    values where they are not written in place. None for a runner that does not say what is bound.
    """
    graph = getattr(runner, "step_graph", None)
    bound = getattr(graph, "inputs", None)
    if graph is None or bound is None:
        return None
    return sum(int(array.nbytes) for array in (*bound.values(), *graph.news.values(), graph.logits))
