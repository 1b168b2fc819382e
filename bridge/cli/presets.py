"""``segue presets``: what presets there are, one of them in full, a new one, and what is wrong with those there are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from bridge.cli.options import json_option
from engine.errors import BadArguments, Busy, NotReady, OutOfRange, SegueError
from presets import Entry, Library, Preset, fitted_style, load_preset, preset_toml, resolve_style, user_folder
from presets.schema import key_of

Command = TypeVar("Command", bound=Callable[..., Any])

_USER = click.option(
    "--user",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder of your presets. [default: SEGUE_PRESETS, else in your configuration folder]",
)
_PROJECT = click.option(
    "--project",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder of the project's presets, which hide yours of the same name.",
)


def folders(command: Command) -> Command:
    """The options that say where presets lie."""
    return _USER(_PROJECT(command))


def library_of(user: Path | None, project: Path | None) -> Library:
    """The library of the command line."""
    return Library(user or user_folder(), project)


@click.group()
def presets() -> None:
    """Look at presets, make new ones, check them."""


def _told(entry: Entry) -> dict[str, Any]:
    preset = entry.preset.model_dump(mode="json")
    return {
        **preset,
        "origin": str(entry.origin),
        "path": str(entry.path),
        "bank": entry.bank,
        "program": entry.program,
    }


def _mix(preset: Preset) -> str:
    weights = preset.style.genres or preset.style.artists
    names = sorted(weights, key=lambda name: -weights[name])
    total = sum(weights.values())
    return (
        names[0] if len(names) == 1 else " + ".join(f"{name} {weights[name] / total:.2g}" for name in names)
    )


@presets.command("list")
@folders
@click.option("--tag", default=None, help="Only presets with this tag.")
@json_option
def list_(user: Path | None, project: Path | None, tag: str | None, as_json: bool) -> None:
    """List the presets with bank and program number (as sent: devices may show one more)."""
    library = library_of(user, project)
    entries = [entry for entry in library.entries.values() if tag is None or tag in entry.preset.tags]
    if as_json:
        told = {"presets": [_told(entry) for entry in entries], "problems": list(library.problems)}
        click.echo(json.dumps(told, indent=2))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "bank", "program", "name", "style", "bars", "quantum", "from", box=None)
    for entry in entries:
        preset, place = entry.preset, ("–", "–")
        if entry.program is not None:
            place = (str(entry.bank), str(entry.program))
        colour = Text("■", style=preset.colour)
        values = (preset.name, _mix(preset), f"{preset.bars:g}", str(preset.quantum), str(entry.origin))
        table.add_row(colour, *place, *(Text(value) for value in values))
    Console().print(table)
    for problem in library.problems:
        click.echo(f"segue: {problem}", err=True)


@presets.command()
@click.argument("name")
@folders
@json_option
def show(name: str, user: Path | None, project: Path | None, as_json: bool) -> None:
    """Show the preset called NAME in full, as a file that could be edited."""
    entry = library_of(user, project).find(name)
    if as_json:
        click.echo(json.dumps(_told(entry), indent=2))
        return
    place = "by name only" if entry.program is None else f"bank {entry.bank}, program {entry.program}"
    click.echo(f"# {entry.origin}: {entry.path}\n# {place}\n{preset_toml(entry.preset)}", nl=False)


@presets.command()
@click.argument("name")
@click.option("--from", "source", default=None, help="Begin with this preset.")
@click.option("--style", default=None, help='Preset, genre, artist, or a mix such as "house:0.7+lofi:0.3".')
@click.option("--bars", type=float, default=None, help="Length of a continuation.")
@click.option("--program", type=int, default=None, help="MIDI program number, 0 to 127.")
@click.option("--colour", default=None, help="As #rrggbb.")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@folders
@json_option
def new(
    name: str,
    source: str | None,
    style: str | None,
    user: Path | None,
    project: Path | None,
    force: bool,
    as_json: bool,
    **fields: Any,
) -> None:
    """Make a preset called NAME in your folder, or in the project's where --project is given."""
    library = library_of(user, project)
    if source is None and style is None:
        raise BadArguments("a preset needs a style; give --style, or --from another preset")
    values: dict[str, Any] = {"description": ""}
    if source is not None:
        values = library.find(source).preset.model_dump(exclude={"bank", "program"})
    if style is not None:
        values["style"] = resolve_style(style, *starter_labels(), presets=library.presets)
    values |= {field: value for field, value in fields.items() if value is not None} | {"name": name}
    try:
        preset = Preset.model_validate(values)
    except ValidationError as error:
        from bridge.cli.root import sentence_of

        raise OutOfRange(sentence_of(error) or str(error)) from error
    path = (project or user or user_folder()) / f"{_file_name(name)}.toml"
    _write(path, preset_toml(preset), force)
    click.echo(json.dumps({"path": str(path)}) if as_json else str(path))


def _file_name(name: str) -> str:
    safe = "".join(sign if sign.isalnum() and sign.isascii() else "_" for sign in key_of(name)).strip("_")
    return safe or "preset"


def _write(path: Path, text: str, force: bool) -> None:
    """Write the file whole or not at all, so that no other program reads half of it."""
    if path.exists() and not force:
        raise Busy(f"{path} is there already; choose another name, or replace it with --force")
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise NotReady(
            f"{path} cannot be written ({error.strerror}); give another folder with --user"
        ) from error


def starter_labels() -> tuple[Sequence[str], Sequence[str]]:
    """The artists and genres of the model that comes with Segue."""
    from engine.store import model_folder, read_config

    config = read_config(model_folder("starter"))
    return config.artists, config.genres


@presets.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@folders
@json_option
@click.pass_context
def check(
    context: click.Context, files: tuple[Path, ...], user: Path | None, project: Path | None, as_json: bool
) -> None:
    """Check FILES, or all presets there are: fields, names, program numbers, and whether the starter plays them.

    Exit code 1 when something is wrong.
    """
    problems: list[str] = []
    found: list[Preset] = []
    if files:
        for path in files:
            try:
                found.append(load_preset(path))
            except SegueError as error:
                problems.append(error.message)
    else:
        library = library_of(user, project)
        found, problems = list(library.presets.values()), list(library.problems)
    notes: list[str] = []
    for preset in found:
        try:
            left_out = fitted_style(preset, *starter_labels()).left_out
        except SegueError as error:
            notes.append(error.message)
            continue
        if left_out:
            names = ", ".join(f"'{name}'" for name in left_out)
            notes.append(f"preset '{preset.name}': the starter does not know {names} and leaves it out")
    if as_json:
        click.echo(json.dumps({"checked": len(found), "problems": problems, "notes": notes}, indent=2))
    else:
        for line in (*problems, *(f"note: {note}" for note in notes)):
            click.echo(line)
        count = f"{len(found)} preset{'' if len(found) == 1 else 's'}"
        click.echo(f"{count} in order, {len(problems)} problem{'' if len(problems) == 1 else 's'}")
    context.exit(1 if problems else 0)
