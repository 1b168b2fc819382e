"""Loading a model, making takes with a bar of progress, and saying what came of it: what commands that sample share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bridge.cli.options import chosen_backend, chosen_device
from engine.folders import default_takes
from engine.lyrics import lyric_notes

if TYPE_CHECKING:
    from engine.backends.protocol import Backend
    from engine.host.jobs import JobEvent, KnownPrime
    from engine.request import Request
    from engine.store.config import ModelConfig
    from engine.take import Take


def takes_folder(out: Path | None) -> Path:
    """The takes folder that was asked for, or the usual one."""
    return (out or default_takes()).expanduser().resolve()


def loaded(model: str, quiet: bool) -> Backend:
    """The model, loaded while a line says so, by what ``--backend`` and ``--device`` name. Raises NoModel."""
    from engine.backends.choose import open_backend

    with nullcontext() if quiet else Console(stderr=True).status("loading the model"):
        return open_backend(model, chosen_backend(), device=chosen_device())


@contextmanager
def bar(total: int, quiet: bool) -> Iterator[Callable[[JobEvent, int], None]]:
    """A bar of progress over ``total`` takes; its function is told each event and how many takes are done before."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("sampling", total=float(total))

        def tell(event: JobEvent, before: int = 0) -> None:
            number = before + event.index
            fraction = float(getattr(event, "fraction", 0.0))
            progress.update(task, completed=number + fraction, description=f"take {number + 1} of {total}")

        yield tell


def make(
    backend: Backend,
    request: Request,
    folder: Path,
    *,
    takes: int = 1,
    chunk: int = 4096,
    lanes: int | None = None,
    prime: KnownPrime | None = None,
    quiet: bool = False,
) -> list[Take]:
    """The takes of a request, filed under ``folder``; ``lanes``: windows sampled in step, None for as many as usual."""
    from engine.host.jobs import run_request

    with bar(takes, quiet) as tell:
        return run_request(
            backend,
            request,
            folder=folder,
            takes=takes,
            chunk_frames=chunk,
            lanes=lanes,
            on_event=lambda event: tell(event, 0),
            prime=prime,
        )


def tell_notes(request: Request, config: ModelConfig) -> tuple[str, ...]:
    """Say on stderr what the user should know of the lyrics; also returned."""
    notes = lyric_notes(request, config)
    for note in notes:
        click.echo(f"segue: {note}", err=True)
    return notes


def figures(take: Take, picture: Path | None = None) -> dict[str, Any]:
    """What ``--json`` says of a take; levels 0 bottom, 1 middle, 2 top."""
    timings, head = take.info.timings, take.info.head
    drawn = {} if picture is None else {"picture": str(picture)}
    return {
        "path": str(take.wav),
        "seconds": take.info.seconds,
        "seed": head.request.seed,
        "mode": str(head.request.mode),
        "parent": head.parent,
        "first_audio_ms": timings.first_audio_ms,
        "real_time_factor": timings.real_time_factor,
        "tokens": timings.tokens,
        "seconds_per_level": timings.seconds,
        **drawn,
    }


def line(take: Take) -> str:
    """One line about a take."""
    timings = take.info.timings
    return (
        f"{take.wav}  {take.info.seconds:.2f} s, seed {take.info.head.request.seed}, "
        f"first audio after {timings.first_audio_ms or 0:.0f} ms, {timings.real_time_factor:.2f} x real time"
    )


def tell_takes(takes: Sequence[Take], request: Request, as_json: bool) -> None:
    """Print the takes of a command without pictures."""
    if as_json:
        told = {"model": request.model, "bpm": request.bpm, "bars": request.bars}
        click.echo(json.dumps({**told, "takes": [figures(take) for take in takes]}, indent=2))
        return
    for take in takes:
        click.echo(line(take))
