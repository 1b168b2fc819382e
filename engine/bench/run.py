"""One benchmark from settings to report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import torch
from pydantic import Field
from rich.progress import Progress, TaskID

from engine.backends.torch_backend import TorchBackend
from engine.bench.measure import (
    copy_bandwidth,
    measure_codec,
    measure_draw,
    measure_pipeline,
    measure_prefill,
    measure_steps,
    threads,
    weight_bytes,
)
from engine.bench.report import BenchReport, PipelineRow
from engine.codec.vqvae import Codec
from engine.evaluation.bars import begin
from engine.evaluation.provenance import provenance
from engine.prior.prior import Prior
from engine.request import MAX_SECONDS, Fidelity, Frozen
from engine.store import Model, ModelConfig

T = TypeVar("T")
CODEC_SECONDS = 4.0


class BenchSettings(Frozen):
    """What is measured: ``seconds`` of each whole take, ``part_seconds`` for each other figure."""

    seconds: Annotated[float, Field(ge=0.1, le=MAX_SECONDS)] = 4.0
    part_seconds: Annotated[float, Field(gt=0.0, le=60.0)] = 1.0
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    lanes: tuple[Annotated[int, Field(ge=1, le=256)], ...] = (1, 4)
    fidelities: tuple[Fidelity, ...] = tuple(Fidelity)


def random_model(config: ModelConfig, device: torch.device) -> Model:
    """A model of ``config``'s shapes with random weights: as fast as a trained one, without a folder or a hash."""
    torch.manual_seed(0)
    codec = Codec(config.codec)
    for name, buffer in codec.named_buffers():
        if name.endswith("codebook"):
            buffer.normal_()
    priors = {prior.level: Prior(prior).eval().requires_grad_(False).to(device) for prior in config.priors}
    codec = codec.eval().requires_grad_(False).to(device)
    return Model(config, codec, priors, "", Path())


def run_bench(model: Model, settings: BenchSettings, progress: Progress) -> BenchReport:
    """Measures every part of ``model`` on the device that it is on, with a bar in ``progress``."""
    backend = TorchBackend(model)
    device = next(model.codec.parameters()).device
    levels = sorted(model.priors)
    read = {level: weight_bytes(prior) for level, prior in sorted(model.priors.items())}
    parts = len(levels) * (2 + len(settings.lanes))
    task = begin(progress, "parts", parts)

    def done(result: T) -> T:
        progress.advance(task)
        return result

    with threads(settings.threads):
        spent = settings.part_seconds
        prefill = [done(measure_prefill(backend, level, spent)) for level in levels]
        steps = [
            done(measure_steps(backend, level, lanes, spent, read[level]))
            for level in levels
            for lanes in settings.lanes
        ]
        codec = [done(measure_codec(backend, level, CODEC_SECONDS)) for level in levels]
        return BenchReport(
            provenance=provenance(),
            model=model.config.name,
            model_hash=model.hash or None,
            backend="torch",
            device=str(device),
            threads=torch.get_num_threads(),
            weight_bytes=read,
            copy_gb_per_second=copy_bandwidth(device, min(0.5, spent)),
            draw_us=measure_draw(model.config.bins, min(0.2, spent)),
            prefill=tuple(prefill),
            steps=tuple(steps),
            codec=tuple(codec),
            pipeline=tuple(_takes(backend, settings, progress)),
        )


def _takes(backend: TorchBackend, settings: BenchSettings, progress: Progress) -> list[PipelineRow]:
    rows = []
    for fidelity in settings.fidelities:
        task = begin(progress, f"take, {fidelity.value}", 1)

        def step(fraction: float, bar: TaskID = task) -> None:
            progress.update(bar, completed=fraction)

        rows.append(measure_pipeline(backend, fidelity, settings.seconds, step))
    return rows
