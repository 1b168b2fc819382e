"""The root group ``segue``: lazy subcommands; the one place where failures get a sentence and an exit code.

Exit codes: 0 done, 1 unexpected failure (a bug: with traceback), 2 a failure that has a name or bad usage,
130 interrupted.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from engine.errors import SegueError

if TYPE_CHECKING:
    from pydantic import ValidationError

INTERRUPTED = 130


class LazyCommand(NamedTuple):
    """Where a subcommand lives (``module:attribute``) and its line in ``segue --help``."""

    target: str
    summary: str


COMMANDS: dict[str, LazyCommand] = {
    "serve": LazyCommand("bridge.cli.serve:serve", "Run beside the DAW: OSC in, continuations out."),
    "continue": LazyCommand("bridge.cli.continue_:continue_", "Continue a riff file, without the DAW."),
    "align": LazyCommand("engine.alignment.cli:align", "Find when each word of a take is sung."),
    "sample": LazyCommand("bridge.cli.sample:sample", "Make music from nothing but a style."),
    "upsample": LazyCommand("bridge.cli.upsample:upsample", "Make a draft take fine or full."),
    "infill": LazyCommand("bridge.cli.infill:infill", "Sample a span of a take again."),
    "tree": LazyCommand("bridge.cli.tree:tree", "Continue a riff in branches, and each branch again."),
    "compose": LazyCommand("bridge.cli.compose:compose", "Choose among continuations, step by step."),
    "takes": LazyCommand("bridge.cli.takes:takes", "List, mark, hear, recall and tidy up takes."),
    "train": LazyCommand("export.training:train", "Train a model of your own, or its parts."),
    "corpus": LazyCommand("engine.corpus.cli:corpus", "Make and look at the training corpus."),
    "eval": LazyCommand("engine.evaluation.cli:evaluate", "Measure a model: codec, priors, continuations."),
    "ablate": LazyCommand("engine.ablation.cli:ablate", "Repeat the paper's codec tables at small scale."),
    "seams": LazyCommand("engine.evaluation.seams_cli:seams", "Compare ways of sampling windows in lanes."),
    "export": LazyCommand("export.cli:export", "Write takes for a DAW, or a model for another runtime."),
    "models": LazyCommand("engine.store.cli:models", "Import released weights; list and check models."),
    "bench": LazyCommand("export.bench.cli:bench", "Measure how fast a model runs here."),
    "presets": LazyCommand("bridge.cli.presets:presets", "List, show, make and check presets."),
    "midi": LazyCommand("bridge.cli.midi:midi", "Controllers: what reaches what, ports, learning."),
    "daw": LazyCommand("bridge.cli.daw:daw", "Scripts for DAWs; takes sent to them."),
    "osc": LazyCommand("bridge.cli.osc:osc", "OSC: all addresses, sending and listening."),
    "doctor": LazyCommand("bridge.cli.doctor:doctor", "Check this machine and say what to do next."),
}


class Failure(click.ClickException):
    """A named failure on its way out of a command: one sentence on stderr, exit code 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Print ``segue: <sentence>`` on stderr, or on ``file``."""
        click.echo(f"segue: {self.message}", file=file, err=file is None)


class LazyGroup(click.Group):
    """A group whose subcommands are imported on first use, so that its ``--help`` is immediate."""

    def __init__(self, *args: Any, table: dict[str, LazyCommand], **more: Any) -> None:
        super().__init__(*args, **more)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all subcommands, in the order of the table."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the subcommand ``cmd_name``; None when there is no such command."""
        if cmd_name not in self._table:
            return None
        module, _, attribute = self._table[cmd_name].target.partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self._table[cmd_name].target} is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in self._table.items()])


class RootGroup(LazyGroup):
    """The one group that turns failures into sentences and exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; named failures leave as :class:`Failure`, an interrupt as exit code 130."""
        try:
            return super().invoke(ctx)
        except SegueError as error:
            raise Failure(error.message) from error
        except (KeyboardInterrupt, click.Abort):
            click.echo("segue: interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except Exception as error:
            sentence = sentence_of(error)
            if sentence is None:
                raise
            raise Failure(sentence) from error


class NamedFailures(click.Command):
    """A command by itself: named failures leave as :class:`Failure`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        try:
            return super().invoke(ctx)
        except SegueError as error:
            raise Failure(error.message) from error


def sentence_of(error: Exception) -> str | None:
    """The first complaint of a pydantic ``ValidationError`` in one sentence; None for any other exception."""
    # pydantic is looked up, not imported: an error of its kind can only exist when a command has imported it.
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not isinstance(error, pydantic.ValidationError):
        return None
    validation: ValidationError = error
    first = validation.errors(include_url=False)[0]
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    field = ".".join(str(part) for part in first["loc"]) or validation.title
    if first["type"] == "missing":
        return f"{field} is missing"
    return f"{field} is {first['input']!r}; {first['msg'][0].lower()}{first['msg'][1:]}"


def _print_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from bridge.cli.version import version

        click.echo(f"segue {version()}")
        ctx.exit()


@click.command(cls=RootGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version (and the commit, in a git checkout) and exit.",
)
def segue() -> None:
    """Segue continues a riff while the DAW plays."""


main = segue
