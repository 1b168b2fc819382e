"""What a check answers, and asking a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """``ok``: nothing to do. ``note``: Segue works, with less. ``red``: something needed does not work."""

    OK = "ok"
    NOTE = "note"
    RED = "red"


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, how it is, and the next step where there is one."""

    name: str
    level: Level
    detail: str
    next_step: str = ""


class AskFailed(Exception):
    """A child process did not answer; the message is the last thing that it said."""


def ask(code: str, seconds: float, *arguments: str) -> dict[str, Any]:
    """Run ``code`` in a fresh interpreter for at most ``seconds``; its last line is its answer as JSON."""
    try:
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise AskFailed(f"no answer within {seconds:g} s") from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise AskFailed(said[-1].strip() if said else f"exit status {done.returncode}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
