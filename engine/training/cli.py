"""``segue train``: codecs and priors from a corpus or a user's folder of audio."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from engine.errors import OutOfRange, SegueError

_LEVELS = 3


def _levels(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) < _LEVELS for part in parts):
        raise click.BadParameter(
            f"'{text}' names no levels; use numbers from 0 to {_LEVELS - 1}, as in 0,1,2"
        )
    return tuple(sorted({int(part) for part in parts}))


def _budget(command: Any) -> Any:
    """The options that every training command shares."""
    options = [
        click.option(
            "--minutes", type=click.FloatRange(min=0, min_open=True), help="Wall time, all resumes together."
        ),
        click.option("--steps", type=click.IntRange(min=1), help="Number of steps (per level)."),
        click.option("--batch", type=click.IntRange(min=1), help="Items per step and process."),
        click.option("--lr", type=click.FloatRange(min=0, min_open=True), help="Peak learning rate."),
        click.option("--threads", type=click.IntRange(min=1), help="CPU threads."),
        click.option("--seed", type=click.IntRange(min=0, max=2**31 - 1), default=0, show_default=True),
        click.option("--precision", type=click.Choice(["no", "bf16", "fp16"]), help="Mixed precision."),
        click.option(
            "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
        ),
        click.option("--checkpoint-minutes", type=click.FloatRange(min=0), default=3.0, show_default=True),
        click.option("--evaluate-minutes", type=click.FloatRange(min=0), default=2.0, show_default=True),
        click.option(
            "--resume",
            type=click.Choice(["auto", "always", "never"]),
            default="auto",
            show_default=True,
            help="auto: go on if the arguments agree; always: go on with the new ones; never: start over.",
        ),
        click.option(
            "--cache", type=click.Path(path_type=Path), help="Decoded audio (default: in the codec run)."
        ),
        click.option("--plots/--no-plots", default=True, show_default=True),
        click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def train() -> None:
    """Train a codec and priors, on a corpus or on your own folder of audio."""


@train.command()
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.option("--out", "run", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option(
    "--levels", callback=_levels, default="0,1,2", show_default=True, help="Levels, one after the other."
)
@click.option("--crop", type=click.IntRange(min=1), help="Samples per crop (default: by level).")
@click.option(
    "--restart",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="Codes used less than this part of the expected count are replaced.",
)
@click.option("--assemble", "only_assemble", is_flag=True, help="Only join the levels that are trained.")
@_budget
def codec(
    data: Path | None,
    run: Path,
    levels: tuple[int, ...],
    crop: int | None,
    restart: float,
    only_assemble: bool,
    as_json: bool,
    plots: bool,
    cache: Path | None,
    **budget: Any,
) -> None:
    """Train levels of the codec on DATA; ends with RUN/codec.safetensors once every level is there."""
    from engine.training import codec_trainer as trainer

    summaries: list[dict[str, Any]] = []
    if not only_assemble:
        if data is None:
            raise click.UsageError("DATA is missing; name a corpus folder or a folder of audio files")
        summaries = _train_levels(data, run, levels, crop, restart, plots, cache or run / "cache", budget)
    assembled = not trainer.missing_levels(run)
    if (assembled or only_assemble) and _first_process():
        trainer.assemble(run)
    _finish(summaries, {"codec": str(run / "codec.safetensors") if assembled else None}, as_json)


def _train_levels(
    data: Path,
    run: Path,
    levels: tuple[int, ...],
    crop: int | None,
    restart: float,
    plots: bool,
    cache: Path,
    budget: dict[str, Any],
) -> list[dict[str, Any]]:
    from engine.codec.config import CodecConfig
    from engine.training import codec_trainer as trainer
    from engine.training.loop import make_accelerator

    config = CodecConfig()
    audio = _open_cache(data, cache, config.sample_rate)
    shares = sum(trainer.LEVEL_SHARES[level] for level in levels)
    summaries = []
    for level in levels:
        minutes = budget["minutes"] and budget["minutes"] * trainer.LEVEL_SHARES[level] / shares
        settings = _settings({**budget, "minutes": minutes}, batch=4, lr=1e-3, decay="cosine", precision="no")
        summaries.append(
            trainer.train_level(
                level,
                config,
                audio,
                settings,
                crop or trainer.DEFAULT_CROPS[level],
                run,
                make_accelerator(settings),
                restart_fraction=restart,
                plots=plots,
                origin=_origin(data),
            )
        )
        if summaries[-1]["signal"]:
            break
    return summaries


def _settings(budget: dict[str, Any], **defaults: Any) -> Any:
    from pydantic import ValidationError

    from engine.training.loop import LoopSettings

    given = {name: value for name, value in budget.items() if value is not None}
    try:
        return LoopSettings(**{**defaults, **given})
    except ValidationError as error:
        raise OutOfRange(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def _open_cache(data: Path, folder: Path, rate: int) -> Any:
    from engine.training.cache import open_cache
    from engine.training.metrics import Display

    with Display("reading audio", _first_process()) as display:
        cache = open_cache(
            data, folder, rate, lambda done, total: display.show(done / total, f"{done}/{total} files")
        )
        for skipped in cache.index.skipped:
            display.say(f"left out: {skipped.reason}")
        hours = (cache.seconds("train") / 3600, cache.seconds("held-out") / 60)
        display.say(
            f"{len(cache.index.songs)} songs, {hours[0]:.2f} h to train on, {hours[1]:.1f} min held out"
        )
    return cache


def _origin(data: Path | None) -> dict[str, str]:
    from engine.commandline import spoken

    words = sys.argv[1:]
    return {
        "data": data.resolve().name if data else "codes",
        "command": spoken(
            ["segue", "train", *(words[words.index("train") + 1 :] if "train" in words else words)]
        ),
    }


def _codes(
    data: Path | None,
    codec_run: Path,
    folder: Path | None,
    cache: Path | None,
    levels: Any,
    jobs: int,
    device: str,
) -> Any:
    import torch

    from engine.training.codec_trainer import load_codec
    from engine.training.codes import encode_corpus, read_codes
    from engine.training.metrics import Display

    codes_folder = folder or codec_run / "codes"
    if data is None:
        return read_codes(codes_folder, levels)
    audio_folder = cache or codec_run / "cache"
    audio = _open_cache(data, audio_folder, load_codec(codec_run).config.sample_rate)
    on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    with Display("encoding", _first_process()) as display:
        return encode_corpus(
            audio,
            audio_folder,
            codec_run,
            codes_folder,
            levels,
            jobs,
            "cuda" if on_gpu else "cpu",
            lambda done, total: display.show(done / total, f"{done}/{total} songs"),
        )


@train.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--codec", "codec_run", type=click.Path(path_type=Path), required=True, help="Folder of the codec run."
)
@click.option("--codes", type=click.Path(path_type=Path), help="Where codes go (default: CODEC/codes).")
@click.option("--levels", callback=_levels, default="0,1,2", show_default=True)
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes (on the CPU)."
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
    store = _codes(data, codec_run, codes, cache, levels, jobs, device)
    tokens = sum(song.tokens for song in store.index.songs)
    summary = {
        "songs": len(store.index.songs),
        "seconds": round(tokens * store.index.hops[-1] / store.index.rate, 1),
        "tokens": {level: tokens * store.ratio(level) for level in store.index.levels},
    }
    _finish([], {"codes": str(store.folder), **(summary if as_json else {})}, as_json)


@train.command()
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.option(
    "--level", type=click.IntRange(0, _LEVELS - 1), required=True, help="0 bottom, 1 middle, 2 top."
)
@click.option(
    "--codec", "codec_run", type=click.Path(path_type=Path), required=True, help="Folder of the codec run."
)
@click.option("--out", "run", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--codes", type=click.Path(path_type=Path), help="Where codes are kept (default: CODEC/codes).")
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes for encoding."
)
@click.option(
    "--width", type=click.IntRange(min=1), help="Width of the transformer (default: the starter's)."
)
@click.option("--depth", type=click.IntRange(min=1), help="Number of layers (default: the starter's).")
@click.option("--heads", type=click.IntRange(min=1), help="Attention heads (default: the starter's).")
@_budget
def prior(
    data: Path | None,
    level: int,
    codec_run: Path,
    run: Path,
    codes: Path | None,
    jobs: int,
    as_json: bool,
    plots: bool,
    cache: Path | None,
    width: int | None,
    depth: int | None,
    heads: int | None,
    **budget: Any,
) -> None:
    """Train the prior of one level on DATA, encoded by the codec of the run CODEC.

    Without DATA the codes that are already there are used.
    """
    from engine.training import prior_trainer as trainer
    from engine.training.loop import make_accelerator

    settings = _settings(budget, batch=4, lr=1e-3, decay="linear", precision="bf16")
    accelerator = make_accelerator(settings)
    levels = (level,) if level == _LEVELS - 1 else (level, level + 1)
    store = _codes(data, codec_run, codes, cache, levels, jobs, settings.device)
    shape = {name: value for name, value in (("width", width), ("depth", depth), ("heads", heads)) if value}
    config = trainer.prior_config(store, level, **shape)
    summary = trainer.train_prior(
        config, store, settings, run, accelerator, plots=plots, origin=_origin(data)
    )
    _finish([summary], {"prior": str(run / f"prior_{level}.safetensors")}, as_json)


@train.command()
@click.option(
    "--codec", "codec_run", type=click.Path(path_type=Path), required=True, help="Folder of the codec run."
)
@click.option(
    "--prior",
    "prior_runs",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Folder of a prior run; once per level.",
)
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), required=True, help="Model folder to write."
)
@click.option("--name", help="Name of the model (default: that of the folder).")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
def export(
    codec_run: Path, prior_runs: tuple[Path, ...], folder: Path, name: str | None, as_json: bool
) -> None:
    """Join a codec run and a prior run per level into a model folder."""
    from engine.training.export import export_model

    config = export_model(codec_run, list(prior_runs), folder, name or folder.name)
    sizes = {file.name: file.stat().st_size for file in sorted(folder.glob("*.safetensors"))}
    summary = {"bytes": sizes, "artists": len(config.artists), "genres": len(config.genres)}
    _finish([], {"model": str(folder), **(summary if as_json else {})}, as_json)


def _first_process() -> bool:
    """Whether this is the only process or the first of several that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def _finish(summaries: list[dict[str, Any]], files: dict[str, Any], as_json: bool) -> None:
    if not _first_process():
        return
    if as_json:
        click.echo(json.dumps({"runs": summaries, **files}, indent=1))
    else:
        for name, path in files.items():
            if path:
                click.echo(f"{name}: {path}")
    stopped = next((summary["signal"] for summary in summaries if summary["signal"]), 0)
    if stopped:
        click.echo("stopped; the same command goes on from here", err=True)
        raise SystemExit(128 + stopped)


if __name__ == "__main__":
    try:
        train(standalone_mode=True)
    except SegueError as failure:
        click.echo(f"segue: {failure}", err=True)
        raise SystemExit(2) from failure
