"""``segue serve``."""

from __future__ import annotations

import logging
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError
from rich.console import Console
from rich.logging import RichHandler

from bridge.cli.options import backend_option, chosen_backend, chosen_device, device_option
from bridge.cli.playing import playing_options, stage_of
from bridge.cli.version import version
from bridge.log import write_aside
from bridge.once import Errand, style_of_riff
from bridge.osc.addresses import DEFAULT_PORT
from bridge.osc.peer import is_reached
from bridge.query.server import DEFAULT_PORT as QUERY_PORT
from bridge.serve import run
from bridge.session.core import SessionSetup
from bridge.session.models import StoredModels
from bridge.session.remembering import MemorySetup
from bridge.session.sound import SoundSetup
from bridge.session.stage import StageSetup
from bridge.session.state import state_path
from bridge.supervision.engine_client import EngineSetup
from engine.errors import BadArguments, NoFile, OutOfRange
from engine.folders import default_takes
from engine.host.mock import DEFAULT_MODEL, TARGET, MockModels, MockOptions
from presets import default_riff

PIPED_COLUMNS = 240  # paths stay whole where nobody sees a terminal


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=DEFAULT_PORT, show_default=True, help="Port for OSC, UDP and TCP; 0: a free one."
)
@click.option(
    "--query-port",
    default="auto",
    show_default=True,
    help=f"Port for OSCQuery; auto: {QUERY_PORT} or a free one; none.",
)
@click.option("--device", default=None, help="Sound output: part of a device's name, file:PATH, or none.")
@click.option(
    "--model", default=None, help="Model, by name or folder. [default: starter, or mock with --mock]"
)
@click.option("--mock", is_flag=True, help="No model: an engine that plays test tones and fails on request.")
@click.option(
    "--mock-with",
    metavar="NAME=VALUE",
    multiple=True,
    help="How the mock engine behaves: speed=8, load_seconds=2, diary=FILE, ...",
)
@backend_option
@device_option("--compute")
@click.option("--takes", type=click.Path(path_type=Path), default=None, help="Takes folder.")
@click.option(
    "--allow", type=click.Path(path_type=Path), multiple=True, help="Folder open to clients on other hosts."
)
@click.option("--once", is_flag=True, help="Continue one riff by 4 bars over OSC, play it, and exit.")
@click.option(
    "--riff",
    type=click.Path(path_type=Path),
    default=None,
    help="The riff for --once (default: the shipped one).",
)
@click.option("--fresh", is_flag=True, help="Start with the defaults, not where the last session ended.")
@playing_options
@click.option("--verbose", is_flag=True, help="Log what happens.")
def serve(
    host: str,
    port: int,
    query_port: str,
    device: str | None,
    model: str | None,
    mock: bool,
    mock_with: tuple[str, ...],
    takes: Path | None,
    allow: tuple[Path, ...],
    once: bool,
    riff: Path | None,
    fresh: bool,
    verbose: bool,
    **playing: Any,
) -> None:
    """Run beside the DAW: OSC in, continuations out."""
    console = Console(width=None if sys.stdout.isatty() else PIPED_COLUMNS)
    _log(verbose)
    if not 0 <= port <= 65535:
        raise OutOfRange(f"the port is {port}; it must be from 1 to 65535, or 0 for a free one")
    errand = _errand(riff) if once else None
    folder = (takes or default_takes()).expanduser().resolve()
    number, _, commit = version().partition(" ")
    setup = SessionSetup(
        host=host,
        port=port,
        takes=folder,
        engine=_mock_engine(model, mock_with) if mock else _engine(model, mock_with),
        models=MockModels() if mock else StoredModels(),
        sound=SoundSetup(device, folder / f"playback_{datetime.now():%Y-%m-%d_%H%M%S}.wav"),
        roots=tuple(root.expanduser().resolve() for root in allow),
        version=(number, commit.strip("()")),
        query_ports=_query_ports(query_port),
        stage=StageSetup() if once else stage_of(**playing, everywhere=is_reached(host)),
        announce=query_port != "none",
        memory=MemorySetup(None if mock or once else state_path(), fresh),
    )
    run(setup, console, errand)


def _query_ports(asked: str) -> tuple[int, ...]:
    """The ports to try for OSCQuery. Raises :class:`OutOfRange`."""
    if asked in ("auto", "none"):
        return (QUERY_PORT, 0) if asked == "auto" else ()
    if not (asked.isascii() and asked.isdecimal() and int(asked) <= 65535):
        raise OutOfRange(
            f"the port of OSCQuery is {asked}; it must be from 1 to 65535, 0 for a free one, auto or none"
        )
    return (int(asked),)


def _engine(model: str | None, mock_with: tuple[str, ...]) -> EngineSetup:
    if mock_with:
        raise BadArguments("--mock-with is for the mock engine; give --mock too")
    options = {"backend": chosen_backend(), "device": chosen_device()}
    return EngineSetup(model=model or "starter", options=options)


def _mock_engine(model: str | None, mock_with: tuple[str, ...]) -> EngineSetup:
    """Raises :class:`BadArguments` for an option that the mock engine does not have or cannot take."""
    given = dict(entry.partition("=")[::2] for entry in mock_with)
    try:
        options = MockOptions.model_validate(given).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        name = first["loc"][0]
        if name not in MockOptions.model_fields:
            known = ", ".join(MockOptions.model_fields)
            raise BadArguments(f"the mock engine has no option '{name}'; it has {known}") from None
        rule = first["msg"].replace("Input should be", "it must be")
        raise BadArguments(f"--mock-with {name} is '{given[str(name)]}'; {rule}") from None
    return EngineSetup(model=model or DEFAULT_MODEL, target=TARGET, options=options)


def _errand(riff: Path | None) -> Errand:
    """The riff to continue. Raises :class:`NoFile` before anything is started for a riff that is not there."""
    path = (riff or default_riff()).expanduser().resolve()
    if not path.is_file():
        raise NoFile(f"there is no file '{path}'; give the path of a riff")
    return Errand(path, style=style_of_riff(path))


def _log(verbose: bool) -> None:
    handler = RichHandler(console=Console(stderr=True), show_path=False, markup=False)
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(message)s",
        handlers=[write_aside(handler)],
    )
