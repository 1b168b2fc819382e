"""``segue osc``: the addresses as a page and a list, and a small client for trying things out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import click

from bridge.cli.client import Client
from bridge.cli.options import json_option
from bridge.osc.addresses import DEFAULT_PORT, SUBJECTS, TABLE
from bridge.osc.docs import page
from bridge.osc.patterns import matches
from bridge.osc.table import signature
from bridge.osc.wire import Sendable
from engine.errors import NoFile, NotReady, OutOfRange, SegueError

ADDRESSES = Path(__file__).resolve().parents[1] / "osc" / "ADDRESSES.md"
ANSWER_SECONDS = 1.0


class OutOfDate(SegueError):
    """A generated page that is not what would be generated now."""

    code, slug = 409, "out_of_date"


@click.group()
def osc() -> None:
    """What Segue understands over OSC, and sending it."""


@osc.command()
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Write the page to this file.")
@click.option("--check", is_flag=True, help="Fail if the shipped page (or --out) is not up to date.")
def docs(out: Path | None, check: bool) -> None:
    """Print the page of all addresses, in Markdown."""
    text = page(SUBJECTS, TABLE)
    if check:
        path = out or ADDRESSES
        if not path.is_file():
            raise NoFile(f"there is no page at {path}; run segue osc docs --out {path}")
        if path.read_text(encoding="utf-8") != text:
            raise OutOfDate(f"{path} is out of date; run segue osc docs --out {path}")
        click.echo(f"{path} is up to date")
    elif out is not None:
        out.write_text(text, encoding="utf-8")
    else:
        click.echo(text, nl=False)


@osc.command("list")
@click.argument("pattern", default="//*")
@json_option
def list_(pattern: str, as_json: bool) -> None:
    """List the addresses, or those that an OSC pattern reaches."""
    found = [entry for entry in TABLE if matches(pattern, entry.address)]
    if as_json:
        told = [
            {"address": e.address, "takes": signature(e.arguments), "role": str(e.role), "doc": e.doc}
            for e in found
        ]
        click.echo(json.dumps(told, indent=2))
        return
    if not found:
        raise OutOfRange(f"no address matches {pattern}; the nearest is {TABLE.nearest(pattern)}")
    for entry in found:
        click.echo(f"{entry.address} {signature(entry.arguments)}".rstrip() + f"  # {entry.doc}")


def client_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--host`` and ``--port``."""
    click.option("--port", type=int, default=DEFAULT_PORT, show_default=True, help="Port of the session.")(
        command
    )
    click.option("--host", default="127.0.0.1", show_default=True, help="Where the session runs.")(command)
    return command


@osc.command(context_settings={"ignore_unknown_options": True})
@client_options
@click.option("--seconds", default=ANSWER_SECONDS, show_default=True, help="How long to wait for answers.")
@click.argument("address")
@click.argument("values", nargs=-1)
def send(host: str, port: int, seconds: float, address: str, values: tuple[str, ...]) -> None:
    """Send one message and print what is answered. Numbers are sent as numbers."""
    with Client(host, port) as client:
        client.send(address, *(_value(text) for text in values))
        if not _show(client, seconds):
            raise NotReady(f"nothing answered at {host}:{port}; is segue serve running there?")


@osc.command()
@client_options
@click.option("--seconds", default=math.inf, help="End after so long (default: Ctrl-C).")
@click.argument("patterns", nargs=-1)
def listen(host: str, port: int, seconds: float, patterns: tuple[str, ...]) -> None:
    """Print what happens until Ctrl-C: everything, or what the patterns reach."""
    with Client(host, port) as client:
        for pattern in patterns:
            client.send("/segue/listen", pattern, 1)
        if not patterns:
            client.send("/segue/notify", 1)
        if not _show(client, seconds):
            raise NotReady(f"nothing answered at {host}:{port}; is segue serve running there?")


def _value(text: str) -> Sendable:
    """A number if it reads as one: 3, 0.5; otherwise a text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _show(client: Client, seconds: float) -> int:
    """Print what comes within ``seconds``; returns how many messages."""
    count = 0
    for message in client.heard(seconds):
        count += 1
        click.echo(" ".join([message.address, *(_shown(value) for value in message.values)]))
    return count


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
