"""`segue eval`: how good a model is, in figures."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
from click.core import ParameterSource

SPLITS = ("held-out", "train", "all")
FIDELITIES = ("draft", "fine", "full")


@click.command()
@click.argument("model", default="starter")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Corpus or folder of audio. Default: a small corpus made for the purpose, kept in the user's cache.",
)
@click.option("--primes", default=12, show_default=True, help="Primes to continue; 0 for none.")
@click.option("--prime-seconds", default=6.0, show_default=True, help="Length of a prime.")
@click.option("--seconds", default=8.0, show_default=True, help="Length of a continuation.")
@click.option("--fidelity", type=click.Choice(FIDELITIES), default="draft", show_default=True)
@click.option("--temperature", default=0.98, show_default=True, help="Sampling temperature of every level.")
@click.option(
    "--split", type=click.Choice(SPLITS), default="held-out", show_default=True, help="Part of the data."
)
@click.option("--seed", default=0, show_default=True, help="Decides excerpts, primes and sampling.")
@click.option("--device", type=click.Choice(("auto", "cpu", "cuda")), default="auto", show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/eval"),
    show_default=True,
    help="Where eval.json goes.",
)
@click.option(
    "--plots", is_flag=True, help="Pictures of the best, median and worst continuation, and of all."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of tables.")
def evaluate(
    model: str,
    data: Path | None,
    primes: int,
    prime_seconds: float,
    seconds: float,
    fidelity: str,
    temperature: float,
    split: str,
    seed: int,
    device: str,
    out: Path,
    plots: bool,
    as_json: bool,
) -> None:
    """Measure MODEL (a shipped name or a model folder) on held-out audio.

    The codec's reconstruction, the priors' bits per token against a unigram baseline, and continuations of
    held-out primes against the song itself, another song, and noise.
    """
    from rich.console import Console

    from engine.evaluation.bars import bars
    from engine.evaluation.devices import resolve_device
    from engine.evaluation.report import show
    from engine.evaluation.run import EvalSettings, draw, evaluate_model
    from engine.request import LevelSampling, Sampling
    from engine.store import load_model

    usual = Sampling()  # as `segue continue` samples, but for the temperature
    levels = [
        LevelSampling.model_validate({**usual.level(number).model_dump(), "temperature": temperature})
        for number in range(3)
    ]
    if data is None and click.get_current_context().get_parameter_source("split") is ParameterSource.DEFAULT:
        split = "all"  # no song of the made corpus was ever trained on
    settings = EvalSettings.model_validate(
        {
            "primes": primes,
            "prime_seconds": prime_seconds,
            "seconds": seconds,
            "fidelity": fidelity,
            "sampling": Sampling(bottom=levels[0], middle=levels[1], top=levels[2]),
            "seed": seed,
            "split": split,
        }
    )
    loaded = load_model(model, device=resolve_device(device))
    with bars() as progress:
        if data is None:
            from engine.evaluation.default_corpus import default_corpus

            data = default_corpus(progress)
        evaluation = evaluate_model(loaded, data, settings, progress)
    written = [evaluation.report.write(out)]
    if plots:
        written += draw(evaluation, out)
    if as_json:
        click.echo(evaluation.report.model_dump_json(indent=2))
    else:
        width = max(shutil.get_terminal_size().columns, 120)
        show(evaluation.report, Console(width=width))
    click.echo("\n".join(f"wrote {path}" for path in written), err=as_json)
