"""The command line: the root group ``segue``. Subcommands are imported only when they are used."""

from bridge.cli.root import main, segue

__all__ = ["main", "segue"]
