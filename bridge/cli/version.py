"""Which Segue this is: the package's version and, in a git checkout, the commit."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def version() -> str:
    """``0.1.0``, or ``0.1.0 (b954e45)`` in a git checkout; ``+`` after the commit when files were changed."""
    try:
        number = metadata.version("segue")
    except metadata.PackageNotFoundError:
        number = "0 (not installed)"
    commit = _commit()
    return f"{number} ({commit})" if commit else number


def _commit() -> str | None:
    if not (ROOT / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(ROOT), "describe", "--always", "--exclude=*", "--dirty=+"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
