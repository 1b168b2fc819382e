"""How a command is written into a record that travels."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path


def spoken(words: Sequence[str]) -> str:
    """A command line with every path cut down to its last part: a record is read on other machines."""
    return shlex.join([Path(word).name if "/" in word else word for word in words])
