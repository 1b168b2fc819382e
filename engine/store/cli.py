"""`segue models`: import released weights; list, show and verify the models that are here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.errors import BadFormat, NoFile, SegueError
from engine.store.fetch_cli import fetch

if TYPE_CHECKING:
    from engine.store.importing import Plan


@click.group()
def models() -> None:
    """Fetch, import, list, show and check models."""


models.add_command(fetch)


@contextmanager
def _byte_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar over bytes on stderr; yields the function that moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda nbytes: bar.advance(task, nbytes)


@models.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--name", help="What the model is called here [default: what it is called there].")
@click.option(
    "--model",
    type=click.Choice(["5b", "5b_lyrics", "1b_lyrics"]),
    help="Which one, where a folder holds several top priors.",
)
@click.option("--labels", type=click.Path(path_type=Path), help="Folder of the artist and genre lists.")
@click.option("--no-labels", is_flag=True, help="Import without lists: every artist and genre is 'unknown'.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to put the model's folder in.")
@click.option("--json", "as_json", is_flag=True, help="Print what was imported as JSON.")
def import_(
    paths: tuple[Path, ...],
    name: str | None,
    model: str | None,
    labels: Path | None,
    no_labels: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Import released Jukebox weights from PATHS.

    PATHS is a folder with vqvae.pth.tar and prior_level_0, 1 and 2.pth.tar (the last one in 5b/, 5b_lyrics/ or
    1b_lyrics/ where there are several), those files one by one, or a folder of Hugging Face's openai/jukebox
    models. OpenAI's files come without label lists: --labels names a folder with v2_artist_ids.txt,
    v2_genre_ids.txt and, for 1b_lyrics, v3_artist_ids.txt and v3_genre_ids.txt. The files are not changed, and
    nothing in them is run.
    """
    from engine.store.home import new_model_folder
    from engine.store.importing import execute

    if labels is not None and no_labels:
        raise click.UsageError("--labels and --no-labels exclude each other")
    plan = _plan(paths, name, model, labels, no_labels)
    new_model_folder(plan.config.name, out)
    with _byte_bar(f"importing {plan.config.name}", plan.nbytes) as step:
        folder = execute(plan, out, step)
    if as_json:
        done = {
            "name": folder.name,
            "folder": str(folder),
            "parameters": plan.parameters,
            "bytes": plan.nbytes,
        }
        click.echo(json.dumps(done))
    else:
        click.echo(
            f"{folder.name}: {plan.parameters / 1e6:,.1f} M parameters, {_size(plan.nbytes)}, in {folder}"
        )


def _plan(
    paths: tuple[Path, ...], name: str | None, model: str | None, labels: Path | None, no_labels: bool
) -> Plan:
    from engine.store.hf_folder import is_hf_folder, json_labels, plan_hf
    from engine.store.importing import lists_in
    from engine.store.openai_files import plan_openai

    listed = lists_in(labels) if labels is not None else None
    if len(paths) == 1 and is_hf_folder(paths[0]):
        if model is not None:
            raise click.UsageError(
                "--model chooses among OpenAI's files; a Hugging Face folder holds one model"
            )
        return plan_hf(paths[0], name, None if no_labels else listed or json_labels(paths[0]))
    # Where OpenAI's files lie is where one would put the lists beside them.
    beside = paths[0] if paths[0].is_dir() else paths[0].parent
    return plan_openai(paths, model, name, None if no_labels else listed or lists_in(beside))


def _size(nbytes: int) -> str:
    return f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.1f} MB"


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_(as_json: bool) -> None:
    """List the models that are here: shipped, imported and own ones."""
    from rich.console import Console
    from rich.table import Table

    from engine.store.home import known_models
    from engine.store.inspecting import summarise

    found, broken = [], []
    for name, folder in known_models().items():
        try:
            found.append(summarise(name, folder))
        except SegueError as error:
            broken.append({"name": name, "folder": str(folder), "problem": error.message})
    if as_json:
        click.echo(json.dumps([*map(asdict, found), *broken]))
        return
    table = Table("name", "origin", "levels", "parameters", "size", box=None)
    for entry in found:
        millions = f"{entry.parameters / 1e6:,.1f} M"
        table.add_row(entry.name, entry.origin, str(entry.levels), millions, _size(entry.nbytes))
    Console().print(table)
    for problem in broken:
        click.echo(f"segue: {problem['name']} is broken: {problem['problem']}", err=True)


@models.command()
@click.argument("name")
@click.option("--memory", is_flag=True, help="Show what it needs in memory in every precision instead.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def show(name: str, memory: bool, as_json: bool) -> None:
    """Show a model: its configuration, labels, training record and metrics. NAME may be a folder."""
    from engine.store.home import model_folder
    from engine.store.inspecting import describe

    folder = model_folder(name)
    if memory:
        _show_memory(folder, as_json)
        return
    shown = describe(name, folder)
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    click.echo(
        f"{shown['name']} ({shown['origin']}): {shown['parameters'] / 1e6:,.1f} M parameters, "
        f"{_size(shown['nbytes'])}, in {shown['folder']}"
    )
    codec = shown["codec"]
    click.echo(f"codec: {codec['sample_rate']} Hz, {codec['bins']} codes, {len(codec['downs'])} levels")
    for prior in reversed(shown["priors"]):
        click.echo(_prior_line(prior))
    for what in ("artists", "genres"):
        names = shown["labels"][what]
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        click.echo(f"{what}: {', '.join(names[:8])}{more}")
    for what in ("training", "metrics"):
        click.echo(f"{what}: {json.dumps(shown[what]) if shown[what] else 'not recorded'}")


def _show_memory(folder: Path, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from engine.store.files import read_config
    from engine.store.memory import memory_table

    rows = memory_table(read_config(folder))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table("", *(str(row["precision"]) for row in rows), box=None)
    for part in list(rows[0])[1:]:
        table.add_row(part.replace("_", " of level "), *(_size(int(row[part])) for row in rows))
    Console().print(table)


def _prior_line(prior: dict[str, Any]) -> str:
    seconds = prior["n_ctx"] * prior["hop"] / prior["sample_rate"]
    lyrics = prior["lyrics"]
    form = ""
    if lyrics:
        form = f", {lyrics['tokens']} characters of lyrics " + (
            "by an encoder" if lyrics["encoder"] else "before the music"
        )
    return (
        f"level {prior['level']}: windows of {prior['n_ctx']} tokens ({seconds:.2f} s), width {prior['width']}, "
        f"{prior['depth']} layers, {prior['heads']} heads, attention order {prior['attention_order']}{form}"
    )


@models.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def verify(name: str, as_json: bool) -> None:
    """Check a model's files: digests, shapes, and that every value is a number. NAME may be a folder."""
    from engine.store.home import model_folder
    from engine.store.inspecting import bytes_to_verify
    from engine.store.inspecting import verify as verify_folder

    folder = model_folder(name)
    try:
        total = bytes_to_verify(folder)
    except FileNotFoundError as error:
        raise NoFile(f"{error.filename} is missing; copy or import the model again") from error
    with _byte_bar(f"verifying {name}", total) as step:
        found = verify_folder(folder, step)
    if as_json:
        click.echo(json.dumps(found))
    else:
        for file, wrong in found["files"].items():
            click.echo(f"{file}: {wrong or 'as it should be'}")
        if not found["hashed"]:
            click.echo("no digests were recorded, so none were compared")
    if not found["ok"]:
        file, wrong = next(entry for entry in found["files"].items() if entry[1])
        raise BadFormat(f"{folder / file} is damaged: {wrong}")
