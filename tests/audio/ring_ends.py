"""The two ends of a ring as processes of their own, for the tests (start method spawn)."""

from __future__ import annotations

import os
import signal
import time
import zlib
from multiprocessing.connection import Connection

import numpy as np

from engine.ring import Ring


def pour(name: str, seed: int, seconds: float, limit: int, answer: Connection) -> None:
    """Write random float32 bit patterns in random portions; answers (frames, CRC-32 of all bytes)."""
    ring, random = Ring.attach(name), np.random.default_rng(seed)
    total, checksum, deadline = 0, 0, time.monotonic() + seconds
    while total < limit and time.monotonic() < deadline:
        portion = random.random(int(random.integers(1, 9_000)), dtype=np.float32)
        while len(portion):
            count = ring.write(portion)
            checksum = zlib.crc32(portion[:count].tobytes(), checksum)
            total += count
            portion = portion[count:]
    ring.finish()
    answer.send((total, checksum))
    ring.close()


def hold(name: str, answer: Connection) -> None:
    """Attach and wait to be killed."""
    ring = Ring.attach(name)
    answer.send(ring.capacity)
    signal.pause()


def own_and_die(label: str, answer: Connection) -> None:
    """Create a ring and die by SIGKILL without removing it, its tracker with it."""
    from multiprocessing import resource_tracker

    from engine.ring import ring_name

    ring = Ring.create(ring_name(label), 1024)
    resource_tracker.unregister(f"/{ring.name}", "shared_memory")
    answer.send(ring.name)
    os.kill(os.getpid(), signal.SIGKILL)
