"""Where takes are kept when nobody says otherwise."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_music_path


def default_takes() -> Path:
    """The takes folder: ``SEGUE_TAKES`` where that is set, else ``Segue`` in the user's music folder."""
    named = os.environ.get("SEGUE_TAKES")
    return Path(named).expanduser() if named else user_music_path() / "Segue"
