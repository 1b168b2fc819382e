"""`segue eval`: how good a model is, in figures."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from engine.evaluation.run import Evaluation
    from engine.evaluation.settings import EvalSettings

SPLITS = ("held-out", "train", "all")
FIDELITIES = ("draft", "fine", "full")
BACKENDS = ("auto", "torch", "onnx")


@click.command()
@click.argument("model", default="starter")
@click.option(
    "--data",
    "--on",
    "data",
    type=click.Path(path_type=Path),
    help="Corpus or folder of audio. Default: a small corpus made for the purpose, kept in the user's cache.",
)
@click.option("--primes", default=12, show_default=True, help="Primes to continue; 0 for none.")
@click.option("--prime-seconds", default=6.0, show_default=True, help="Length of a prime.")
@click.option("--seconds", default=8.0, show_default=True, help="Length of a continuation.")
@click.option("--bars", type=float, help="Length of a continuation in bars, instead of --seconds.")
@click.option("--fidelity", type=click.Choice(FIDELITIES), default="draft", show_default=True)
@click.option("--temperature", default=0.98, show_default=True, help="Sampling temperature of every level.")
@click.option(
    "--pulse",
    "told",
    type=click.Choice(("heard", "known")),
    default="heard",
    show_default=True,
    help="What requests state: nothing, or tempo, bar and key of the song's metadata, as a DAW knows them.",
)
@click.option("--long", default=0, show_default=True, help="Primes that are also continued for a minute.")
@click.option("--long-seconds", default=60.0, show_default=True, help="Length of those.")
@click.option(
    "--then",
    is_flag=False,
    flag_value=1000,
    default=0,
    help="Also change the style half way: of N primes, or of all.",
)
@click.option("--style/--no-style", default=True, show_default=True, help="Judge genres by a classifier.")
@click.option(
    "--codes",
    type=click.Path(path_type=Path),
    help="The training's folder of codes: copies are looked for in all of it (default: in a few other songs).",
)
@click.option(
    "--split", type=click.Choice(SPLITS), default="held-out", show_default=True, help="Part of the data."
)
@click.option("--seed", default=0, show_default=True, help="Decides excerpts, primes and sampling.")
@click.option("--device", type=click.Choice(("auto", "cpu", "cuda")), default="auto", show_default=True)
@click.option(
    "--backend", type=click.Choice(BACKENDS), default="auto", show_default=True, help="What continues primes."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/eval"),
    show_default=True,
    help="Where eval.json goes; continuations are kept there, and a run that was stopped goes on.",
)
@click.option(
    "--plots", is_flag=True, help="Pictures of the best, median and worst continuation, and of all."
)
@click.option(
    "--examples", default=0, show_default=True, help="Pictures with beats of N takes, the weakest among them."
)
@click.option("--page", is_flag=True, help="A page with players: OUT/page/index.html.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of tables.")
def evaluate(
    model: str, data: Path | None, device: str, backend: str, codes: Path | None, out: Path, **given: Any
) -> None:
    """Measure MODEL (a shipped name or a model folder) on held-out audio, or on any folder.

    The codec's reconstruction, the priors' bits per token with and without all that they are told, and continuations
    of held-out primes (tempo, beat, key, loudness, style, copies) against the song itself, another song, and noise.
    """
    from engine.backends.choose import open_backend
    from engine.evaluation.bars import bars
    from engine.evaluation.devices import resolve_device
    from engine.evaluation.run import Beside, evaluate_model
    from engine.store import load_model

    if data is None and click.get_current_context().get_parameter_source("split") is ParameterSource.DEFAULT:
        given["split"] = "all"  # no song of the made corpus was ever trained on
    settings = _settings(given)
    where = resolve_device(device)
    loaded = load_model(model, device=where)
    runtime = open_backend(model, backend, device=device) if settings.primes else None  # type: ignore[arg-type]
    with bars() as progress:
        if data is None:
            from engine.evaluation.default_corpus import default_corpus

            data = default_corpus(progress)

        def styles() -> Path:
            from engine.evaluation.default_corpus import style_corpus

            return style_corpus(progress)

        from_corpus = (data / "corpus.json").is_file()
        beside = Beside(runtime, out, codes, styles if from_corpus else None)
        evaluation = evaluate_model(loaded, data, settings, progress, beside)
    written = [evaluation.report.write(out), *_drawn(evaluation, out, given)]
    _say(evaluation, written, given["as_json"])


def _settings(given: dict[str, Any]) -> EvalSettings:
    from engine.evaluation.settings import EvalSettings
    from engine.request import LevelSampling, Sampling

    usual = Sampling()  # as `segue continue` samples, but for the temperature
    levels = [
        LevelSampling.model_validate(
            {**usual.level(number).model_dump(), "temperature": given["temperature"]}
        )
        for number in range(3)
    ]
    names = [name for name in EvalSettings.model_fields if name != "sampling"]
    sampling = Sampling(bottom=levels[0], middle=levels[1], top=levels[2])
    return EvalSettings.model_validate({**{name: given[name] for name in names}, "sampling": sampling})


def _drawn(evaluation: Evaluation, out: Path, given: dict[str, Any]) -> list[Path]:
    """Pictures and page, as far as they were asked for."""
    continued = evaluation.report.continuations
    if continued is None:
        return []
    from engine.evaluation.page import write_page
    from engine.evaluation.pictures import draw_examples, draw_extremes

    paths = []
    if given["plots"]:
        paths += draw_extremes(evaluation.judged, continued.primes, evaluation.rate, out)
    if given["examples"]:
        paths += draw_examples(
            evaluation.judged, continued.primes, evaluation.rate, out / "examples", given["examples"]
        )
    if given["page"]:
        paths.append(write_page(evaluation, out / "page"))
    return paths


def _say(evaluation: Evaluation, written: list[Path], as_json: bool) -> None:
    from rich.console import Console

    from engine.evaluation.tables import show

    if as_json:
        click.echo(evaluation.report.model_dump_json(indent=2))
    else:
        width = max(shutil.get_terminal_size().columns, 140)
        show(evaluation.report, Console(width=width))
    click.echo("\n".join(f"wrote {path}" for path in written), err=as_json)
