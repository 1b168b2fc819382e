"""What the training commands share: options, and the steps from a folder of audio to codes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from engine.errors import OutOfRange

LEVELS = 3


def level_list(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    """Levels as in ``0,2``, sorted, each once."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) < LEVELS for part in parts):
        raise click.BadParameter(f"'{text}' names no levels; use numbers from 0 to {LEVELS - 1}, as in 0,1,2")
    return tuple(sorted({int(part) for part in parts}))


def budget_options(command: Any) -> Any:
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
        click.option(
            "--precision",
            type=click.Choice(["no", "bf16", "fp16"]),
            help="Mixed precision (default of priors: bf16 where it is fast).",
        ),
        click.option(
            "--compile", is_flag=True, help="Have torch compile the model first (wants a C compiler)."
        ),
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


def loop_settings(budget: dict[str, Any], **defaults: Any) -> Any:
    """The validated settings of the training loop from the shared options; options left out take ``defaults``."""
    from pydantic import ValidationError

    from engine.training.loop import LoopSettings

    given = {name: value for name, value in budget.items() if value is not None}
    try:
        return LoopSettings(**{**defaults, **given})
    except ValidationError as error:
        raise OutOfRange(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def open_audio(data: Path, folder: Path, rate: int, artist: str = "unknown") -> Any:
    """The decoded audio of DATA, kept in ``folder``; says how much there is and what was left out. ``artist``: of
    files whose artist nothing says."""
    from engine.training.cache import open_cache
    from engine.training.metrics import Display

    with Display("reading audio", first_process()) as display:
        cache = open_cache(
            data,
            folder,
            rate,
            lambda done, total: display.show(done / total, f"{done}/{total} files"),
            artist,
        )
        for skipped in cache.index.skipped:
            display.say(f"left out: {skipped.reason}")
        hours = (cache.seconds("train") / 3600, cache.seconds("held-out") / 60)
        display.say(
            f"{len(cache.index.songs)} songs, {hours[0]:.2f} h to train on, {hours[1]:.1f} min held out"
        )
    return cache


def origin_of(data: Path | None) -> dict[str, str]:
    """What the record says of where a run came from: data and command, without the folders of this machine."""
    from engine.commandline import spoken

    words = sys.argv[1:]
    return {
        "data": data.resolve().name if data else "codes",
        "command": spoken(
            ["segue", "train", *(words[words.index("train") + 1 :] if "train" in words else words)]
        ),
    }


def open_codes(
    data: Path | None,
    codec_run: Path,
    folder: Path | None,
    cache: Path | None,
    levels: Any,
    jobs: int,
    device: str,
) -> Any:
    """The codes of DATA by the codec of a run, encoded as far as they are not there; without DATA, those that are."""
    import torch

    from engine.training.codec_trainer import load_codec
    from engine.training.codes import encode_corpus, read_codes
    from engine.training.metrics import Display

    codes_folder = folder or codec_run / "codes"
    if data is None:
        return read_codes(codes_folder, levels)
    audio_folder = cache or codec_run / "cache"
    audio = open_audio(data, audio_folder, load_codec(codec_run).config.sample_rate)
    on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    with Display("encoding", first_process()) as display:
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


def first_process() -> bool:
    """Whether this is the only process or the first of several that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def finish(summaries: list[dict[str, Any]], files: dict[str, Any], as_json: bool) -> None:
    """Print what was made; ends with 128 + signal when a run was stopped by one."""
    if not first_process():
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
