"""``segue sample``: music from nothing but a style (ancestral sampling)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bridge.cli.making import loaded, make, takes_folder, tell_notes, tell_takes
from bridge.cli.options import (
    fidelity_option,
    json_option,
    length_options,
    lyrics_option,
    model_option,
    seed_option,
    style_option,
    takes_option,
)
from bridge.cli.wishes import DEFAULT_MODEL, wanted, wish_of
from bridge.osc.addresses import MAX_TAKES
from engine.errors import OutOfRange


@click.command()
@length_options
@style_option
@lyrics_option
@click.option(
    "--then", multiple=True, help='Another style from a bar on, "5:reggae", or from a time on, "8s:reggae".'
)
@click.option("--song-length", type=float, default=None, help="Length of the whole song in seconds.")
@click.option("--song-at", type=float, default=None, help="Where in the song it begins, in seconds.")
@click.option("--ending", is_flag=True, help="Play an ending: the take ends where the song does.")
@click.option("--takes", type=int, default=1, show_default=True, help="How many takes; take k has seed + k.")
@seed_option
@fidelity_option
@model_option
@takes_option("Takes folder.")
@json_option
def sample(
    takes: int,
    model: str | None,
    out: Path | None,
    as_json: bool,
    **shape: Any,
) -> None:
    """Make music from nothing but a style and file it as takes."""
    wish = wish_of(None, model=model, **shape)
    if not 1 <= takes <= MAX_TAKES:
        raise OutOfRange(f"--takes is {takes}; it must be from 1 to {MAX_TAKES}")
    backend = loaded(model or DEFAULT_MODEL, as_json)
    request = wanted(wish, backend, None).request
    tell_notes(request, backend.config)
    made = make(backend, request, takes_folder(out), takes=takes, quiet=as_json)
    tell_takes(made, request, as_json)
