"""``segue continue``: the same takes as the engine process makes, offline and in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.making import figures, line, loaded, make, takes_folder, tell_notes
from bridge.cli.options import json_option, length_options, lyrics_option, model_option, style_option
from bridge.cli.wishes import checked_source, model_of, resolved, wanted, wish_of
from bridge.osc.addresses import MAX_TAKES
from engine.errors import OutOfRange
from engine.request import Fidelity

if TYPE_CHECKING:
    from engine.take import Take

MIN_CHUNK, MAX_CHUNK = 64, 1 << 20
MAX_LANES = 64


@click.command("continue")
@click.argument("riff", type=click.Path(path_type=Path))
@length_options
@style_option
@click.option(
    "--then", multiple=True, help='Another style from a bar on, "5:reggae", or from a time on, "8s:reggae".'
)
@lyrics_option
@click.option("--song-length", type=float, default=None, help="Length of the whole song in seconds.")
@click.option("--song-at", type=float, default=None, help="Where in the song the prime begins, in seconds.")
@click.option("--ending", is_flag=True, help="Play the ending: the continuation ends where the song does.")
@click.option("--takes", type=int, default=1, show_default=True, help="How many takes; take k has seed + k.")
@click.option(
    "--seed", type=int, default=None, help="Seed; the same one gives the same take. [default: a new one]"
)
@click.option("--fidelity", default=str(Fidelity.FULL), show_default=True, help="draft, fine or full.")
@model_option
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Takes folder.")
@click.option("--start", type=float, default=0.0, help="Where the prime begins in the file, in seconds.")
@click.option(
    "--length",
    type=float,
    default=None,
    help="Length of the prime in seconds; of a take: how much of it is kept. [default: to the end]",
)
@click.option(
    "--from-bar",
    type=float,
    default=None,
    help="Of a take: go on from the beginning of this bar of it, counted from 1. [default: from its end]",
)
@click.option(
    "--chunk", type=int, default=4096, show_default=True, help="Frames of audio per step; changes no sample."
)
@click.option(
    "--lanes",
    type=int,
    default=None,
    help="Windows and takes sampled in step; changes no sample. [default: 8, or as many as there are takes]",
)
@click.option(
    "--exact", is_flag=True, help="Sample every window after the one before it, as in the paper: slower."
)
@click.option(
    "--plots", is_flag=True, help="Draw prime and continuation into each take's folder (picture.png)."
)
@json_option
def continue_(
    riff: Path,
    takes: int,
    model: str | None,
    out: Path | None,
    chunk: int,
    lanes: int | None,
    plots: bool,
    as_json: bool,
    **shape: Any,
) -> None:
    """Continue RIFF, an audio file or a take (its folder, number or name), and file the result as takes; nothing is
    played.

    An audio file is encoded; a take goes on from its codes.
    """
    wish = wish_of(resolved(riff, out), model=model, **shape)
    _check_takes(takes, chunk, lanes)
    parent = checked_source(wish)
    backend = loaded(model_of(model, parent), as_json)
    asked = wanted(wish, backend, parent)
    made = make(
        backend,
        asked.request,
        takes_folder(out),
        takes=takes,
        chunk=chunk,
        lanes=lanes,
        prime=asked.prime,
        quiet=as_json,
    )
    notes = tell_notes(asked.request, backend.config)
    pictures = {take.folder: _picture(take, riff.name) for take in made} if plots else {}
    if as_json:
        told = {
            "model": asked.request.model,
            "bpm": asked.request.bpm,
            "bars": asked.request.bars,
            "notes": notes,
            "takes": [figures(take, pictures.get(take.folder)) for take in made],
        }
        click.echo(json.dumps(told, indent=2))
        return
    for take in made:
        click.echo(line(take))
        if take.folder in pictures:
            click.echo(f"{pictures[take.folder]}")


def _check_takes(takes: int, chunk: int, lanes: int | None) -> None:
    if not 1 <= takes <= MAX_TAKES:
        raise OutOfRange(f"--takes is {takes}; it must be from 1 to {MAX_TAKES}")
    if not MIN_CHUNK <= chunk <= MAX_CHUNK:
        raise OutOfRange(f"--chunk is {chunk}; it must be from {MIN_CHUNK} to {MAX_CHUNK} frames")
    if lanes is not None and not 1 <= lanes <= MAX_LANES:
        raise OutOfRange(f"--lanes is {lanes}; it must be from 1 to {MAX_LANES}")


def _picture(take: Take, name: str) -> Path:
    """Waveform and spectrogram of the end of the prime and of the continuation."""
    from engine.analysis.spectrogram import plot_continuation

    continuation, prime = take.audio(), take.prime().mono_samples()
    title = f"{name}, continued (seed {take.info.head.request.seed})"
    shown = prime[-continuation.frames :]  # no more of the prime than of what was made of it
    return plot_continuation(
        shown, continuation.mono_samples(), continuation.rate, take.folder / "picture.png", title
    )
