"""A whole model as graphs: written beside its weights, described by a manifest (checks: export/onnx/check.py)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from engine.audio.durable import write_durably
from engine.backends.onnx_manifest import DEVICE_STEP, OnnxManifest, graph_file, graphs_of
from engine.backends.onnx_weights import GraphPrecision
from engine.errors import BadFormat
from engine.store import load_model
from engine.store.files import CODEC_FILE, GRAPHS_FILE, prior_file
from export.onnx.layers import OPSET
from export.onnx.write import write_codec, write_conditions, write_device_step, write_prior


def export_model(name: str | Path, step: Callable[[str], None] = lambda words: None) -> Path:
    """Write all graphs of a model into its folder; gives the folder. ``step`` is told what is being written.

    Graphs are written under other names and take their place together, so a killed export leaves no mixture. Every
    level is set to run in fp32 until :func:`export.onnx.check.settle` knows better. Raises BadFormat for a model
    without labels (no graph gives its start token).
    """
    model = load_model(name)
    if any(not prior.config.artists for prior in model.priors.values()):
        raise BadFormat(
            f"'{model.config.name}' has a prior without labels; only labelled priors can be exported"
        )
    folder = model.folder
    written: dict[str, Path] = {}

    def place(kind: str, level: int, precision: GraphPrecision = "fp32") -> Path:
        file = graph_file(kind, level, precision)
        step(file)
        written[file] = folder / f".{file}.part"
        return written[file]

    try:
        for kind, level, precision in graphs_of(len(model.priors)):
            if kind in ("step", "row"):
                path = place(kind, level, precision)
                write_prior(model.priors[level].config, kind, precision, path, prior_file(level))
        for level, prior in sorted(model.priors.items()):
            write_device_step(prior.config, place(DEVICE_STEP, level), prior_file(level))
            write_conditions(prior, place("conditions", level), folder / prior_file(level))
            write_codec(
                model.codec, level, place("encoder", level), place("decoder", level), folder / CODEC_FILE
            )
        graphs = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in written.items()}
        for name_there, path in written.items():
            path.replace(folder / name_there)
    finally:
        for path in written.values():
            path.unlink(missing_ok=True)
    precisions: tuple[GraphPrecision, ...] = tuple("fp32" for _ in model.priors)
    manifest = OnnxManifest(model_hash=model.hash, opset=OPSET, graphs=graphs, precisions=precisions)
    write_manifest(folder, manifest)
    return folder


def write_manifest(folder: Path, manifest: OnnxManifest) -> None:
    """Put a manifest in its place."""
    write_durably(folder / GRAPHS_FILE, manifest.model_dump_json(indent=1).encode() + b"\n")
