"""Giving memory back to the system after a job: what sampling frees lies in between what stays."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Have the C library return its free pages (glibc's malloc_trim; elsewhere nothing is done)."""
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
