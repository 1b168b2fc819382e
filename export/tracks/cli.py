"""``segue export take``: takes as files that DAWs understand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import Progress

from engine.errors import BadArguments
from engine.folders import default_takes
from export.tracks.targets import EXPORTS, TARGETS, USUAL, find_target
from export.tracks.targets import export as write

if TYPE_CHECKING:
    from engine.take import Take
    from export.tracks.track import FinishedTrack
    from export.tracks.wishes import TrackWishes


@click.command()
@click.argument("ids", nargs=-1, metavar="ID...")
@click.option("--kept", is_flag=True, help="All takes that are kept, besides those that are named.")
@click.option(
    "--to", "target", default=USUAL, show_default=True, help=f"What to write: {', '.join(TARGETS)}."
)
@click.option(
    "--bits", type=click.Choice(["16", "24", "float32"]), default=None, help="Of a sample. [default: 24]"
)
@click.option(
    "--rate", type=click.Choice(["44100", "48000"]), default=None, help="In Hz. [default: the model's]"
)
@click.option("--loop", is_flag=True, help="Make the end meet the beginning.")
@click.option("--full", is_flag=True, help="Put the prime in front.")
@click.option(
    "--loudness",
    default="prime",
    show_default=True,
    help="As loud as the prime, as it was made (made), or an integrated loudness in LUFS such as -14.",
)
@click.option("--no-dither", is_flag=True, help="Round to 16 bits without dither.")
@click.option("--takes", type=click.Path(path_type=Path), default=None, help="Takes folder.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder to write to. [default: exports in the takes folder]",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def take(
    ids: tuple[str, ...],
    kept: bool,
    target: str,
    takes: Path | None,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Export takes for a DAW. ID is a take's name, number, folder or path."""
    find_target(target)
    root = (takes or default_takes()).expanduser().resolve()
    wishes = _wishes(**options)
    wanted = _wanted(ids, kept, root)
    folder = (out or root / EXPORTS).expanduser().resolve()
    console = Console(stderr=True)
    with Progress(console=console, disable=as_json or not console.is_terminal, transient=True) as progress:
        task = progress.add_task("exporting", total=len(wanted))
        tracks: list[FinishedTrack] = []

        def tell(track: FinishedTrack) -> None:
            tracks.append(track)
            progress.update(task, advance=1, description=f"exporting {track.name}")

        paths = write(target, wanted, wishes, folder, tell)
    if as_json:
        told = {"target": target, "paths": [str(path) for path in paths]}
        click.echo(json.dumps({**told, "tracks": [track.told() for track in tracks]}, indent=2))
        return
    for path in paths:
        click.echo(str(path))
    for track in tracks:
        for note in track.done.notes:
            click.echo(f"segue: {track.name}: {note}", err=True)


def _wanted(ids: tuple[str, ...], kept: bool, root: Path) -> list[Take]:
    """Every take once. Raises BadArguments where none is named, NoTake where there is none."""
    from export.tracks.finding import all_takes, find_take

    if not ids and not kept:
        raise BadArguments("no take is named; give its name, number or path, or --kept for all that are kept")
    found = [find_take(one, root) for one in ids]
    if kept:
        others, problems = all_takes(root, kept=True)
        found += others
        for problem in problems:
            click.echo(f"segue: {problem}", err=True)
    return list({take.folder.resolve(): take for take in found}.values())


def _wishes(
    *,
    bits: str | None,
    rate: str | None,
    loop: bool,
    full: bool,
    loudness: str,
    no_dither: bool,
) -> TrackWishes:
    """Raises BadArguments for a loudness that is none."""
    from export.tracks.wishes import TrackWishes

    said: dict[str, Any] = {"loop": loop, "full": full, "dither": not no_dither}
    if bits is not None:
        said["bits"] = bits if bits == "float32" else int(bits)
    if rate is not None:
        said["rate"] = int(rate)
    try:
        said["loudness"] = loudness if loudness in ("prime", "made") else float(loudness)
    except ValueError:
        said["loudness"] = math.nan
    if said["loudness"] != said["loudness"]:
        raise BadArguments(
            f"--loudness is '{loudness[:40]}'; write prime, made, or a loudness in LUFS such as -14"
        )
    return TrackWishes.model_validate(said)
