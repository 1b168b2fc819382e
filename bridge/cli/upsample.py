"""``segue upsample``: the finer levels of a take that was made as a draft; its music stays."""

from __future__ import annotations

from pathlib import Path

import click

from bridge.cli.making import loaded, make, takes_folder, tell_takes
from bridge.cli.options import fidelity_option, json_option, model_option, seed_option, takes_option
from bridge.cli.wishes import Wish, check, model_of, resolved
from engine.errors import OutOfRange
from engine.request import Fidelity, Mode, TakeRef


@click.command()
@click.argument("take", type=click.Path(path_type=Path))
@fidelity_option
@seed_option
@model_option
@takes_option("Takes folder.")
@json_option
def upsample(
    take: Path, fidelity: str, seed: int | None, model: str | None, out: Path | None, as_json: bool
) -> None:
    """Make a draft TAKE (its folder, number or name) fine or full: its codes stay, those of lower levels are sampled.

    With the take's own seed, which is the default, the result is the take that would have been made at once.
    """
    from engine.take import Take

    check(Wish(seed=seed, fidelity=fidelity))
    parent = Take.load(resolved(take, out))
    before = parent.info.head.request
    if before.fidelity.level <= Fidelity(fidelity).level and parent.info.state == "complete":
        finer = "it is as fine as takes get" if before.fidelity is Fidelity.FULL else "choose a finer one"
        raise OutOfRange(f"the take '{parent.folder}' is {before.fidelity} already; {finer}")
    request = before.model_copy(
        update={
            "schema_version": 2,
            "model": model_of(model, parent),
            "mode": Mode.UPSAMPLE,
            "prime": None,
            "parents": (TakeRef(folder=str(parent.folder)),),
            "span": None,
            "frames": parent.info.frames,
            "fidelity": Fidelity(fidelity),
            "seed": before.seed if seed is None else seed,
        }
    )
    backend = loaded(request.model, as_json)
    tell_takes(make(backend, request, takes_folder(out), quiet=as_json), request, as_json)
