"""Where figures come from: the command, the code and the machine, without its name."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil
import torch

from engine.commandline import spoken
from engine.request import Frozen

ROOT = Path(__file__).resolve().parents[2]


class Machine(Frozen):
    """The machine in words: processor, cores, memory in GiB, GPU if any, threads torch uses, versions."""

    processor: str
    cores: int
    memory_gib: float
    gpu: str | None
    threads: int
    system: str
    python: str
    torch: str

    def __str__(self) -> str:
        gpu = f", {self.gpu}" if self.gpu else ""
        return (
            f"{self.processor}, {self.cores} cores, {self.memory_gib:g} GiB{gpu}; {self.system}, "
            f"Python {self.python}, torch {self.torch}, {self.threads} threads"
        )


class Provenance(Frozen):
    """How a report was made: command line, commit (`+`: changed files; None outside git), UTC time."""

    command: str
    commit: str | None
    time: str
    machine: Machine


def provenance() -> Provenance:
    """The provenance of whatever this process measures."""
    name = Path(sys.argv[0]).name if sys.argv else ""
    program = ["segue"] if name == "segue" else ["python", name]
    return Provenance(
        command=spoken([*program, *sys.argv[1:]]),
        commit=_commit(),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine(),
    )


def machine() -> Machine:
    """A description of this machine for reports."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        threads=torch.get_num_threads(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        torch=torch.__version__,
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    if not (ROOT / ".git").exists():
        return None
    command = ["git", "-C", str(ROOT), "describe", "--always", "--exclude=*", "--dirty=+"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
