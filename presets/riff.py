"""The riff that comes with Segue."""

from __future__ import annotations

from pathlib import Path

from engine.errors import NoFile

RIFFS = Path(__file__).parent / "riffs"


def default_riff() -> Path:
    """Absolute path of the shipped riff, four bars in mono at 44.1 kHz; its ``.json`` says how it was made.

    Its name ends in its tempo: ``<name>_<bpm>bpm.flac``. Raises NoFile in an incomplete installation.
    """
    riffs = sorted(RIFFS.glob("*bpm.flac"))
    if not riffs:
        raise NoFile(f"the shipped riff is missing from {RIFFS}; install Segue again")
    return riffs[0].resolve()
