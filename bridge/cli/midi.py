"""``segue midi``: the map of controls, the ports that are there, and learning, without a running session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table

from bridge.cli.options import json_option
from bridge.midi.actions import BY_NAME, Value, find, markdown, rows
from bridge.midi.learn import LEARN_SECONDS
from bridge.midi.ports import PortSystem, RtMidi, check_port, plain_name, wanted
from bridge.midi.profile import Profiles
from bridge.midi.service import Midi
from bridge.midi.settings import Binding, Keeper, MidiSettings, load, settings_path
from engine.errors import SegueError


@click.group()
def midi() -> None:
    """Play Segue from a controller: what reaches what, ports, learning."""


@midi.command("map")
@json_option
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the table of the README.")
def map_(as_json: bool, as_markdown: bool) -> None:
    """Print which control reaches which action, learned ones included."""
    learned = load(settings_path()).control
    if as_json:
        bound = [binding.model_dump(mode="json", exclude_none=True) for binding in learned]
        click.echo(json.dumps({"actions": rows(), "learned": bound}, indent=2))
    elif as_markdown:
        click.echo(markdown())
    else:
        _print(["action", "control", "values", "feedback", "does"], rows())
        _tell_learned(learned)


@midi.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the MIDI ports that are there, the profile of each, and whether Segue opens it."""
    settings, system, profiles = load(settings_path()), RtMidi(), Profiles([settings_path().parent / "midi"])
    found: list[dict[str, object]] = []
    for direction, names in (("in", system.inputs()), ("out", system.outputs())):
        opened = wanted(names, settings.ports)
        found += [
            {
                "port": plain_name(name),
                "direction": direction,
                "profile": profiles.of(name).name,
                "used": "yes" if name in opened else "no",
            }
            for name in names
        ]
    virtual = settings.virtual and system.has_virtual
    if as_json:
        told = {"system": system.name, "virtual": virtual, "ports": found, "problems": profiles.problems}
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(f"{system.name}; Segue offers {'ports of its own' if virtual else 'no port of its own'}")
    if found:
        _print(["port", "direction", "profile", "used"], found)
        click.echo("segue midi use NAME has Segue open a port")
    else:
        click.echo("no other port is there")
    for problem in profiles.problems:
        click.echo(problem, err=True)


@midi.command()
@click.argument("ports", nargs=-1)
@click.option("--channel", type=click.IntRange(0, 16), help="Channel of the default map; 0: all.")
@click.option(
    "--take-over", type=click.Choice(["pickup", "jump"]), help="What a knob does that stands elsewhere."
)
@click.option("--none", "clear", is_flag=True, help="Open no ports but Segue's own.")
def use(ports: tuple[str, ...], channel: int | None, take_over: str | None, clear: bool) -> None:
    """Have Segue open the PORTS whose names contain these words, as well as those it opens already."""
    keeper = _keeper()
    if ports:
        names = _names(RtMidi())
        for part in ports:
            check_port(part, names)
    kept = () if clear else keeper.settings.ports
    changed: dict[str, object] = {"ports": tuple(dict.fromkeys((*kept, *ports)))}
    if channel is not None:
        changed["channel"] = channel
    if take_over is not None:
        changed["takeover"] = take_over
    keeper.keep(MidiSettings.model_validate({**keeper.settings.model_dump(), **changed}))
    used = ", ".join(f"'{part}'" for part in keeper.settings.ports) or "none but Segue's own"
    where = f"channel {keeper.settings.channel}" if keeper.settings.channel else "every channel"
    click.echo(f"ports: {used}; {where}; take-over: {keeper.settings.takeover}")


@midi.command()
@click.argument("action")
@click.option("--port", default="*", show_default=True, help="Listen to ports whose names contain this.")
@click.option("--seconds", default=LEARN_SECONDS, show_default=True, type=float, help="How long to wait.")
def learn(action: str, port: str, seconds: float) -> None:
    """Bind the next button or knob that you use to ACTION (see segue midi map; preset.3 is the third preset)."""
    find(action)
    keeper = _keeper()
    if port != "*":
        check_port(port, _names(RtMidi()))
    click.echo(
        f"use the control for '{action}' within {seconds:g} s (an endless one: turn it slowly to the left)"
    )
    binding = asyncio.run(_learned(action, port, seconds, keeper))
    click.echo(f"{binding} is '{action}' now")
    if not wanted([binding.port], keeper.settings.ports):
        click.echo(f"to have Segue open that port: segue midi use '{binding.port}'")


@midi.command()
@click.argument("action", required=False)
@click.option("--all", "everything", is_flag=True, help="Forget all that was learned.")
def forget(action: str | None, everything: bool) -> None:
    """Forget what was learned for ACTION; its default controls hold again."""
    if (action is None) is not everything:
        raise click.UsageError("name an action, or give --all")
    if action is not None and action not in BY_NAME:
        find(action)
    _keeper()
    count = Midi(_Nobody()).forget(action or "")
    click.echo(f"{count} learned control{'' if count == 1 else 's'} forgotten")


class _Nobody:
    """Plays nothing while a control is learned."""

    def act(self, action: str, value: Value) -> None:
        """Do nothing."""


def _keeper() -> Keeper:
    """The settings; raises BadFormat when the file cannot be used, for a command must not write over it."""
    load(settings_path())
    return Keeper(settings_path())


def _names(system: PortSystem) -> list[str]:
    return list(dict.fromkeys([*system.inputs(), *system.outputs()]))


async def _learned(action: str, port: str, seconds: float, keeper: Keeper) -> Binding:
    outcome: asyncio.Future[Binding] = asyncio.get_running_loop().create_future()

    def done(result: Binding | SegueError) -> None:
        if isinstance(result, SegueError):
            outcome.set_exception(result)
        else:
            outcome.set_result(result)

    service = Midi(_Nobody(), path=keeper.path, notice=click.echo, ports=[port])
    service.start()
    try:
        service.learn(action, done, seconds)
        return await outcome
    finally:
        await service.close()


def _tell_learned(learned: Sequence[Binding]) -> None:
    if not learned:
        click.echo("nothing has been learned; segue midi learn ACTION binds a control of yours")
    for binding in learned:
        click.echo(f"learned: {binding} is {binding.action}")


def _print(columns: Sequence[str], lines: Sequence[dict[str, object]]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*(str(line[column]) for column in columns))
    Console().print(table)
