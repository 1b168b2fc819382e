"""Options that say what a session is played with: controllers, presets, a live input, a clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bridge.daw.bitwig import FEEDBACK_PORT, PORT
from bridge.daw.places import mail_folder
from bridge.midi.ports import RtMidi, check_port
from bridge.osc.addresses.transport import SOURCES
from bridge.session.capturing import InputSetup
from bridge.session.controllers import MidiSetup
from bridge.session.presets import PresetFolders
from bridge.session.stage import StageSetup
from engine.errors import BadArguments
from presets import user_folder

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--midi", "ports", metavar="PORT", multiple=True, help="Open MIDI ports of this name only."),
    click.option("--no-midi", is_flag=True, help="Without controllers and MIDI clock."),
    click.option(
        "--presets",
        "project",
        type=click.Path(file_okay=False, path_type=Path),
        default=None,
        help="Folder of the project's presets.",
    ),
    click.option(
        "--input", "live", default=None, help="Record this input: part of a device's name, or reastream."
    ),
    click.option(
        "--sync", type=click.Choice(SOURCES), default=None, help="Clock to follow.  [default: midi, if any]"
    ),
    click.option(
        "--bitwig",
        metavar="RECEIVES:SENDS",
        default=f"{PORT}:{FEEDBACK_PORT}",
        show_default=True,
        help="Ports of DrivenByMoss's OSC in Bitwig Studio.",
    ),
)


def playing_options(command: Command) -> Command:
    """The options; a command gets them as keyword arguments for :func:`stage_of`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def stage_of(
    *,
    ports: tuple[str, ...],
    no_midi: bool,
    project: Path | None,
    live: str | None,
    sync: str | None,
    bitwig: str,
    everywhere: bool = False,
) -> StageSetup:
    """``everywhere``: ReaStream of other hosts is recorded too. Raises NoMidiPort for a port that is not there,
    :class:`BadArguments` for ``--midi`` with ``--no-midi``."""
    if ports and no_midi:
        raise BadArguments("--midi and --no-midi exclude each other; give one of them")
    if ports:
        system = RtMidi()
        names = [*system.inputs(), *system.outputs()]
        for part in ports:
            check_port(part, names)
    return StageSetup(
        midi=None if no_midi else MidiSetup(ports or None),
        clock=sync or ("none" if no_midi else "midi"),
        presets=PresetFolders(user_folder(), project),
        input=InputSetup(live, everywhere),
        mail=mail_folder(),
        bitwig=_bitwig_ports(bitwig),
    )


def _bitwig_ports(text: str) -> tuple[int, int]:
    """Raises :class:`BadArguments`."""
    receives, _, sends = text.partition(":")
    if not all(port.isascii() and port.isdecimal() and 0 < int(port) < 65536 for port in (receives, sends)):
        raise BadArguments(f"--bitwig is '{text}'; give two ports, as in {PORT}:{FEEDBACK_PORT}")
    return int(receives), int(sends)
