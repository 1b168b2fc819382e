"""``segue serve`` with the shipped model by ONNX Runtime: no torch anywhere, and little memory."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

MOST_MEGABYTES = 700  # of all processes together (issue "Faster than the music")


def resident(processes: list[psutil.Process]) -> float:
    """Resident megabytes of all; what they share is counted for each."""
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it, as far as they still are."""
    try:
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def loaded(pid: int) -> set[str]:
    """Which of the model runtimes a process has mapped."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return set()
    return {name for name in ("libtorch", "onnxruntime") if name in maps}


@pytest.mark.slow
def test_a_riff_is_continued_at_full_fidelity_in_700_megabytes_without_torch(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from bridge.cli import main; main()", "serve", "--port", "0", "--once"]
    more = ["--backend", "onnx", "--device", f"file:{tmp_path / 'heard.wav'}", "--takes", str(tmp_path)]
    told = (tmp_path / "told").open("w+")
    served = subprocess.Popen([*command, *more], stdout=told, stderr=subprocess.STDOUT)
    most, libraries, deadline = 0.0, set[str](), time.monotonic() + 240
    while served.poll() is None and time.monotonic() < deadline:
        processes = family(served.pid)
        most = max(most, resident(processes))
        libraries |= {name for process in processes for name in loaded(process.pid)}
        with contextlib.suppress(subprocess.TimeoutExpired):
            served.wait(0.2)
    told.seek(0)
    words = told.read()
    assert served.wait(1) == 0, words
    assert re.search(r"^take: .*\.wav$", words, re.MULTILINE)
    assert libraries == {"onnxruntime"}
    assert 100 < most < MOST_MEGABYTES
