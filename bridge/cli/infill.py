"""``segue infill``: a span of a take sampled again, between codes that stay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.cli.making import loaded, make, takes_folder, tell_takes
from bridge.cli.options import json_option, model_option, seed_option, style_option, takes_option
from bridge.cli.times import frame_at
from bridge.cli.wishes import Wish, check, model_of, named_style, resolved
from bridge.session.settings import fresh_seed
from engine.errors import OutOfRange
from engine.request import Mode, Span, TakeRef

if TYPE_CHECKING:
    from engine.take import Take

MAX_CANDIDATES = 64


@click.command()
@click.argument("take", type=click.Path(path_type=Path))
@click.option("--from", "begin", required=True, help="Where the span begins: a bar such as 3, or 2.5s.")
@click.option("--to", "end", required=True, help="Where it ends: the beginning of a bar such as 5, or 4s.")
@click.option(
    "--candidates",
    type=int,
    default=4,
    show_default=True,
    help="Versions of the span; the one that what follows fits best is kept.",
)
@style_option
@seed_option
@model_option
@takes_option("Takes folder.")
@json_option
def infill(
    take: Path,
    begin: str,
    end: str,
    candidates: int,
    style: str,
    seed: int | None,
    model: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Sample a span of TAKE (its folder, number or name) again and file the result as a new take.

    Bars and seconds are counted from the beginning of the continuation, bars from 1. What lies outside the span
    stays as it is, but for the few milliseconds that the codec smears on either side.
    """
    from engine.take import Take

    check(Wish(seed=seed))
    if not 1 <= candidates <= MAX_CANDIDATES:
        raise OutOfRange(f"--candidates is {candidates}; it must be from 1 to {MAX_CANDIDATES}")
    parent = Take.load(resolved(take, out))
    before = parent.info.head.request
    span = span_of(parent, begin, end, candidates)
    backend = loaded(model_of(model, parent), as_json)
    styled = {"style": named_style(style, backend.config), "style_changes": ()} if style else {}
    request = before.model_copy(
        update={
            "schema_version": 2,
            "model": model_of(model, parent),
            "mode": Mode.INFILL,
            "prime": None,
            "parents": (TakeRef(folder=str(parent.folder)),),
            "span": span,
            "frames": parent.info.frames,
            "seed": fresh_seed() if seed is None else seed,
            **styled,
        }
    )
    tell_takes(make(backend, request, takes_folder(out), quiet=as_json), request, as_json)


def span_of(parent: Take, begin: str, end: str, candidates: int) -> Span:
    """The span in samples. Raises OutOfRange for one that is empty or outside the take."""
    head, frames = parent.info.head, parent.info.frames
    start = frame_at(begin, "--from", head.request.bpm, head.rate)
    stop = frame_at(end, "--to", head.request.bpm, head.rate)
    if stop <= start:
        raise OutOfRange(f"the span from {begin} to {end} is empty; --to must lie after --from")
    if stop > frames:
        bars = f" ({head.request.bars:g} bars)" if head.request.bars else ""
        raise OutOfRange(
            f"the span ends at {stop / head.rate:.2f} s, outside the take; "
            f"it is {frames / head.rate:.2f} s long{bars}"
        )
    return Span(start_frame=start, stop_frame=stop, candidates=candidates)
