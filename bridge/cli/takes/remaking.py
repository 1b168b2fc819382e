"""``segue takes recall`` and ``segue takes retry``: a take made again, the same or with another seed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.making import bar, figures, line, loaded, make, takes_folder, tell_takes
from bridge.cli.options import json_option, model_option, seed_option, takes_option
from bridge.cli.takes.common import meant, say_json, told
from engine.errors import OutOfRange

if TYPE_CHECKING:
    from engine.backends.protocol import Backend
    from engine.host.recalling import Recalled
    from engine.shelf.index import Index
    from engine.shelf.lines import Entry
    from engine.take import Take

MAX_TAKES = 16

_root_option = click.option(
    "--root", "root", type=click.Path(path_type=Path), default=None, help="Takes folder."
)


@click.command()
@click.argument("ident", metavar="ID")
@_root_option
@model_option
@takes_option("Takes folder to leave the new one in. [default: it is compared and removed]")
@click.option(
    "--lanes", type=click.IntRange(1, 64), default=None, help="Windows sampled in step; changes no sample."
)
@json_option
def recall(
    ident: str,
    root: Path | None,
    model: str | None,
    out: Path | None,
    lanes: int | None,
    as_json: bool,
) -> None:
    """Make the take ID anew from its recipe, and say whether every sample is the same.

    The recipe is in the take's folder: prime, request, digests of the model. Unless --backend or --device say
    otherwise, the runtime is the one that made it.
    """
    from engine.host.recalling import recall as made_again

    index, entry, take = _found(root, ident)
    backend = _backend(take, model, as_json)
    with _place(out) as folder, bar(1, as_json) as tell:
        found = made_again(backend, take, folder, lanes=lanes, on_event=lambda event: tell(event, 0))
        told_ = _told(index, entry, take, found, kept=out is not None)
    if as_json:
        say_json(told_)
        return
    click.echo(f"{entry.number}  {entry.name}: {_verdict(take, found)}")
    for note in found.notes:
        click.echo(f"segue: {note}", err=True)
    if out is not None:
        click.echo(line(found.take))


def _found(root: Path | None, ident: str) -> tuple[Index, Entry, Take]:
    from engine.take import Take

    index, entry = meant(root, ident, trashed=None)
    return index, entry, Take.load(index.root / entry.place)


def _backend(take: Take, model: str | None, quiet: bool) -> Backend:
    """The model that made the take, on what made it unless the user says otherwise."""
    from engine.host.recalling import model_for

    context, head = click.get_current_context(), take.info.head
    runtime = head.runtime.split()
    if runtime and context.meta.get("segue.backend", "auto") == "auto" and runtime[0] in ("torch", "onnx"):
        context.meta["segue.backend"] = runtime[0]
        if context.meta.get("segue.device", "auto") == "auto":
            context.meta["segue.device"] = "cuda" if "cuda" in runtime else "cpu"
    return loaded(model_for(head, model), quiet)


@contextmanager
def _place(out: Path | None) -> Iterator[Path]:
    if out is not None:
        yield takes_folder(out)
        return
    with tempfile.TemporaryDirectory(prefix="segue-recall-") as folder:
        yield Path(folder)


def _verdict(take: Take, found: Recalled) -> str:
    rate = take.info.head.rate
    codes = ", ".join(
        f"{found.other_tokens[level]} of {count} codes of level {level} differ"
        for level, count in found.tokens.items()
        if found.other_tokens[level]
    )
    if not found.frames and not found.tokens:
        return f"made anew, but '{take.folder}' holds nothing to compare with"
    if not found.differing:
        same = (
            f"identical, all {found.frames} samples, to '{take.wav}'"
            if found.frames
            else "no sound to compare with"
        )
        count = sum(found.tokens.values())
        return f"{same}; {codes or f'{count} codes are the same'}"
    first = found.first_frame or 0
    return (
        f"not identical to '{take.wav}': {found.differing} of {found.frames} samples differ, the first at "
        f"{first / rate:.3f} s; {codes or 'the codes are the same'}"
    )


def _told(index: Index, entry: Entry, take: Take, found: Recalled, *, kept: bool) -> dict[str, Any]:
    return {
        "take": told(index, entry),
        "identical": found.identical,
        "compared_with": str(take.wav),
        "frames": found.frames,
        "differing": found.differing,
        "first_frame": found.first_frame,
        "tokens": found.tokens,
        "other_tokens": found.other_tokens,
        "notes": list(found.notes),
        "made": figures(found.take) if kept else None,
    }


@click.command()
@click.argument("ident", metavar="ID")
@_root_option
@seed_option
@click.option(
    "--takes", "count", type=int, default=1, show_default=True, help="How many; take k has seed + k."
)
@model_option
@takes_option("Takes folder for the new ones. [default: that of the take]")
@json_option
def retry(
    ident: str,
    root: Path | None,
    seed: int | None,
    count: int,
    model: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Make the take ID again with another seed; everything else stays as it was."""
    from bridge.cli.wishes import Wish, check
    from bridge.session.settings import fresh_seed
    from engine.host.recalling import again

    check(Wish(seed=seed))
    if not 1 <= count <= MAX_TAKES:
        raise OutOfRange(f"--takes is {count}; it must be from 1 to {MAX_TAKES}")
    index, _, take = _found(root, ident)
    request = again(take)
    request = request.model_copy(
        update={
            "model": request.model if model is None else model,
            "seed": fresh_seed() if seed is None else seed,
        }
    )
    backend = loaded(request.model, as_json)
    folder = index.root if out is None else takes_folder(out)
    tell_takes(make(backend, request, folder, takes=count, quiet=as_json), request, as_json)
