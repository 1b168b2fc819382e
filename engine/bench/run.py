"""One benchmark from settings to report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from rich.progress import Progress, TaskID

from engine.backends.protocol import Backend
from engine.bench.long_runs import LATE_WINDOW, measure_flat, measure_soak, measure_takes
from engine.bench.machine import copy_bandwidth, memory_of
from engine.bench.measure import (
    measure_codec,
    measure_draw,
    measure_pipeline,
    measure_prefill,
    measure_steps,
    threads,
)
from engine.bench.report import BenchReport, BenchSettings, FlatRow, PipelineRow, StepRow
from engine.bench.traffic import device_of, runtime_of, step_weight_bytes
from engine.errors import BadArguments
from engine.evaluation.bars import begin
from engine.evaluation.provenance import provenance
from engine.request import Fidelity

T = TypeVar("T")
CODEC_SECONDS = 4.0


@dataclass(frozen=True)
class Subject:
    """What is measured: a model behind its backend, its name, its precision, and what was cut off its shapes."""

    backend: Backend
    name: str
    precision: str = "fp32"
    shortened: str | None = None

    def levels(self, settings: BenchSettings) -> list[int]:
        """The levels to measure. Raises BadArguments for one that the model lacks."""
        there = range(len(self.backend.config.priors))
        if settings.levels is None:
            return list(there)
        missing = [level for level in settings.levels if level not in there]
        if missing:
            raise BadArguments(f"'{self.name}' has no level {missing[0]}; its levels are 0 to {there[-1]}")
        return sorted(set(settings.levels))


def make_report(subject: Subject, settings: BenchSettings, found: dict[str, Any]) -> BenchReport:
    """What was measured (fields of the report) with where it was made; memory is looked at before it is copied."""
    device = device_of(subject.backend)
    memory = memory_of(device)
    copied = copy_bandwidth(device, min(0.5, settings.part_seconds))
    shares = [
        row.model_copy(update={"bandwidth_share": row.weights_gb_per_second / copied})
        for row in found.get("steps", ())
    ]
    return BenchReport(
        provenance=provenance(),
        model=subject.name,
        model_hash=subject.backend.hash or None,
        shortened=subject.shortened,
        backend=runtime_of(subject.backend),
        device=device,
        precision=subject.precision,
        threads=settings.threads,
        settings=settings,
        copy_gb_per_second=copied,
        memory=memory,
        **(found | {"steps": tuple(shares)}),
    )


def run_bench(subject: Subject, settings: BenchSettings, progress: Progress) -> BenchReport:
    """Measures every part of the model, with bars in ``progress``."""
    backend, spent = subject.backend, settings.part_seconds
    levels = subject.levels(settings)
    with threads(settings.threads):
        task = begin(progress, "parts", len(levels) * (2 + len(settings.lanes)))

        def done(result: T) -> T:
            progress.advance(task)
            return result

        prefill = [done(measure_prefill(backend, level, spent)) for level in levels]
        steps: list[StepRow] = []
        for level in levels:
            read = step_weight_bytes(backend, level)
            steps += [done(measure_steps(backend, level, lanes, spent, read)) for lanes in settings.lanes]
        codec = [done(measure_codec(backend, level, CODEC_SECONDS)) for level in levels]
        found = {
            "draw_us": measure_draw(backend.config.bins, min(0.2, spent)),
            "prefill": tuple(prefill),
            "steps": tuple(steps),
            "codec": tuple(codec),
            "pipeline": tuple(_whole_takes(subject, settings, progress)),
        }
        return make_report(subject, settings, found)


def _whole_takes(subject: Subject, settings: BenchSettings, progress: Progress) -> list[PipelineRow]:
    """A take of every fidelity whose levels are all measured."""
    levels, top = subject.levels(settings), subject.backend.config.top
    rows = []
    for fidelity in settings.fidelities:
        if set(range(fidelity.level, top + 1)) <= set(levels):
            bar = _fraction_bar(progress, f"take, {fidelity.value}")
            rows.append(measure_pipeline(subject.backend, fidelity, settings.seconds, bar))
    return rows


@dataclass(frozen=True)
class _Bar:
    progress: Progress
    task: TaskID

    def __call__(self, fraction: float) -> None:
        self.progress.update(self.task, completed=fraction)


def _fraction_bar(progress: Progress, title: str) -> _Bar:
    return _Bar(progress, begin(progress, title, 1))


def run_long(
    subject: Subject,
    settings: BenchSettings,
    progress: Progress,
    *,
    flat: bool = False,
    soak: float | None = None,
    takes: int | None = None,
) -> BenchReport:
    """Measures whether steps stay as fast (``flat``), memory as small (``soak`` minutes), and what ``takes`` cost."""
    backend = subject.backend
    fidelity = settings.fidelities[0] if len(settings.fidelities) == 1 else Fidelity.DRAFT
    levels = subject.levels(settings) if flat else []
    with threads(settings.threads):
        rows: list[FlatRow] = []
        for level in levels:
            task = begin(progress, f"long take, level {level}", LATE_WINDOW)
            rows.append(measure_flat(backend, level, lambda bar=task: progress.advance(bar)))  # type: ignore[misc]
        found: dict[str, Any] = {"flat": tuple(rows)}
        if takes is not None:
            bar = _fraction_bar(progress, f"{takes} takes, {fidelity.value}")
            found["takes"] = measure_takes(backend, fidelity, takes, settings.seconds, bar)
        if soak is not None:
            bar = _fraction_bar(progress, f"{soak:g} minutes, {fidelity.value}")
            found["soak"] = measure_soak(backend, fidelity, soak, bar)
        return make_report(subject, settings, found)
