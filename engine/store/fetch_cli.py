"""``segue models fetch``: download a model's files from a source of the user's choice."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("name")
@click.option(
    "--from", "source", required=True, help="Address of the folder that holds 5b/, 1b_lyrics/ and so on."
)
@click.option("--to", "folder", type=click.Path(path_type=Path), help="Folder to put the files in.")
@click.option(
    "--sha256",
    "listing",
    type=click.Path(path_type=Path),
    help="File of SHA-256 sums to check against. [default: SHA256SUMS of the source, if it has one]",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was fetched as JSON.")
def fetch(name: str, source: str, folder: Path | None, listing: Path | None, as_json: bool) -> None:
    """Fetch the files of the model NAME (5b, 5b_lyrics, 1b_lyrics, or one that the source's list has).

    Segue knows no source by itself and sends no credentials. A download that broke off goes on where it was.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from engine.store.fetch import RELEASED_FILES, fetch_model, read_list
    from engine.store.home import models_home

    target = (folder or models_home().parent / "downloads").expanduser()
    digests = None if listing is None else read_list(listing)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=as_json) as bar:
        task = bar.add_task(name, total=None)

        def step(file: str, done: int, total: int | None) -> None:
            bar.update(task, description=file, completed=done, total=total)

        files = fetch_model(name, source, target, digests=digests, step=step)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "folder": str(target),
                    "files": [
                        {"path": str(f.path), "bytes": f.size, "resumed": f.resumed, "verified": f.verified}
                        for f in files
                    ],
                }
            )
        )
        return
    for file in files:
        checked = "SHA-256 as listed" if file.verified else "no SHA-256 to compare with"
        click.echo(f"{file.path}  {file.size / 1e6:.1f} MB, {checked}")
    if name in RELEASED_FILES:
        click.echo(f"next: segue models import {target} --model {name}")
