"""``segue train prior``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from engine.errors import TrainingError
from engine.training.options import (
    LEVELS,
    budget_options,
    finish,
    first_process,
    loop_settings,
    open_codes,
    origin_of,
)

_LYRIC_DEPTH = 4
# Options that decide what the prior is.
_FORM = (
    *("width", "depth", "heads", "pulse", "style_signal"),
    *("characters", "lyric_order", "lyric_width", "lyric_depth"),
)


@click.command()
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.option("--level", type=click.IntRange(0, LEVELS - 1), required=True, help="0 bottom, 1 middle, 2 top.")
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
@click.option("--from", "source", help="Begin with the weights of an earlier run's folder, or of a model.")
@click.option(
    "--lyrics",
    "characters",
    type=click.IntRange(min=16),
    help="Read so many characters of lyrics a window (song.txt or song.lrc beside song.wav).",
)
@click.option(
    "--lyric-order",
    type=click.Choice(["6", "7", "8", "10"]),
    default="6",
    show_default=True,
    help="Where blocks that read lyrics stand: 6 after every third, 8 after every ninth, 7, 10 as released.",
)
@click.option("--lyric-width", type=click.IntRange(min=8), help="Width of the lyric encoder (default: half).")
@click.option("--lyric-depth", type=click.IntRange(min=1), default=_LYRIC_DEPTH, show_default=True)
@click.option(
    "--guided",
    type=click.FloatRange(min=0.0),
    default=0.0,
    show_default=True,
    help="Weight of leading the attention to the character that is sung, where song.lrc says when.",
)
@click.option(
    "--pulse", is_flag=True, help="Tell the top prior the bar's phase, the tempo and the key of every song."
)
@click.option(
    "--style",
    "style_signal",
    is_flag=True,
    help="Tell the top prior the style at every position of a window.",
)
@click.option("--optimizer", type=click.Choice(["muon", "adamw"]), default="muon", show_default=True)
@budget_options
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
    source: str | None,
    optimizer: Any,
    guided: float,
    **options: Any,
) -> None:
    """Train the prior of one level on DATA, encoded by the codec of the run CODEC.

    Without DATA the codes that are already there are used. With --from and --lyrics a trained prior is given
    lyrics: it begins by saying what it said before.
    """
    from engine.training import prior_trainer as trainer
    from engine.training.guidance import check_guided
    from engine.training.loop import make_accelerator
    from engine.training.precision import fast_precision
    from engine.training.starting import starting_prior

    form = {name: options.pop(name) for name in _FORM}
    precision = fast_precision(options["device"])
    settings = loop_settings(options, batch=4, lr=1e-3, decay="linear", precision=precision)
    accelerator = make_accelerator(settings)
    levels = (level,) if level == LEVELS - 1 else (level, level + 1)
    store = open_codes(data, codec_run, codes, cache, levels, jobs, settings.device)
    shape = {name: form[name] for name in ("width", "depth", "heads") if form[name]}
    if source and shape:
        raise click.UsageError("--from has its own width, depth and heads; leave those options out")
    start = starting_prior(source, level, store) if source else None
    config = start.config if start else trainer.prior_config(store, level, **shape)
    config, start = _formed(config, start, form, settings.seed)
    lyrics = lyrics_for(data, store, config)
    if guided:
        check_guided(config, lyrics)
    summary = trainer.train_prior(
        config,
        store,
        settings,
        run,
        accelerator,
        plots=plots,
        origin=origin_of(data),
        optimizer=optimizer,
        start=start,
        lyrics=lyrics,
        pulses=pulses_for(data, store, config),
        guided=guided,
    )
    finish([summary], {"prior": str(run / f"prior_{level}.safetensors")}, as_json)


def _formed(config: Any, start: Any, form: dict[str, Any], seed: int) -> tuple[Any, Any]:
    """The shape with the signals and lyrics that are asked for, and the prior that training begins with, or None."""
    from engine.prior.config import PulseConfig

    if form["pulse"]:
        config = _changed(config, pulse=PulseConfig().model_dump())
    if form["style_signal"]:
        config = _changed(config, style_signal=True)
    if not form["characters"]:
        return config, start
    width = form["lyric_width"] or config.width // 2
    order, depth = int(form["lyric_order"]), form["lyric_depth"]
    return _with_lyrics(config, start, form["characters"], order, width, depth, seed)


def _with_lyrics(
    config: Any, start: Any, characters: int, order: int, width: int, depth: int, seed: int
) -> tuple[Any, Any]:
    """The shape with lyrics, and the prior that training begins with: ``start`` after surgery, or None."""
    from pydantic import ValidationError

    from engine.prior.config import EncoderConfig, LyricsConfig
    from engine.training.surgery import give_lyrics, with_lyrics

    blocks = max(b for b in range(1, 33) if characters % b == 0)
    heads = max(h for h in (1, 2, 4) if width % h == 0)
    try:
        encoder = EncoderConfig(width=width, depth=depth, heads=heads, blocks=blocks, m_attn=1.0)
        lyrics = LyricsConfig(tokens=characters, encoder=encoder)
    except ValidationError as error:
        raise TrainingError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error
    if start is None:
        return with_lyrics(config, lyrics, order), None
    made = give_lyrics(start, lyrics, order, seed)
    return made.config, made


def _changed(config: Any, **changes: Any) -> Any:
    from pydantic import ValidationError

    from engine.prior.config import PriorConfig

    try:
        return PriorConfig.model_validate({**config.model_dump(), **changes})
    except ValidationError as error:
        raise TrainingError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def pulses_for(data: Path | None, store: Any, config: Any) -> Any:
    """The pulse of every song of ``store``, heard in or written in ``data``; None for a prior that is not told it."""
    if config.pulse is None:
        return None
    from engine.training.metrics import Display
    from engine.training.pulses import pulses_of

    if data is None:
        raise TrainingError(
            "DATA is missing; a prior that is told the pulse needs the folder its songs lie in"
        )
    count, done = len(store.index.songs), 0
    with Display("hearing the pulse", first_process()) as display:

        def tick() -> None:
            nonlocal done
            done += 1
            display.show(done / count, f"{done}/{count} songs")

        return pulses_of(data, store.index.songs, store.index.rate, tick)


def lyrics_for(data: Path | None, store: Any, config: Any) -> Any:
    """The lyrics of every song of ``store``, as they lie in ``data``; None for a prior that reads none."""
    if config.lyrics is None:
        return None
    from engine.training.lyrics import lyrics_beside

    if data is None:
        raise TrainingError("DATA is missing; a prior that reads lyrics needs the folder they lie in")
    return lyrics_beside(data, store.index.songs, config.lyrics, store.index.rate)
