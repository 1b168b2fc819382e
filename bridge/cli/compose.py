"""``segue compose``: several continuations are offered, one is kept, and it goes on from there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.making import bar, figures, loaded, takes_folder, tell_notes
from bridge.cli.options import (
    fidelity_option,
    json_option,
    lyrics_option,
    model_option,
    prime_options,
    seed_option,
    style_option,
)
from bridge.cli.times import length_in
from bridge.cli.wishes import begun_seed, checked_source, model_of, resolved, wanted, wish_of
from engine.errors import BadArguments, OutOfRange
from engine.request import Fidelity

if TYPE_CHECKING:
    from engine.host.composing import Composition
    from engine.host.jobs import JobEvent
    from engine.take import Take


@click.command()
@click.argument("riff", type=click.Path(path_type=Path))
@click.option("--step", required=True, help="Length of a step: 4bars, or seconds such as 8.")
@click.option("--candidates", type=int, default=3, show_default=True, help="Continuations to choose from.")
@click.option("--choose", default=None, help="Which to keep, step by step, such as 2,1,3; asks nothing.")
@click.option("--finish", default=None, help="Fidelity of the whole piece. [default: that of the steps]")
@click.option("--bpm", type=float, default=None, help="Tempo. [default: from the name, else estimated]")
@style_option
@lyrics_option
@prime_options
@seed_option
@fidelity_option
@model_option
@click.option(
    "--session",
    type=click.Path(path_type=Path),
    default=None,
    help="The session's folder; it can be gone on with.",
)
@json_option
def compose(
    riff: Path,
    step: str,
    candidates: int,
    choose: str | None,
    finish: str | None,
    seed: int | None,
    model: str | None,
    session: Path | None,
    as_json: bool,
    **shape: Any,
) -> None:
    """Compose on from RIFF, an audio file or the folder of a take, choosing among continuations step by step.

    At every step, answer with a number to keep that candidate, r for others, b to go one step back, or q to
    finish; then the whole piece is filed as one take, and with the riff before it as path.wav. The same command
    goes on with a session that was left or killed.
    """
    from engine.host.branching import Nodes
    from engine.host.composing import SESSION, Composition

    bars, seconds = length_in(step, "--step")
    numbers = None if choose is None else chosen_numbers(choose)
    if numbers is None and not sys.stdin.isatty():
        raise BadArguments(
            "segue compose asks which candidate to keep; run it in a terminal, or give --choose such as 2,1,3"
        )
    source = resolved(riff)
    root = session.expanduser().resolve() if session else takes_folder(None) / f"compose_{source.stem}"
    if seed is None:
        seed = begun_seed(root / SESSION)
    wish = wish_of(source, bars=bars, seconds=seconds, seed=seed, model=model, **shape)
    last = None if finish is None else _fidelity(finish)
    parent = checked_source(wish)
    backend = loaded(model_of(model, parent), as_json)
    asked = wanted(wish, backend, parent)
    tell_notes(asked.request, backend.config)
    composition = Composition.open(Nodes(backend, asked.request, root, asked.prime), candidates)
    if numbers is None:
        _ask(composition)
    else:
        composition.restart()
        for number in numbers:
            _offer(composition, again=False, quiet=as_json)
            composition.choose(number)
    whole, path = composition.finish(last)
    if as_json:
        told = {
            "session": str(root),
            "chosen": composition.chosen,
            "whole": figures(whole),
            "path": str(path),
        }
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(f"{whole.wav}  {whole.info.seconds:.2f} s")
    click.echo(f"{path}")


def chosen_numbers(text: str) -> tuple[int, ...]:
    """``2,1,3`` as numbers. Raises BadArguments."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise BadArguments(
            f"--choose is '{text}'; write the numbers of the candidates to keep, such as 2,1,3"
        )
    return tuple(int(part) for part in parts)


def _fidelity(name: str) -> Fidelity:
    if name not in set(Fidelity):
        raise OutOfRange(f"--finish is '{name}'; it must be draft, fine or full")
    return Fidelity(name)


def _offer(composition: Composition, again: bool, quiet: bool) -> dict[int, Take]:
    from engine.host.jobs import TakeFinished

    count, seen = composition.candidates, 0
    with bar(count, quiet) as tell:

        def follow(event: JobEvent) -> None:
            nonlocal seen
            tell(event, seen)
            seen += int(isinstance(event, TakeFinished))

        composition.nodes.on_event = follow
        return composition.offer(again)


def _ask(composition: Composition) -> None:
    """Offer, ask, keep, until the answer is q."""
    again = False
    while True:
        offered = _offer(composition, again, quiet=False)
        again = False
        click.echo(f"step {len(composition.chosen) + 1}")
        for number, take in offered.items():
            click.echo(f"  {number}  {take.wav}")
        answer = click.prompt("keep (number), r again, b back, q finish", type=str).strip().lower()
        try:
            if answer == "q":
                if composition.chosen:
                    return
                raise OutOfRange(
                    "nothing was chosen yet, so there is nothing to finish; choose a candidate first"
                )
            if answer == "r":
                again = True
            elif answer == "b":
                composition.back()
            elif answer.isdecimal():
                composition.choose(int(answer))
            else:
                click.echo(f"'{answer}' is no answer; give a number, r, b or q")
        except OutOfRange as error:
            click.echo(error.message)
