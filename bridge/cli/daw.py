"""``segue daw``: scripts for DAWs, and what can be asked of them."""

from __future__ import annotations

from pathlib import Path

import click

from bridge.cli.client import Client
from bridge.cli.osc import client_options
from bridge.daw.install import install as put
from bridge.daw.install import plan_of
from bridge.osc.addresses.daw import DAWS, SCRIPTED
from engine.errors import NotReady, SegueError

ANSWER_SECONDS = 2.0
SEND_SECONDS = 400.0  # an export, and what a DAW needs for it
_TAG = "#daw"


@click.group()
def daw() -> None:
    """Put Segue's scripts into a DAW; send takes there."""


@daw.command()
@click.argument("name", metavar="reaper|ardour|live", type=click.Choice(SCRIPTED))
@click.option("--show", is_flag=True, help="Only say what would be copied where.")
@click.option("--to", type=click.Path(path_type=Path), default=None, help="Copy there instead.")
@click.option("--force", is_flag=True, help="Replace files that differ; what was there is kept beside.")
def install(name: str, show: bool, to: Path | None, force: bool) -> None:
    """Copy the scripts to where the DAW looks for them, and say what remains to be done there."""
    plan = plan_of(name, to.expanduser().absolute() if to else None)
    if show:
        for source, target in plan.files:
            click.echo(f"{source} -> {target}")
        return
    written, same = put(plan, force)
    for path in written:
        click.echo(f"written: {path}")
    for path in same:
        click.echo(f"there already: {path}")
    click.echo(f"Now {plan.then}.")


@daw.command("list")
@client_options
def list_(host: str, port: int) -> None:
    """List the DAWs that a running session hears of."""
    with Client(host, port) as client:
        client.send("/segue/daws")
        for message in client.heard(ANSWER_SECONDS):
            if message.address == "/segue/daws.item":
                click.echo(" ".join(str(value) for value in message.values))
            elif message.address == "/segue/daws.end":
                if message.values == (0,):
                    click.echo("no DAW's script is there; segue daw install puts one in place")
                return
    raise NotReady(f"nothing answered at {host}:{port}; is segue serve running there?")


@daw.command()
@client_options
@click.argument("take")
@click.argument("name", metavar="reaper|ardour|live|bitwig", type=click.Choice(DAWS))
@click.argument("track", type=click.IntRange(0), default=0)
@click.argument("slot", type=click.IntRange(0), default=0)
def send(host: str, port: int, take: str, name: str, track: int, slot: int) -> None:
    """Put a take of a running session on a track of a DAW."""
    _ask(host, port, "/segue/send", take, name, track, slot)
    click.echo(f"take {take} is in {name}")


@daw.command()
@client_options
@click.argument("name", metavar="reaper|ardour|live", type=click.Choice(SCRIPTED))
@click.option("--prime", is_flag=True, help="Prime with it only; do not continue it.")
def extend(host: str, port: int, name: str, prime: bool) -> None:
    """Have a DAW hand over the clip that is selected in it, and continue that."""
    _ask(host, port, "/segue/daw/grab", name, int(not prime))
    click.echo(f"{name} was asked for what is selected in it")


def _ask(host: str, port: int, address: str, *values: str | int) -> None:
    """Wait until a request is answered. Raises what is wrong."""
    with Client(host, port) as client:
        client.send("/segue/test")
        if not any(True for _ in client.heard(ANSWER_SECONDS)):
            raise NotReady(f"nothing answered at {host}:{port}; is segue serve running there?")
        client.send(address, _TAG, *values)
        for message in client.heard(SEND_SECONDS):
            if message.values[:1] != (address,):
                continue
            if message.address == "/segue/fail":
                _, code, slug, sentence, *_ = message.values
                raise SegueError(str(sentence), code=int(str(code)), slug=str(slug))
            return
    raise NotReady(f"{host}:{port} has not answered for {SEND_SECONDS:.0f} s; look what it prints")
