"""``segue-prime FILE``: what a DAW that has an external editor is told to open clips with.

Primes the session that runs, starts nothing, and only ever reads the file. One sentence says what happened; exit code
0, or 2 when something is wrong.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname

import click

from bridge.cli.client import Client
from bridge.cli.osc import client_options
from bridge.cli.root import NamedFailures
from engine.errors import BadArguments, NoFile, NotReady, OutOfRange, SegueError
from engine.request import MAX_BPM, MIN_BPM

ANSWER_SECONDS = 2.0
READ_SECONDS = 60.0  # for a long file, or while a job has the engine
_TAG = "#prime"


@click.command(cls=NamedFailures, context_settings={"help_option_names": ["-h", "--help"]})
@client_options
@click.option(
    "--start", default=0.0, show_default=True, help="Where in the file the prime begins, in seconds."
)
@click.option("--length", default=0.0, help="Length of the prime in seconds.  [default: to the file's end]")
@click.option("--bpm", default=0.0, help="Tempo.  [default: from the file's name, else heard]")
@click.option("--generate", is_flag=True, help="Continue it at once.")
@click.argument("file", nargs=-1, required=True)
def main(
    host: str, port: int, start: float, length: float, bpm: float, generate: bool, file: tuple[str, ...]
) -> None:
    """Prime the Segue that runs with FILE, which is never written to."""
    path = file_of(file)
    for name, value in (("start", start), ("length", length)):
        if not 0 <= value <= 1e6:
            raise OutOfRange(f"--{name} is {value:g} s; it must be from 0 to 1000000")
    if bpm and not MIN_BPM <= bpm <= MAX_BPM:
        raise OutOfRange(f"--bpm is {bpm:g}; it must be from {MIN_BPM:g} to {MAX_BPM:g}")
    with Client(host, port) as client:
        client.send("/segue/test")
        if not any(message.address == "/segue/test" for message in client.heard(ANSWER_SECONDS)):
            raise NotReady(f"no Segue runs at {host}:{port}; start it with: segue serve")
        prime, seconds, *_ = _asked(client, "/segue/prime/file", str(path), start, length, bpm)
        told = f"{path.name} is Segue's prime now ({prime}, {float(seconds):.2f} s)"
        if generate:
            (job, *_) = _asked(client, "/segue/generate")
            told += f" and is being continued ({job})"
    click.echo(told)


def _asked(client: Client, address: str, *values: str | float) -> tuple[str, ...]:
    """What a request is answered by. Raises what the session says is wrong."""
    client.send(address, _TAG, *values)
    for message in client.heard(READ_SECONDS):
        if message.address not in ("/segue/done", "/segue/fail") or message.values[-1:] != (_TAG,):
            continue
        if message.values[0] != address:
            continue
        if message.address == "/segue/done":
            return tuple(str(value) for value in message.values[1:-1])
        _, code, slug, sentence, *_ = message.values
        raise SegueError(str(sentence), code=int(str(code)), slug=str(slug))
    raise NotReady(
        f"Segue has not answered {address} for {READ_SECONDS:.0f} s; try again, or look what it prints"
    )


def file_of(words: tuple[str, ...]) -> Path:
    """The file that a host means: a path, in quotes or not, in pieces where nobody quoted its spaces, or a file URL.

    Raises :class:`NoFile` where there is none, :class:`BadArguments` for several.
    """
    whole = _path(" ".join(words))
    if whole.is_file():
        return whole.absolute()
    files = [path for path in map(_path, words) if path.is_file()]
    if len(files) == len(words) > 1:
        raise BadArguments(f"segue-prime takes one file, not {len(files)}; split or glue the clips first")
    if whole.is_dir():
        raise NoFile(f"'{whole}' is a folder; give an audio file")
    raise NoFile(f"there is no file '{whole}'; give the path of an audio file")


def _path(text: str) -> Path:
    text = text.strip()
    while len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    if text.lower().startswith("file:"):
        parts = urlparse(text)
        text = url2pathname(parts.path) if parts.path else unquote(text[5:])
    return Path(text).expanduser() if text.startswith("~/") else Path(text)
