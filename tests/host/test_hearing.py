"""Threads that need the analysis at the same moment all get the whole of it."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import threading
from engine.host import hearing
failed = []
def one():
    hearing.load()
    try:
        from engine.analysis.tempo import estimate_tempo
    except ImportError as error:
        failed.append(error)
def other():
    hearing.load()
    try:
        from engine.analysis.pulse import estimate_pulse
    except ImportError as error:
        failed.append(error)
threads = [threading.Thread(target=target) for target in (one, other) * 4]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
import engine.analysis
print(len(failed), callable(engine.analysis.estimate_pulse))
"""


def test_threads_see_no_half_made_package() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True"]
