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


HEAPS = """
import re, subprocess, sys, threading
if sys.argv[1] == "few":
    from engine.host.memory import keep_few_heaps
    keep_few_heaps()
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
held, done = threading.Barrier(17), threading.Event()
def work():
    libc.malloc(50_000)
    held.wait()
    done.wait()
for _ in range(16):
    threading.Thread(target=work, daemon=True).start()
held.wait()
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fdopen.restype = ctypes.c_void_p
stream = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, stream)
libc.fflush(stream)
done.set()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_threads_share_two_heaps() -> None:
    def heaps(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", HEAPS, how], capture_output=True, text=True, check=True)
        return done.stdout.count("<heap nr=")

    assert heaps("few") <= 2 < heaps("many")
