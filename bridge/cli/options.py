"""Options that commands which sample have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from engine.request import Fidelity

Command = TypeVar("Command", bound=Callable[..., Any])

_BARS = click.option(
    "--bars", type=float, default=None, help="Length in bars of 4/4. [default: 4 with a tempo]"
)
_SECONDS = click.option(
    "--seconds", type=float, default=None, help="Length in seconds. [default: 8 when no tempo is known]"
)
_BPM = click.option(
    "--bpm", type=float, default=None, help="Tempo. [default: from the file's name, else estimated]"
)
_STYLE = click.option(
    "--style", default="", help='Preset, genre, artist, or a mix such as "house:0.7+lofi:0.3".'
)
_SEED = click.option(
    "--seed", type=int, default=None, help="Seed; the same one gives the same takes. [default: a new one]"
)
_FIDELITY = click.option(
    "--fidelity", default=str(Fidelity.FULL), show_default=True, help="draft, fine or full."
)
_MODEL = click.option(
    "--model", default=None, help="Model, by name or folder. [default: starter, or that of the take]"
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print figures as JSON.")
_START = click.option(
    "--start", type=float, default=0.0, help="Where the prime begins in the file, in seconds."
)
_LENGTH = click.option(
    "--length",
    type=float,
    default=None,
    help="Length of the prime in seconds; of a take: how much of it is kept. [default: to the end]",
)
_SONG = (
    click.option("--song-length", type=float, default=None, help="Length of the whole song in seconds."),
    click.option(
        "--song-at", type=float, default=None, help="Where in the song the prime begins, in seconds."
    ),
)


def takes_option(what: str) -> Callable[[Command], Command]:
    """``--out``, the folder for ``what``."""
    return click.option("--out", type=click.Path(path_type=Path), default=None, help=what)


def together(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Several options as one decorator, listed in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


length_options = together(_BARS, _SECONDS, _BPM)
prime_options = together(_START, _LENGTH, *_SONG)
style_option, seed_option, fidelity_option, model_option, json_option = (
    _STYLE,
    _SEED,
    _FIDELITY,
    _MODEL,
    _JSON,
)
