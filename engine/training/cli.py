"""``segue train``: codecs and priors from a corpus or a user's folder of audio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from engine.errors import SegueError, TrainingError
from engine.training.options import (
    budget_options,
    finish,
    first_process,
    level_list,
    loop_settings,
    open_audio,
    open_codes,
    origin_of,
)
from engine.training.prior_cli import prior


@click.group()
def train() -> None:
    """Train a codec and priors, on a corpus or on your own folder of audio."""


train.add_command(prior)


@train.command()
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.option("--out", "run", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option(
    "--levels", callback=level_list, default="0,1,2", show_default=True, help="Levels, one after the other."
)
@click.option("--crop", type=click.IntRange(min=1), help="Samples per crop (default: by level).")
@click.option(
    "--restart",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="Codes used less than this part of the expected count are replaced.",
)
@click.option(
    "--from", "source", metavar="MODEL", help="Begin with this model's codec; levels left out stay as there."
)
@click.option(
    "--keep-codes",
    is_flag=True,
    help="With --from: train the decoders only. Codes stay the same, so the model's priors stay good.",
)
@click.option(
    "--loss",
    type=click.Choice(["model", "paper", "spectra"]),
    default="model",
    show_default=True,
    help="model: as the model of --from, else as the paper; spectra: how loud every pitch is before its phase.",
)
@click.option(
    "--even",
    is_flag=True,
    help="In the end take away the tone that trained decoders add, at the rate of the tokens and above.",
)
@click.option(
    "--as-loud",
    "equally_loud",
    is_flag=True,
    help="In the end scale the trained decoders so that DATA comes back as loud as it is.",
)
@click.option("--assemble", "only_assemble", is_flag=True, help="Only join the levels that are trained.")
@budget_options
def codec(
    data: Path | None,
    run: Path,
    levels: tuple[int, ...],
    crop: int | None,
    restart: float,
    source: str | None,
    keep_codes: bool,
    loss: str,
    even: bool,
    equally_loud: bool,
    only_assemble: bool,
    as_json: bool,
    plots: bool,
    cache: Path | None,
    **budget: Any,
) -> None:
    """Train levels of the codec on DATA; ends with RUN/codec.safetensors once every level is there."""
    from engine.codec.config import CodecConfig
    from engine.training import codec_trainer as trainer
    from engine.training.finishing import Finishing, finishing_crops
    from engine.training.starting import starting_codec

    if keep_codes and source is None:
        raise TrainingError("there are no codes to keep; name the model they are of with --from")
    if data is None and (even or equally_loud or not only_assemble):
        raise click.UsageError("DATA is missing; name a corpus folder or a folder of audio files")
    base, record = starting_codec(source) if source else (None, {})
    summaries: list[dict[str, Any]] = []
    if not only_assemble:
        assert data is not None
        how = {"restart_fraction": restart, "keep_codes": keep_codes, "plots": plots}
        summaries = _train_levels(data, run, levels, crop, base, loss, cache or run / "cache", budget, how)
    assembled = base is not None or not trainer.missing_levels(run)
    if (assembled or only_assemble) and first_process():
        finishing = None
        if even or equally_loud:
            assert data is not None
            config = CodecConfig() if base is None else base.config
            audio = open_audio(data, cache or run / "cache", config.sample_rate)
            rate, hop = config.sample_rate, config.hops[-1]
            finishing = Finishing(finishing_crops(audio, rate, hop), rate, hop, even, equally_loud)
        trainer.assemble(run, base, record, finishing)
    finish(summaries, {"codec": str(run / "codec.safetensors") if assembled else None}, as_json)


def _train_levels(
    data: Path,
    run: Path,
    levels: tuple[int, ...],
    crop: int | None,
    base: Any,
    loss: str,
    cache: Path,
    budget: dict[str, Any],
    how: dict[str, Any],
) -> list[dict[str, Any]]:
    from engine.codec.config import CodecConfig, for_spectra
    from engine.training import codec_trainer as trainer
    from engine.training.loop import make_accelerator

    config = CodecConfig() if base is None else base.config
    if loss != "model":
        config = config.with_losses_of(CodecConfig() if loss == "paper" else for_spectra(config))
    audio = open_audio(data, cache, config.sample_rate)
    shares = sum(trainer.LEVEL_SHARES[level] for level in levels)
    summaries = []
    for level in levels:
        minutes = budget["minutes"] and budget["minutes"] * trainer.LEVEL_SHARES[level] / shares
        settings = loop_settings(
            {**budget, "minutes": minutes}, batch=4, lr=1e-3, decay="cosine", precision="no"
        )
        summaries.append(
            trainer.train_level(
                level,
                config,
                audio,
                settings,
                crop or trainer.DEFAULT_CROPS[level],
                run,
                make_accelerator(settings),
                origin=origin_of(data),
                start=None if base is None else base.levels[level],
                **how,
            )
        )
        if summaries[-1]["signal"]:
            break
    return summaries


@train.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--codec", "codec_run", type=click.Path(path_type=Path), required=True, help="Folder of the codec run."
)
@click.option("--codes", type=click.Path(path_type=Path), help="Where codes go (default: CODEC/codes).")
@click.option("--levels", callback=level_list, default="0,1,2", show_default=True)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes of one thread each (on the CPU).",
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--cache", type=click.Path(path_type=Path), help="Decoded audio (default: CODEC/cache).")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
def encode(
    data: Path,
    codec_run: Path,
    codes: Path | None,
    levels: tuple[int, ...],
    jobs: int,
    device: str,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Encode DATA with a trained codec, ahead of training priors on it."""
    store = open_codes(data, codec_run, codes, cache, levels, jobs, device)
    tokens = sum(song.tokens for song in store.index.songs)
    summary = {
        "songs": len(store.index.songs),
        "seconds": round(tokens * store.index.hops[-1] / store.index.rate, 1),
        "tokens": {level: tokens * store.ratio(level) for level in store.index.levels},
    }
    finish([], {"codes": str(store.folder), **(summary if as_json else {})}, as_json)


@train.command()
@click.option(
    "--codec", "codec_run", type=click.Path(path_type=Path), required=True, help="Folder of the codec run."
)
@click.option(
    "--prior",
    "prior_runs",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folder of a prior run; once per level.",
)
@click.option(
    "--from", "source", metavar="MODEL", help="A model with the same codes; its priors where no run is named."
)
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), required=True, help="Model folder to write."
)
@click.option("--name", help="Name of the model (default: that of the folder).")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
def export(
    codec_run: Path,
    prior_runs: tuple[Path, ...],
    source: str | None,
    folder: Path,
    name: str | None,
    as_json: bool,
) -> None:
    """Join a codec run and a prior per level into a model folder."""
    from engine.training.export import export_model

    config = export_model(codec_run, list(prior_runs), folder, name or folder.name, source)
    sizes = {file.name: file.stat().st_size for file in sorted(folder.glob("*.safetensors"))}
    summary = {"bytes": sizes, "artists": len(config.artists), "genres": len(config.genres)}
    finish([], {"model": str(folder), **(summary if as_json else {})}, as_json)


if __name__ == "__main__":
    try:
        train(standalone_mode=True)
    except SegueError as failure:
        click.echo(f"segue: {failure}", err=True)
        raise SystemExit(2) from failure
