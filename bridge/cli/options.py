"""Options that commands which sample have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from engine.backends.choose import Device, Wanted
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
style_option = click.option(
    "--style", default="", help='Preset, genre, artist, or a mix such as "house:0.7+lofi:0.3".'
)
lyrics_option = click.option(
    "--lyrics", default="", help=r"Text, or a .txt or .lrc file; a backslash begins a new line of the text."
)
seed_option = click.option(
    "--seed", type=int, default=None, help="Seed; the same one gives the same takes. [default: a new one]"
)
fidelity_option = click.option(
    "--fidelity", default=str(Fidelity.FULL), show_default=True, help="draft, fine or full."
)
_BACKEND, _DEVICE = "segue.backend", "segue.device"  # where the choices lie in click's context


def _remember(place: str) -> Callable[[click.Context, click.Parameter, str], None]:
    def remember(context: click.Context, parameter: click.Parameter, value: str) -> None:
        context.meta[place] = value

    return remember


def _chosen(place: str) -> Any:
    context = click.get_current_context(silent=True)
    return "auto" if context is None else context.meta.get(place, "auto")


def chosen_backend() -> Wanted:
    """What ``--backend`` says for the command that is running; auto outside one."""
    chosen: Wanted = _chosen(_BACKEND)
    return chosen


def chosen_device() -> Device:
    """What ``--device`` (of ``serve``: ``--compute``) says for the command that is running; auto outside one."""
    chosen: Device = _chosen(_DEVICE)
    return chosen


backend_option = click.option(
    "--backend",
    type=click.Choice(get_args(Wanted)),
    default="auto",
    show_default=True,
    envvar="SEGUE_BACKEND",
    expose_value=False,
    callback=_remember(_BACKEND),
    help="What runs the model; auto: ONNX Runtime where model and machine have it.",
)


def device_option(flag: str) -> Callable[[Command], Command]:
    """Where the model runs, as ``flag``: ``--device``, but of a command in which that is the sound output."""
    return click.option(
        flag,
        "compute",
        type=click.Choice(get_args(Device)),
        default="auto",
        show_default=True,
        envvar="SEGUE_DEVICE",
        expose_value=False,
        callback=_remember(_DEVICE),
        help="Where the model runs; auto: a CUDA card where there is one and the model is larger than the starter.",
    )


_MODEL = click.option(
    "--model", default=None, help="Model, by name or folder. [default: starter, or that of the take]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print figures as JSON.")
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


model_option = together(_MODEL, backend_option, device_option("--device"))
length_options = together(_BARS, _SECONDS, _BPM)
prime_options = together(_START, _LENGTH, *_SONG)
