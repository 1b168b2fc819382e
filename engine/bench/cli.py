"""`segue bench`: how fast a model runs here."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.backends import SAMPLING_THREADS
from engine.errors import BadArguments

if TYPE_CHECKING:
    from engine.backends.choose import Device, Wanted
    from engine.bench.report import BenchReport, BenchSettings
    from engine.bench.run import Subject
    from engine.store.home import Precision

FIDELITIES = ("draft", "fine", "full")
DEFAULT_MODEL = "starter"


@dataclass(frozen=True)
class Output:
    """Where a report goes: ``log`` None for no log, ``plot`` None for no picture, ``as_json`` instead of tables."""

    log: Path | None
    plot: Path | None
    as_json: bool

    @classmethod
    def checked(cls, log: Path | None, no_log: bool, plot: Path | None, as_json: bool) -> Output:
        """Raises PathNotAllowed or BadArguments for what could not be written, before anything is measured."""
        from engine.bench.history import default_log, require_writable
        from engine.bench.plot import require_plotting

        place = None if no_log else log or default_log()
        if place is not None:
            require_writable(place)
        if plot is not None:
            require_plotting(plot)
        return cls(place, plot, as_json)

    def deliver(self, report: BenchReport) -> None:
        """Log, draw and print."""
        from engine.bench.history import append_report
        from engine.bench.plot import plot_steps
        from engine.bench.show import show

        if self.log is not None:
            append_report(self.log, report)
        if self.plot is not None:
            plot_steps(report, self.plot)
        if self.as_json:
            click.echo(report.model_dump_json(indent=2))
        else:
            show(report, wide_console())


def wide_console() -> Any:
    """Stdout, wide enough for the tables even where it is no terminal."""
    from rich.console import Console

    return Console(width=max(shutil.get_terminal_size().columns, 150))


@click.command()
@click.option("--model", help=f"A model's name or folder.  [default: {DEFAULT_MODEL}]")
@click.option("--backend", type=click.Choice(("auto", "torch", "onnx")), default="auto", show_default=True)
@click.option("--shapes", help="Random weights in these shapes instead: starter, 5b, 5b_lyrics or 1b_lyrics.")
@click.option(
    "--random", "random_weights", is_flag=True, help="Random weights; alone, in the starter's shapes."
)
@click.option(
    "--precision", type=click.Choice(("fp32", "fp16", "bf16", "int8")), default="fp32", show_default=True,
    help="Of random weights; a model says it behind its name: starter@bf16.",
)  # fmt: skip
@click.option("--layers", type=click.IntRange(min=1), help="Cut random priors down to this many layers.")
@click.option("--level", "levels", type=int, multiple=True, help="Only this level (0 bottom .. 2 top).")
@click.option("--lanes", default="1,4", show_default=True, help="Lane counts, separated by commas.")
@click.option("--seconds", default=4.0, show_default=True, help="Length of each whole take.")
@click.option("--part-seconds", default=1.0, show_default=True, help="Time spent on each other figure.")
@click.option("--threads", type=int, default=SAMPLING_THREADS, show_default=True, help="Threads of torch.")
@click.option(
    "--fidelity", "fidelities", type=click.Choice(FIDELITIES), multiple=True, help="Takes.  [default: all]"
)
@click.option("--device", type=click.Choice(("auto", "cpu", "cuda")), default="auto", show_default=True)
@click.option("--flat", is_flag=True, help="Instead: a token's time in window 40 beside window 2.")
@click.option("--soak", type=float, metavar="MINUTES", help="Instead: memory while sampling without pause.")
@click.option("--takes", type=int, metavar="N", help="Instead: what N takes of one request cost beside one.")
@click.option("--log", type=click.Path(path_type=Path), help="Add the report to this JSON-lines file.")
@click.option("--no-log", is_flag=True, help="Add it to none.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw tokens/s over lanes into this PNG.")
@click.option(
    "--history", type=click.IntRange(min=1), is_flag=False, flag_value=10, metavar="[N]",
    help="Measure nothing: show the last N reports of the log.  [default: 10]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of tables.")
def bench(**options: Any) -> None:
    """Measure how fast a model runs on this machine: steps, drawing, codec and whole takes."""
    if options["history"] is not None:
        show_history(options["log"], options["history"], options["as_json"])
        return
    settings = settings_of(options)
    output = Output.checked(options["log"], options["no_log"], options["plot"], options["as_json"])
    from engine.bench.run import run_bench, run_long
    from engine.evaluation.bars import bars

    subject = subject_of(options, settings)
    with bars() as progress:
        if options["flat"] or options["soak"] is not None or options["takes"] is not None:
            report = run_long(
                subject, settings, progress,
                flat=options["flat"], soak=options["soak"], takes=options["takes"],
            )  # fmt: skip
        else:
            report = run_bench(subject, settings, progress)
    output.deliver(report)


def settings_of(options: dict[str, Any]) -> BenchSettings:
    """The options that say what to measure, validated."""
    from engine.bench.report import BenchSettings

    return BenchSettings.model_validate(
        {
            "seconds": options["seconds"],
            "part_seconds": options["part_seconds"],
            "threads": options["threads"],
            "lanes": lane_counts(options["lanes"]),
            "levels": options["levels"] or None,
            "fidelities": options["fidelities"] or FIDELITIES,
        }
    )


def lane_counts(text: str) -> tuple[int, ...]:
    """`1,4` as numbers; raises BadArguments for anything else."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise BadArguments(
            f"lanes is '{text}'; give whole numbers separated by commas, such as 1,4"
        ) from error


