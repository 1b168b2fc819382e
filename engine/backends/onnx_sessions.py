"""Loading graphs: what the runtime is told, the weights that a level's graphs share, one thread at a time."""

from __future__ import annotations

import threading
from pathlib import Path

import onnxruntime

from engine.backends import SAMPLING_THREADS
from engine.backends.onnx_manifest import graph_file
from engine.backends.onnx_weights import GraphPrecision, graph_weights
from engine.errors import BadFormat
from engine.prior.config import PriorConfig
from engine.store import ModelConfig
from engine.store.files import prior_file

PROVIDERS = ["CPUExecutionProvider"]
Weights = dict[str, onnxruntime.OrtValue]


def options() -> onnxruntime.SessionOptions:
    """What every session is opened with: one thread, no spinning, no words below errors, no memory kept for itself."""
    found = onnxruntime.SessionOptions()
    found.enable_cpu_mem_arena = False  # it would keep the most that any number of lanes ever needed
    found.intra_op_num_threads = found.inter_op_num_threads = SAMPLING_THREADS
    found.add_session_config_entry("session.intra_op.allow_spinning", "0")
    found.log_severity_level = 3
    return found


class WeightedSession(onnxruntime.InferenceSession):
    """A graph that is given its weights: the runtime reads them where they are, so they live as long as it does."""

    def __init__(self, path: Path, weights: Weights) -> None:
        self.weights = weights
        chosen = options()
        for name, value in weights.items():
            chosen.add_initializer(name, value)
        super().__init__(str(path), chosen, providers=PROVIDERS)


class Sessions:
    """The graphs of a model folder, each loaded once, when first asked for; any thread may ask."""

    def __init__(self, folder: Path, config: ModelConfig) -> None:
        self.folder, self.config = folder, config
        self._lock = threading.Lock()
        self._loaded: dict[str, onnxruntime.InferenceSession] = {}
        self._weights: dict[tuple[int, GraphPrecision], Weights] = {}

    def get(self, kind: str, level: int, precision: GraphPrecision) -> onnxruntime.InferenceSession:
        """A graph; ``precision`` is that of step and row graphs, others are fp32. Raises BadFormat for one that the
        runtime refuses."""
        name = graph_file(kind, level, precision)
        with self._lock:
            if name not in self._loaded:
                weights = self._shared(level, precision) if kind in ("step", "row") else {}
                self._loaded[name] = open_graph(self.folder / name, weights)
            return self._loaded[name]

    def _shared(self, level: int, precision: GraphPrecision) -> Weights:
        """One copy of a level's weights for its step and its row graph."""
        if (level, precision) not in self._weights:
            file = self.folder / prior_file(level)
            self._weights[level, precision] = load_weights(file, self.config.priors[level], precision)
        return self._weights[level, precision]


def load_weights(file: Path, config: PriorConfig, precision: GraphPrecision) -> Weights:
    """The weights of a prior's graphs, see :func:`engine.backends.onnx_weights.graph_weights`."""
    arrays = graph_weights(file, config, precision)
    return {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in arrays.items()}


def open_graph(path: Path, weights: Weights) -> WeightedSession:
    """A graph and its weights. Raises BadFormat if the runtime refuses them."""
    try:
        return WeightedSession(path, weights)
    except Exception as error:  # the runtime has no common base class for its failures
        raise BadFormat(f"{path} cannot be loaded: {error}") from error
