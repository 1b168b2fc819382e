"""The ONNX Runtime backend: a model folder's graphs, run without torch (export/onnx writes them)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engine.backends import SAMPLING_THREADS
from engine.backends.onnx_runner import LevelSessions, OnnxRunner
from engine.backends.protocol import Codes
from engine.codec.pieces import ENCODE_CHUNK, decode_grid, decode_span, decoder_margin, encode_pieces
from engine.errors import BadFormat, NoModel
from engine.request import Frozen, Style
from engine.store import ModelConfig, model_folder, read_config
from engine.store.files import GRAPHS_FILE, model_hash

PRIOR_GRAPHS = ("step", "row", "conditions")
CODEC_GRAPHS = ("encoder", "decoder")


def graph_file(kind: str, level: int) -> str:
    """File name of one graph; it lies beside the weights that it points into."""
    return f"{kind}_{level}.onnx"


class OnnxManifest(Frozen):
    """What was exported: ``graphs``: SHA-256 by file name; ``model_hash``: of the weights they point into."""

    format: int = 1
    model_hash: str
    opset: int
    graphs: dict[str, str]


def read_manifest(folder: Path) -> OnnxManifest:
    """The manifest, checked against the files: raises NoModel without one, BadFormat where they differ."""
    path = folder / GRAPHS_FILE
    if not path.is_file():
        raise NoModel(f"'{folder.name}' has no ONNX graphs; write them with: segue export onnx {folder.name}")
    try:
        manifest = OnnxManifest.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise BadFormat(
            f"{path} is damaged; export the model again: segue export onnx {folder.name}"
        ) from error
    for name, digest in manifest.graphs.items():
        file = folder / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            state = "is not the one that" if file.is_file() else "is missing, which"
            raise BadFormat(
                f"{file} {state} {GRAPHS_FILE} names; export the model again: segue export onnx {folder.name}"
            )
    return manifest


class OnnxBackend:
    """A model folder with graphs behind the backend protocol."""

    def __init__(self, name: str | Path) -> None:
        self.folder = model_folder(name)
        self.config: ModelConfig = read_config(self.folder)
        manifest = read_manifest(self.folder)
        self.hash = model_hash(self.folder, len(self.config.priors))
        if manifest.model_hash != self.hash:
            raise BadFormat(
                f"the ONNX graphs in {self.folder} are of other weights than those beside them; "
                f"export the model again: segue export onnx {self.folder.name}"
            )
        self._graphs: dict[str, onnxruntime.InferenceSession] = {}

    @cached_property
    def _options(self) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = SAMPLING_THREADS
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        return options

    def graph(self, kind: str, level: int) -> onnxruntime.InferenceSession:
        """A graph, loaded when first asked for."""
        name = graph_file(kind, level)
        if name not in self._graphs:
            try:
                self._graphs[name] = onnxruntime.InferenceSession(
                    str(self.folder / name), self._options, providers=["CPUExecutionProvider"]
                )
            except Exception as error:  # the runtime has no common base class for its failures
                raise BadFormat(f"{self.folder / name} cannot be loaded: {error}") from error
        return self._graphs[name]

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
                for piece in encode_pieces(self.config.codec, level, total, ENCODE_CHUNK)
            ]
            found[level] = np.concatenate(pieces) if pieces else np.zeros(0, np.int64)
        return found

    def runner(self, level: int, lanes: int) -> OnnxRunner:
        """A new sampling state of one level."""
        sessions = LevelSessions(*(self.graph(kind, level) for kind in PRIOR_GRAPHS))
        return OnnxRunner(sessions, self.config.priors[level], self.config.vocabulary(level), lanes)

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
