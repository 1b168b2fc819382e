"""``segue train``: codecs and priors from a corpus or a user's folder of audio."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import click

from engine.errors import OutOfRange, SegueError

_LEVELS = 3


def _levels(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) < _LEVELS for part in parts):
        raise click.BadParameter(f"'{text}' names no levels; use numbers from 0 to {_LEVELS - 1}, as in 0,1,2")
    return tuple(sorted({int(part) for part in parts}))


def _budget(command: Any) -> Any:
    """The options that every training command shares."""
    options = [
        click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Wall time, all resumes together."),
        click.option("--steps", type=click.IntRange(min=1), help="Number of steps (per level)."),
        click.option("--batch", type=click.IntRange(min=1), help="Items per step and process."),
        click.option("--lr", type=click.FloatRange(min=0, min_open=True), help="Peak learning rate."),
        click.option("--threads", type=click.IntRange(min=1), help="CPU threads."),
        click.option("--seed", type=click.IntRange(min=0, max=2**31 - 1), default=0, show_default=True),
        click.option("--precision", type=click.Choice(["no", "bf16", "fp16"]), help="Mixed precision."),
        click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True),
        click.option("--checkpoint-minutes", type=click.FloatRange(min=0), default=3.0, show_default=True),
        click.option("--evaluate-minutes", type=click.FloatRange(min=0), default=2.0, show_default=True),
        click.option(
            "--resume", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True,
            help="auto: go on if the arguments agree; always: go on with the new ones; never: start over.",
        ),
        click.option("--cache", type=click.Path(path_type=Path), help="Decoded audio (default: RUN/cache)."),
        click.option("--plots/--no-plots", default=True, show_default=True),
        click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def train() -> None:
    """Train a codec and priors, on a corpus or on your own folder of audio."""


@train.command()
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.option("--out", "run", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--levels", callback=_levels, default="0,1,2", show_default=True, help="Levels, one after the other.")
@click.option("--crop", type=click.IntRange(min=1), help="Samples per crop (default: by level).")
@click.option("--restart", type=click.FloatRange(0, 1), default=0.2, show_default=True,
              help="Codes used less than this part of the expected count are replaced.")
@click.option("--assemble", "only_assemble", is_flag=True, help="Only join the levels that are trained.")
@_budget
def codec(
    data: Path | None, run: Path, levels: tuple[int, ...], crop: int | None, restart: float, only_assemble: bool,
    as_json: bool, plots: bool, cache: Path | None, **budget: Any,
) -> None:  # fmt: skip
    """Train levels of the codec on DATA; ends with RUN/codec.safetensors once every level is there."""
    from engine.training import codec_trainer as trainer

    summaries: list[dict[str, Any]] = []
    if not only_assemble:
        if data is None:
            raise click.UsageError("DATA is missing; name a corpus folder or a folder of audio files")
        summaries = _train_levels(data, run, levels, crop, restart, plots, cache or run / "cache", budget)
    assembled = not trainer.missing_levels(run)
    if assembled or only_assemble:
        trainer.assemble(run)
    _finish(summaries, {"codec": str(run / "codec.safetensors") if assembled else None}, as_json)


def _train_levels(
    data: Path, run: Path, levels: tuple[int, ...], crop: int | None, restart: float, plots: bool, cache: Path,
    budget: dict[str, Any],
) -> list[dict[str, Any]]:  # fmt: skip
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
                level, config, audio, settings, crop or trainer.DEFAULT_CROPS[level], run, make_accelerator(settings),
                restart_fraction=restart, plots=plots,
            )
        )  # fmt: skip
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

    with Display("reading audio") as display:
        cache = open_cache(data, folder, rate, lambda done, total: display.show(done / total, f"{done}/{total} files"))
        for skipped in cache.index.skipped:
            display.say(f"left out: {skipped.reason}")
        hours = (cache.seconds("train") / 3600, cache.seconds("held-out") / 60)
        display.say(f"{len(cache.index.songs)} songs, {hours[0]:.2f} h to train on, {hours[1]:.1f} min held out")
    return cache


def _finish(summaries: list[dict[str, Any]], files: dict[str, Any], as_json: bool) -> None:
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
