"""What does a session cost while nothing is asked of it?

usage: scripts/idle [--seconds 30] [--limit 2] [--json] [--model M] [--mock] [--device DEVICE]

A session with its model loaded and its output open on a sound server without hardware (512 frames at a time) is left
alone. Processor time of all its processes, user's and system's, is added up by process and by thread, as a share of
one core. Ends with status 1 if it is more than ``--limit`` percent.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table
from served import Serve
from sound_server import Server

SETTLE_SECONDS = 8.0  # the model is warmed up and pages are given back


def spent(root: psutil.Process) -> dict[str, float]:
    """Seconds of processor time so far by ``process/thread``."""
    found: dict[str, float] = {}
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.Error, OSError):
            for task in Path(f"/proc/{process.pid}/task").iterdir():
                name = f"{part_of(process, root)}/{(task / 'comm').read_text().strip()} {task.name}"
                found[name] = int((task / "schedstat").read_text().split()[0]) / 1e9
    return found


def part_of(process: psutil.Process, root: psutil.Process) -> str:
    """Which part of Segue a process is."""
    if process.pid == root.pid:
        return "bridge"
    if process.name().startswith("segue-engine"):
        return "engine"
    return "audio" if "libportaudio" in Path(f"/proc/{process.pid}/maps").read_text() else "helper"


def shares(before: dict[str, float], after: dict[str, float], seconds: float) -> dict[str, float]:
    """Percent of one core by ``process/thread``, of those that took any."""
    used = {name: 100.0 * (total - before.get(name, 0.0)) / seconds for name, total in after.items()}
    return {name: percent for name, percent in sorted(used.items(), key=lambda item: -item[1]) if percent > 0}


def measure(serve: Serve, seconds: float) -> dict[str, float]:
    """Percent of one core of a session that has just become ready."""
    root = psutil.Process(serve.process.pid)
    time.sleep(SETTLE_SECONDS)
    before, began = spent(root), time.monotonic()
    time.sleep(seconds)
    return shares(before, spent(root), time.monotonic() - began)


def main() -> int:
    """The command; returns its exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--seconds", type=float, default=30.0)
    options.add_argument("--limit", type=float, default=2.0, help="percent of one core")
    options.add_argument("--json", action="store_true", help="print the figures as JSON")
    options.add_argument("--model", help="instead of the usual one")
    options.add_argument("--mock", action="store_true", help="with the mock engine")
    options.add_argument("--device", help="instead of the sound server's, such as none")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        server = Server(f"idle{os.getpid()}", Path(place))
        server.start()
        flags = ["--takes", f"{place}/takes", "--query-port", "0"]
        flags += [] if asked.model is None else ["--model", asked.model]
        flags += [] if asked.device is None else ["--device", asked.device]
        serve = Serve(
            [*flags, *(["--mock"] if asked.mock else [])], server.environment, Path(place) / "serve.log"
        )
        try:
            serve.port()
            used = measure(serve, asked.seconds)
        finally:
            serve.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                serve.process.wait(10)
            server.stop()
    total = sum(used.values())
    if asked.json:
        print(json.dumps({"percent": total, "limit": asked.limit, "threads": used}, indent=1))
    else:
        shown = Table("process/thread", "% of a core", box=None)
        for name, percent in used.items():
            shown.add_row(name, f"{percent:.2f}")
        shown.add_row("all", f"{total:.2f}")
        Console().print(shown)
    return 1 if total > asked.limit else 0


if __name__ == "__main__":
    sys.exit(main())