def subject_of(options: dict[str, Any], settings: BenchSettings) -> Subject:
    """The model that the options name, loaded, or random weights in shapes. Raises BadArguments for both at once."""
    shapes, model = options["shapes"], options["model"]
    if shapes is not None or options["random_weights"]:
        if model is not None:
            raise BadArguments(
                "--model names weights and --shapes or --random make random ones; give one of them"
            )
        if options["backend"] == "onnx":
            raise BadArguments(
                "random weights have no graphs; bench them by --backend torch, or a model that was exported"
            )
        return _random(shapes or DEFAULT_MODEL, options, settings)
    for name, value in (("--layers", options["layers"]), ("--precision", _precision_given(options))):
        if value is not None:
            raise BadArguments(
                f"{name} is for random weights; give --shapes, or a model with its precision behind its name, "
                f"such as {DEFAULT_MODEL}@bf16"
            )
    return _named(model or DEFAULT_MODEL, options["backend"], options["device"], settings)


def _precision_given(options: dict[str, Any]) -> str | None:
    return None if options["precision"] == "fp32" else str(options["precision"])


def _named(name: str, wanted: Wanted, device: Device, settings: BenchSettings) -> Subject:
    from engine.backends.choose import CUDA_PROVIDER, open_backend, runtime_providers
    from engine.bench.run import Subject
    from engine.bench.traffic import runtime_of
    from engine.store.home import split_precision

    precision: str = split_precision(name)[1]
    if device == "cuda" and wanted == "onnx":
        if CUDA_PROVIDER not in runtime_providers():
            raise BadArguments(
                f"this build of ONNX Runtime has no {CUDA_PROVIDER}, so graphs are benched on the processor; give "
                "--device cpu, or --backend torch"
            )
    elif device == "cuda":
        from engine.evaluation.devices import resolve_device

        resolve_device(device)
        return Subject(open_backend(name, "torch", settings.threads, "cuda"), name, precision)
    backend = open_backend(name, wanted, settings.threads, device)
    if runtime_of(backend) == "onnx" and settings.threads != SAMPLING_THREADS:
        raise BadArguments(
            f"graphs compute with {SAMPLING_THREADS} thread and {settings.threads} were asked for; leave --threads "
            "out, or give --backend torch"
        )
    levels: dict[int, str] | None = getattr(backend, "precisions", None)
    if levels is not None:
        precision = (
            " ".join(levels[level] for level in sorted(levels))
            if len(set(levels.values())) > 1
            else levels[0]
        )
    return Subject(backend, name, precision)


def _random(shapes: str, options: dict[str, Any], settings: BenchSettings) -> Subject:
    from engine.backends.torch_backend import TorchBackend
    from engine.bench.random_model import random_model, require_room, shapes_named, shorten
    from engine.bench.run import Subject
    from engine.evaluation.devices import resolve_device

    config, cut = shorten(shapes_named(shapes), options["layers"])
    device = resolve_device(options["device"])
    precision: Precision = options["precision"]
    levels = range(len(config.priors)) if settings.levels is None else settings.levels
    require_room(config, levels, max(settings.lanes), precision, device)
    model = random_model(config, device, levels, precision)
    return Subject(TorchBackend(model), shapes, precision, cut)


def show_history(log: Path | None, last: int, as_json: bool) -> None:
    """Print the last reports of a log."""
    from engine.bench.history import as_json as dumped
    from engine.bench.history import default_log, history_table, read_history

    place = log or default_log()
    reports, strange = read_history(place, last)
    if as_json:
        click.echo(dumped(reports))
        return
    wide_console().print(history_table(reports))
    if strange:
        click.echo(f"{strange} lines of {place.name} are of another version and left out", err=True)
