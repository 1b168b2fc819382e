"""A remote script for Ableton Live: its folder is called as it appears under Control Surface."""

from __future__ import annotations

from typing import Any


def create_instance(c_instance: Any) -> Any:
    """What Live calls when the script is chosen."""
    from .script import Segue

    return Segue(c_instance)
