"""The step graphs for a card beside the processor's own: run on a card where there is one, else on the processor."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from engine.backends.choose import CUDA_PROVIDER
from engine.backends.onnx_backend import OnnxBackend
from engine.backends.onnx_cuda import DeviceRunner, DeviceStep, Place, require_on_device
from engine.backends.onnx_manifest import DEVICE_STEP, graph_file
from engine.backends.onnx_runner import OnnxPrefill
from engine.backends.onnx_weights import graph_weights
from engine.backends.protocol import WindowInput
from engine.errors import BadFormat
from engine.request import Style
from engine.store.files import prior_file
from export.onnx.check import LOGIT_TOLERANCE

LANES = 2
STEPS = 200


def place_here() -> Place:
    """Where graphs for a card can be run here: on a card that there is, if this build of ONNX Runtime can use it."""
    usable = CUDA_PROVIDER in onnxruntime.get_available_providers() and torch.cuda.is_available()
    return "cuda" if usable else "cpu"


def check_device_steps(folder: Path, place: Place) -> dict[int, float]:
    """Largest difference of logits by level, of :data:`STEPS` steps in :data:`LANES` lanes, between the graphs for a
    card, run at ``place``, and the processor's. On a card, also that no step leaves it.

    Raises BadFormat naming the first level where they differ by more than 1e-4, or where a step leaves the card.
    """
    ours, theirs = OnnxBackend(folder, place=place), OnnxBackend(folder, "fp32")
    found = {level: _difference(ours, theirs, level) for level in range(len(ours.config.priors))}
    for level, off in found.items():
        if not off <= LOGIT_TOLERANCE:
            raise BadFormat(
                f"{graph_file(DEVICE_STEP, level)} differs from the processor's graph by {off:.2g}"
            )
        if place == "cuda":
            require_staying(ours, level)
    return found


def _window(backend: OnnxBackend, level: int, known: int) -> WindowInput:
    """A window of random tokens whose lanes differ; one row is known, and a little more."""
    config, rng = backend.config.priors[level], np.random.default_rng([30, level])
    upper = None
    if config.upper is not None:
        upper = rng.integers(0, config.upper.bins, (LANES, config.n_ctx // config.upper.ratio))
    return WindowInput(
        prefix=rng.integers(0, config.bins, (LANES, known)),
        upper=upper,
        styles=(Style(),) * LANES,
        total=60 * backend.config.rate,
        offsets=tuple(10 * backend.config.rate * (1 + lane) for lane in range(LANES)),
        lyrics=rng.integers(1, 79, (LANES, config.lyrics.tokens)) if config.lyrics else None,
    )


def _difference(ours: OnnxBackend, theirs: OnnxBackend, level: int) -> float:
    config, rng = ours.config.priors[level], np.random.default_rng([31, level])
    known = min(config.shape.block_ctx + 3, config.n_ctx // 2)
    runners = [backend.runner(level, LANES) for backend in (ours, theirs)]
    for runner in runners:
        runner.begin(_window(ours, level, known))
    worst = 0.0
    for _ in range(min(STEPS, config.n_ctx - known)):
        previous = rng.integers(0, config.bins, LANES)
        logits = [runner.step(previous) for runner in runners]
        worst = max(worst, float(np.abs(logits[0] - logits[1]).max()))
    return worst


def require_staying(backend: OnnxBackend, level: int, place: Place = "cuda") -> None:
    """Raise BadFormat unless a level's steps, profiled, run on the card and copy nothing to or from it."""
    config = backend.config.priors[level]
    weights = graph_weights(backend.folder / prior_file(level), config, "fp32")
    with tempfile.TemporaryDirectory() as folder:
        path = backend.folder / graph_file(DEVICE_STEP, level)
        step = DeviceStep(path, weights, place, Path(folder) / "ran")
        row, conditions = backend.graph("row", level), backend.graph("conditions", level)
        prefill = OnnxPrefill(row, conditions, config, backend.config.vocabulary(level), LANES)
        runner = DeviceRunner(step, prefill)
        runner.begin(_window(backend, level, 1))
        for _ in range(2):  # the first logits come of the prefill
            runner.step(np.zeros(LANES, np.int64))
        require_on_device(Path(step.session.end_profiling()), place)
