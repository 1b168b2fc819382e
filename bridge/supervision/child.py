"""What a spawned child runs first: it imports the real entry point there, so that the bridge never loads torch."""

from __future__ import annotations

import multiprocessing
import signal
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

CONTEXT = multiprocessing.get_context("spawn")  # a fork would take threads and sockets of the bridge along


def run(target: str, connection: Connection, options: dict[str, Any]) -> None:
    """Call ``module:function`` with the pipe and the options.

    Ctrl-C reaches every process of a terminal at once; the bridge decides what happens then, also while the
    child is still importing.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module, _, name = target.partition(":")
    getattr(import_module(module), name)(connection, options)
