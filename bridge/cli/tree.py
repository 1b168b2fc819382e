"""``segue tree``: a riff continued several times, each continuation again, down to a depth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bridge.cli.making import bar, figures, loaded, takes_folder, tell_notes
from bridge.cli.options import (
    fidelity_option,
    json_option,
    length_options,
    lyrics_option,
    model_option,
    prime_options,
    seed_option,
    style_option,
    takes_option,
)
from bridge.cli.wishes import begun_seed, checked_source, model_of, resolved, wanted, wish_of


@click.command()
@click.argument("riff", type=click.Path(path_type=Path))
@click.option("--branch", type=int, default=4, show_default=True, help="Continuations of every node.")
@click.option("--depth", type=int, default=2, show_default=True, help="Steps from the riff to a leaf.")
@length_options
@style_option
@lyrics_option
@prime_options
@seed_option
@fidelity_option
@model_option
@takes_option("The tree's folder; the same command goes on with a tree that was begun in it.")
@json_option
def tree(
    riff: Path,
    branch: int,
    depth: int,
    seed: int | None,
    model: str | None,
    out: Path | None,
    as_json: bool,
    **shape: Any,
) -> None:
    """Grow a tree of continuations from RIFF, an audio file or the folder of a take.

    --bars or --seconds is the length of one step. Takes lie in folders named by their path, such as 2/3; each
    leaf has path.wav, everything from the riff to its end. tree.json says how every take is made.
    """
    from engine.host.branching import TREE, Nodes, check_size, grow_tree

    source = resolved(riff)
    root = out.expanduser().resolve() if out else takes_folder(None) / f"tree_{source.stem}"
    if seed is None:
        seed = begun_seed(root / TREE)
    wish = wish_of(source, seed=seed, model=model, **shape)
    count = check_size(branch, depth)
    parent = checked_source(wish)
    backend = loaded(model_of(model, parent), as_json)
    asked = wanted(wish, backend, parent)
    tell_notes(asked.request, backend.config)
    made: dict[str, dict[str, object]] = {}
    with bar(count, as_json) as tell:
        nodes = Nodes(
            backend, asked.request, root, asked.prime, on_event=lambda event: tell(event, len(made))
        )
        leaves = grow_tree(
            nodes,
            branch,
            depth,
            lambda take: made.update({str(take.folder.relative_to(root)): figures(take)}),
        )
    if as_json:
        told = {"tree": str(root / TREE), "seed": asked.request.seed, "takes": made}
        click.echo(json.dumps({**told, "leaves": [str(leaf) for leaf in leaves]}, indent=2))
        return
    click.echo(f"{root}  {count} takes, seed {asked.request.seed}")
    for leaf in leaves:
        click.echo(f"{leaf}")
