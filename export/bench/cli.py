"""`segue bench`, with the comparison for which graphs of random weights have to be written first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engine.backends import SAMPLING_THREADS
from engine.bench.cli import Output, settings_of
from engine.bench.cli import bench as plain
from engine.errors import BadArguments

if TYPE_CHECKING:
    from engine.bench.report import BenchReport, BenchSettings

ALL_SHAPES = ("tiny", "small", "starter")
VERSUS = click.Option(
    ["--vs"],
    type=click.Choice(("hf",)),
    help="Instead: tokens/s beside the Hugging Face sampler, same random weights; --shapes tiny, small or starter.",
)


@click.pass_context
def _run(context: click.Context, /, vs: str | None, **options: Any) -> None:
    if vs is None:
        context.invoke(plain, **options)
    else:
        compare_with_peer(options)


bench = click.Command("bench", params=[*plain.params, VERSUS], callback=_run, help=plain.help)


def compare_with_peer(options: dict[str, Any]) -> None:
    """Compare in the shapes that ``--shapes`` names, or in all; on the processor, one lane, one thread."""
    for name in ("model", "history", "soak", "takes", "layers", "plot"):
        if options[name] is not None:
            raise BadArguments(f"--vs compares random weights, one lane, one thread; leave --{name} out")
    from export.bench.peer import peer_name

    settings = settings_of(options | {"lanes": "1", "threads": SAMPLING_THREADS})
    output = Output.checked(options["log"], options["no_log"], None, options["as_json"])
    peer_name()
    chosen = [options["shapes"]] if options["shapes"] else list(ALL_SHAPES)
    output.deliver(versus_report(chosen, settings))


def versus_report(names: list[str], settings: BenchSettings) -> BenchReport:
    """The report of comparing in these shapes, at the levels of the settings."""
    from engine.bench.machine import copy_bandwidth, memory_of
    from engine.bench.measure import threads
    from engine.bench.report import BenchReport
    from engine.evaluation.bars import bars, begin
    from engine.evaluation.provenance import provenance
    from export.bench.versus import compare, shapes_named

    compared = [shapes for name in names for shapes in shapes_named(name)]
    wanted = [shapes.only(settings.levels) for shapes in compared]
    rows = []
    with bars() as progress, threads(settings.threads):
        task = begin(progress, "comparing", sum(len(shapes.levels) for shapes in wanted))
        for shapes in wanted:
            for row in compare(shapes, lambda words: progress.update(task, description=words)):
                rows.append(row)
                progress.advance(task)
    memory = memory_of("cpu")
    return BenchReport(
        provenance=provenance(),
        model=f"shapes {', '.join(names)}",
        model_hash=None,
        backend="torch and onnx",
        device="cpu",
        precision="fp32",
        threads=settings.threads,
        settings=settings,
        copy_gb_per_second=copy_bandwidth("cpu", min(0.5, settings.part_seconds)),
        versus=tuple(rows),
        memory=memory,
    )
