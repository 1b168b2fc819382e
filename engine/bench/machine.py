"""What the machine gives at best and what the process takes of it; no model runtime is needed to look."""

from __future__ import annotations

import sys
import time

import numpy as np
import psutil

from engine.bench.report import Memory

COPIED_BYTES = 1 << 28


def copy_bandwidth(device: str, seconds: float = 0.5) -> float:
    """GB/s, read and written together, of copying 256 MiB: what memory can give at best to one thread, or the card's.

    Weights that fit into a processor's caches are read faster than this.
    """
    if device.startswith("cuda"):
        return _card_bandwidth(device, seconds)
    source = np.zeros(COPIED_BYTES // 8)
    target = np.ones_like(source)
    np.copyto(target, source)
    copies, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        np.copyto(target, source)
        copies += 1
    return 2e-9 * copies * COPIED_BYTES / (time.perf_counter() - start)


def _card_bandwidth(device: str, seconds: float) -> float:
    import torch

    source = torch.zeros(COPIED_BYTES // 4, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    torch.cuda.synchronize(device)
    copies, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        target.copy_(source)
        torch.cuda.synchronize(device)
        copies += 1
    return 2e-9 * copies * COPIED_BYTES / (time.perf_counter() - start)


def resident_bytes() -> int:
    """Bytes of main memory that this process holds now."""
    return int(psutil.Process().memory_info().rss)


def memory_of(device: str) -> Memory:
    """The most that this process held so far, and the most that torch held on the card, if it is used."""
    card = None
    if device.startswith("cuda"):
        import torch

        card = int(torch.cuda.max_memory_allocated(device))
    return Memory(peak_resident_bytes=_peak(), card_bytes=card)


def _peak() -> int:
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes there, KiB elsewhere
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
