"""Where figures come from: the command, the code and the machine, without its name."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil

from engine.backends import SAMPLING_THREADS
from engine.commandline import spoken
from engine.request import Frozen

ROOT = Path(__file__).resolve().parents[2]


class Machine(Frozen):
    """The machine in words: processor, cores, memory in GiB, GPU if any, threads that are computed with, versions
    (None: not installed)."""

    processor: str
    cores: int
    memory_gib: float
    gpu: str | None
    threads: int
    system: str
    python: str
    torch: str | None
    onnxruntime: str | None = None

    def __str__(self) -> str:
        gpu = f", {self.gpu}" if self.gpu else ""
        packages = {"torch": self.torch, "ONNX Runtime": self.onnxruntime}
        versions = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
        return (
            f"{self.processor}, {self.cores} cores, {self.memory_gib:g} GiB{gpu}; {self.system}, "
            f"Python {self.python}, {versions}, {self.threads} threads"
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
    """A description of this machine for reports; torch is looked at where it is loaded, never loaded."""
    torch = sys.modules.get("torch")
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        gpu=_gpu(),
        threads=torch.get_num_threads() if torch else SAMPLING_THREADS,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        torch=_version("torch"),
        onnxruntime=_version("onnxruntime") or _version("onnxruntime-gpu"),
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _gpu() -> str | None:
    """Name of the first card, as torch or else the driver's own tool says."""
    torch = sys.modules.get("torch")
    if torch is not None:
        return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else None
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.partition("\n")[0].strip() or None


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
