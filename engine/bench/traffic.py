"""What one step moves: weights that it reads, and arrays that pass between the host and the model."""

from __future__ import annotations

from math import prod
from typing import Any

from engine.backends.protocol import Backend, LevelRunner
from engine.store.files import prior_file
from engine.store.safefile import read_header

_FLOAT = 4


def runtime_of(backend: Backend) -> str:
    """``torch`` or ``onnx``: the runtime that a backend is named after."""
    return type(backend).__module__.rpartition(".")[2].removesuffix("_backend")


def device_of(backend: Backend) -> str:
    """``cpu``, or the card that torch computes on."""
    codec = getattr(getattr(backend, "model", None), "codec", None)
    return "cpu" if codec is None else str(next(codec.parameters()).device)


def step_weight_bytes(backend: Backend, level: int) -> int:
    """Bytes of weights that one step reads, however many lanes: all layers, and the matrix that makes logits.

    Of a torch model as they lie in memory. Graphs keep float32 whatever the file stores, unless they say otherwise
    (``weight_bytes(level)``). The projection of the lyrics' states is read once a window and not counted.
    """
    told = getattr(backend, "weight_bytes", None)
    if callable(told):
        return int(told(level))
    model = getattr(backend, "model", None)
    if model is not None:
        prior = model.priors[level]
        parts: list[Any] = [*prior.transformer.named_parameters(), *prior.transformer.named_buffers()]
        read = [tensor for name, tensor in parts if ".c_enc_kv." not in name]
        last = prior.embed if prior.out is None else prior.out.weight
        return sum(tensor.numel() * tensor.element_size() for tensor in (*read, last))
    header = read_header(backend.folder / prior_file(level))  # type: ignore[attr-defined]
    last = "out.weight" if "out.weight" in header else "embed"
    read = [
        tensor
        for name, tensor in header.items()
        if name == last or (name.startswith("transformer.") and ".c_enc_kv." not in name)
    ]
    return _FLOAT * sum(prod(tensor.shape) for tensor in read)


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
