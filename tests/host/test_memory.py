"""Memory that was freed goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import psutil
from engine.host.memory import give_back
megabytes = lambda: psutil.Process().memory_info().rss / 1e6
blocks = [bytes(2_000) for _ in range(60_000)]
full = megabytes()
blocks = blocks[::200]  # each of those that stay holds a page between pages that are free
before = megabytes()
give_back()
print(full - before, before - megabytes())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_free_pages_between_used_ones_are_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    by_itself, asked = map(float, done.stdout.split())
    assert asked > 80.0 > by_itself  # of 120 MB
