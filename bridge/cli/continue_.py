"""``segue continue``: the same takes as the engine process makes, offline and in this process."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bridge.cli.folders import default_takes
from bridge.osc.addresses import MAX_TAKES
from bridge.session.settings import fresh_seed, length_of, tempo_of
from engine.errors import OutOfRange
from engine.lyrics import Words, lyric_notes, read_lyrics
from engine.request import MAX_BPM, MAX_SEED, MIN_BPM, Fidelity, PrimeRef, Request, Style
from presets import resolve_style

if TYPE_CHECKING:
    from engine.backends.protocol import Backend
    from engine.host.jobs import JobEvent
    from engine.take import Take

MIN_CHUNK, MAX_CHUNK = 64, 1 << 20


@dataclass(frozen=True)
class Wish:
    """The options of the command that shape the request; ``seed`` None takes a fresh one."""

    riff: PrimeRef
    bars: float | None
    seconds: float | None
    bpm: float | None
    style: str
    seed: int | None
    fidelity: str
    takes: int
    chunk: int
    lyrics: Words


@click.command("continue")
@click.argument("riff", type=click.Path(path_type=Path))
@click.option(
    "--bars", type=float, default=None, help="Length in bars of 4/4. [default: 4 when a tempo is known]"
)
@click.option(
    "--seconds", type=float, default=None, help="Length in seconds. [default: 8 when no tempo is known]"
)
@click.option(
    "--bpm", type=float, default=None, help="Tempo. [default: from the file's name, else estimated]"
)
@click.option("--style", default="", help='Preset, genre, artist, or a mix such as "house:0.7+lofi:0.3".')
@click.option(
    "--lyrics", default="", help=r"Text, or a .txt or .lrc file; a backslash begins a new line of the text."
)
@click.option("--takes", type=int, default=1, show_default=True, help="How many takes; take k has seed + k.")
@click.option(
    "--seed", type=int, default=None, help="Seed; the same one gives the same take. [default: a new one]"
)
@click.option("--fidelity", default=str(Fidelity.FULL), show_default=True, help="draft, fine or full.")
@click.option("--model", default="starter", show_default=True, help="Model, by name or folder.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Takes folder.")
@click.option("--start", type=float, default=0.0, help="Where the prime begins in the file, in seconds.")
@click.option(
    "--length", type=float, default=None, help="Length of the prime in seconds. [default: to the end]"
)
@click.option(
    "--chunk", type=int, default=4096, show_default=True, help="Frames of audio per step; changes no sample."
)
@click.option(
    "--plots", is_flag=True, help="Draw prime and continuation into each take's folder (picture.png)."
)
@click.option("--json", "as_json", is_flag=True, help="Print figures of every take as JSON.")
def continue_(
    riff: Path,
    bars: float | None,
    seconds: float | None,
    bpm: float | None,
    style: str,
    lyrics: str,
    takes: int,
    seed: int | None,
    fidelity: str,
    model: str,
    out: Path | None,
    start: float,
    length: float | None,
    chunk: int,
    plots: bool,
    as_json: bool,
) -> None:
    """Continue the audio file RIFF and file the result as takes; nothing is played."""
    path = str(riff.expanduser().resolve())
    _check_span(start, length)
    prime = PrimeRef(path=path, start_seconds=start, length_seconds=length)
    wish = Wish(prime, bars, seconds, bpm, style, seed, fidelity, takes, chunk, read_lyrics(lyrics))
    _check(wish)
    folder = (out or default_takes()).expanduser().resolve()
    made, request, notes = _make(wish, model, folder, quiet=as_json)
    for note in notes:
        click.echo(f"segue: {note}", err=True)
    pictures = {take.folder: _picture(take, riff.name) for take in made} if plots else {}
    if as_json:
        figures = {
            "model": model,
            "bpm": request.bpm,
            "bars": request.bars,
            "notes": notes,
            "takes": [_figures(take, pictures.get(take.folder)) for take in made],
        }
        click.echo(json.dumps(figures, indent=2))
        return
    for take in made:
        timings = take.info.timings
        click.echo(
            f"{take.wav}  {take.info.seconds:.2f} s, seed {take.info.head.request.seed}, "
            f"first audio after {timings.first_audio_ms or 0:.0f} ms, {timings.real_time_factor:.2f} x real time"
        )
        if take.folder in pictures:
            click.echo(f"{pictures[take.folder]}")


def _check_span(start: float, length: float | None) -> None:
    if not 0 <= start <= 1e6:
        raise OutOfRange(f"the start is {start:g} s; it must be 0 or more")
    if length is not None and not 0 < length <= 1e6:
        raise OutOfRange(f"the length of the prime is {length:g} s; it must be above 0")


def _check(wish: Wish) -> None:
    """Everything that can be said before the model is loaded. Raises a named error."""
    from engine.audio import probe

    if wish.bars is not None and wish.seconds is not None:
        raise OutOfRange("--bars and --seconds exclude each other; give one of them")
    for name, value in (("bars", wish.bars), ("seconds", wish.seconds)):
        if value is not None and not value > 0:
            raise OutOfRange(f"--{name} is {value:g}; it must be above 0")
    if wish.bpm is not None and not MIN_BPM <= wish.bpm <= MAX_BPM:
        raise OutOfRange(f"--bpm is {wish.bpm:g}; it must be from {MIN_BPM:g} to {MAX_BPM:g}")
    if not 1 <= wish.takes <= MAX_TAKES:
        raise OutOfRange(f"--takes is {wish.takes}; it must be from 1 to {MAX_TAKES}")
    if wish.seed is not None and not 0 <= wish.seed <= MAX_SEED:
        raise OutOfRange(f"--seed is {wish.seed}; it must be from 0 to {MAX_SEED}")
    if not MIN_CHUNK <= wish.chunk <= MAX_CHUNK:
        raise OutOfRange(f"--chunk is {wish.chunk}; it must be from {MIN_CHUNK} to {MAX_CHUNK} frames")
    if wish.fidelity not in set(Fidelity):
        raise OutOfRange(f"--fidelity is '{wish.fidelity}'; it must be draft, fine or full")
    if wish.seconds is not None or wish.bpm is not None:
        length_of(wish.seconds, wish.bars, wish.bpm, 44_100)
    probe(wish.riff.path)


def _make(wish: Wish, model: str, folder: Path, quiet: bool) -> tuple[list[Take], Request, tuple[str, ...]]:
    """Load the model, take the prime in, make the takes; also the request of them, and notes for the user."""
    from engine.host.jobs import run_request
    from engine.host.primes import PrimeShelf
    from engine.host.process import load_backend

    console = Console(stderr=True)
    with nullcontext() if quiet else console.status("loading the model and reading the riff"):
        backend = load_backend(model)
        prime = PrimeShelf().take_in(backend, wish.riff)
    request = _request(wish, model, backend, prime.bpm)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("sampling", total=float(wish.takes))

        def tell(event: JobEvent) -> None:
            done = event.index + getattr(event, "fraction", 0.0)
            progress.update(task, completed=done, description=f"take {event.index + 1} of {wish.takes}")

        made = run_request(
            backend,
            request,
            folder=folder,
            takes=wish.takes,
            chunk_frames=wish.chunk,
            on_event=tell,
            prime=prime.known,
        )
    return made, request, lyric_notes(request, backend.config)


def _request(wish: Wish, model: str, backend: Backend, estimated: float | None) -> Request:
    config = backend.config
    names = config.vocabulary(config.top)
    bpm = tempo_of(wish.riff.path, wish.bpm, estimated)
    length = length_of(wish.seconds, wish.bars, bpm, config.rate)
    style = resolve_style(wish.style, names.artist_names, names.genre_names) if wish.style else Style()
    return Request(
        model=model,
        prime=wish.riff,
        style=style,
        lyrics=wish.lyrics.lyrics,
        lyric_times=wish.lyrics.lyric_times,
        frames=length.frames,
        bpm=bpm,
        bars=length.bars,
        seed=fresh_seed() if wish.seed is None else wish.seed,
        fidelity=Fidelity(wish.fidelity),
    )


def _picture(take: Take, name: str) -> Path:
    """Waveform and spectrogram of the end of the prime and of the continuation."""
    from engine.analysis.spectrogram import plot_continuation

    continuation, prime = take.audio(), take.prime().mono_samples()
    title = f"{name}, continued (seed {take.info.head.request.seed})"
    shown = prime[-continuation.frames :]  # no more of the prime than of what was made of it
    return plot_continuation(
        shown, continuation.mono_samples(), continuation.rate, take.folder / "picture.png", title
    )


def _figures(take: Take, picture: Path | None) -> dict[str, Any]:
    """What ``--json`` says of a take; levels 0 bottom, 1 middle, 2 top."""
    timings = take.info.timings
    drawn = {} if picture is None else {"picture": str(picture)}
    return {
        "path": str(take.wav),
        "seconds": take.info.seconds,
        "seed": take.info.head.request.seed,
        "first_audio_ms": timings.first_audio_ms,
        "real_time_factor": timings.real_time_factor,
        "tokens": timings.tokens,
        "seconds_per_level": timings.seconds,
        **drawn,
    }
