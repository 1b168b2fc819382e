"""The ONNX Runtime backend: a model folder's graphs, run without torch (export/onnx writes them)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engine.backends.onnx_cuda import DeviceRunner, DeviceStep, Place
from engine.backends.onnx_manifest import DEVICE_STEP, graph_file, graphs_of, read_manifest
from engine.backends.onnx_runner import LevelSessions, OnnxPrefill, OnnxRunner
from engine.backends.onnx_sessions import Sessions
from engine.backends.onnx_weights import GraphPrecision, graph_weights
from engine.backends.protocol import Codes
from engine.codec.pieces import decode_grid, decode_span, decoder_margin, encode_pieces
from engine.errors import BadFormat, OutOfRange
from engine.request import Style
from engine.store import ModelConfig, model_folder, read_config
from engine.store.files import deciding_files, model_hash, prior_file

ENCODE_TOKENS = 1024  # in a piece: all distances to the codebook are in memory at once
MOST_LANES = 1024  # that graphs are made and tested for


class OnnxBackend:
    """A model folder with graphs behind the backend protocol.

    ``precision``: of every prior's matrices; None takes what the manifest names for each level. Graphs are loaded when
    first asked for; any thread may ask. ``place``: where the graphs for a card run the steps, in single precision
    (the processor: to check them); without one, steps run on the processor by its own graphs. Everything else runs
    there always. Raises NoModel without graphs, BadFormat for some that do not fit.
    """

    def __init__(
        self, name: str | Path, precision: GraphPrecision | None = None, place: Place | None = None
    ) -> None:
        self.folder, self.place = model_folder(name), place
        self.config: ModelConfig = read_config(self.folder)
        manifest = read_manifest(self.folder)
        self.hash = model_hash(self.folder, len(self.config.priors))
        self.files = deciding_files(self.folder, self.config, graphs=True)
        if manifest.model_hash != self.hash:
            raise BadFormat(
                f"the ONNX graphs in {self.folder} are of other weights than those beside them; "
                f"export the model again: segue export onnx {self.folder.name}"
            )
        levels = range(len(self.config.priors))
        wanted = {graph_file(*graph) for graph in graphs_of(len(self.config.priors))}
        if place is not None:
            precision = "fp32"
            wanted |= {graph_file(DEVICE_STEP, level) for level in levels}
        if missing := sorted(wanted - set(manifest.graphs)):
            raise BadFormat(
                f"the manifest in {self.folder} does not name {missing[0]}, which this model needs; "
                f"export the model again: segue export onnx {self.folder.name}"
            )
        self.precisions = {level: precision or manifest.precisions[level] for level in levels}
        self._sessions = Sessions(self.folder, self.config)
        self._steps: dict[int, DeviceStep] = {}
        self._lock = threading.Lock()

    @cached_property
    def runtime(self) -> str:
        """What runs the model, as takes are recorded with it: ``onnx``, ``cuda`` where steps run on a card, and the
        precision of every level from 0 up."""
        named = ["onnx", *(["cuda"] if self.place == "cuda" else [])]
        return " ".join([*named, *(self.precisions[level] for level in sorted(self.precisions))])

    def load(self, tell: Callable[[float, str], None] = lambda _fraction, _what: None) -> None:
        """Load every graph now, so that the first take does not wait for it; ``tell`` hears how far that has come."""
        graphs = list(graphs_of(len(self.config.priors)))
        for number, (kind, level, _) in enumerate(graphs):
            tell(number / len(graphs), f"the {kind} graph of level {level}")
            if kind != "step" or self.place is None:
                self.graph(kind, level)
            else:
                self._step(level)

    def graph(self, kind: str, level: int) -> onnxruntime.InferenceSession:
        """A graph, loaded when first asked for."""
        precision = self.precisions[level] if kind in ("step", "row") else "fp32"
        return self._sessions.get(kind, level, precision)

    def require_place(self) -> None:
        """Raise NoDevice if steps are to run on a card and there is none that the runtime can use."""
        if self.place is not None:
            self._step(0)

    def _step(self, level: int) -> DeviceStep:
        """A level's step graph for a card, loaded when first asked for."""
        assert self.place is not None
        with self._lock:
            if level not in self._steps:
                weights = graph_weights(self.folder / prior_file(level), self.config.priors[level], "fp32")
                path = self.folder / graph_file(DEVICE_STEP, level)
                self._steps[level] = DeviceStep(path, weights, self.place)
            return self._steps[level]

    def check_style(self, style: Style) -> None:
        """Raise NoStyle if the model lacks a label of ``style``."""
        names = self.config.vocabulary(self.config.top)
        names.artist_weights(style, strict=True)
        names.genre_weights(style, strict=True)

    def encode(self, samples: NDArray[np.float32], levels: tuple[int, ...]) -> dict[int, Codes]:
        """Codes of mono samples [T]."""
        found: dict[int, Codes] = {}
        for level in levels:
            session = self.graph("encoder", level)
            total = samples.size // self.config.hops[level] * self.config.hops[level]
            pieces = [
                _run(session, {"samples": samples[None, piece.left : piece.right]})[0, piece.keep]
                for piece in encode_pieces(
                    self.config.codec, level, total, ENCODE_TOKENS * self.config.hops[level]
                )
            ]
            found[level] = np.concatenate(pieces) if pieces else np.zeros(0, np.int64)
        return found

    def runner(self, level: int, lanes: int) -> OnnxRunner | DeviceRunner:
        """A new sampling state of one level. Raises OutOfRange for lanes that the graphs do not take."""
        if not 1 <= lanes <= MOST_LANES:
            raise OutOfRange(f"{lanes} lanes are asked for; the graphs take 1 to {MOST_LANES}")
        row, conditions = self.graph("row", level), self.graph("conditions", level)
        config, names = self.config.priors[level], self.config.vocabulary(level)
        if self.place is not None:
            return DeviceRunner(self._step(level), OnnxPrefill(row, conditions, config, names, lanes))
        return OnnxRunner(LevelSessions(self.graph("step", level), row, conditions), config, names, lanes)

    def decode_grid(self, level: int) -> int:
        """Tokens per decoded piece."""
        return decode_grid(self.config.codec, level)

    def decode_margin(self, level: int) -> int:
        """Tokens needed on either side of a piece."""
        return decoder_margin(self.config.codec, level)

    def decode_piece(self, codes: Codes, level: int, piece: int, total: int) -> NDArray[np.float32]:
        """Samples [frames] of one piece."""
        span = decode_span(self.config.codec, level, piece, total)
        given = np.ascontiguousarray(codes[None, span.left : span.right], np.int64)
        return _run(self.graph("decoder", level), {"codes": given})[0, span.keep]


def _run(session: onnxruntime.InferenceSession, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    (output,) = session.run(None, {name: np.ascontiguousarray(array) for name, array in inputs.items()})
    return np.asarray(output)
