"""Which device measurements run on."""

from __future__ import annotations

import torch

from engine.errors import NoDevice


def resolve_device(name: str) -> torch.device:
    """`cpu`, `cuda`, or with `auto` whichever is there; raises NoDevice for CUDA on a machine without it."""
    if name == "cuda" and not torch.cuda.is_available():
        raise NoDevice("there is no CUDA device here; use --device cpu or --device auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
