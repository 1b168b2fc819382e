"""Where scripts in DAWs and Segue leave each other messages."""

from __future__ import annotations

import os
from pathlib import Path

BY_MAIL = ("reaper", "ardour")  # their Lua has files but no sockets that hear


def mail_folder() -> Path:
    """``SEGUE_DAW`` where that is set, else ``.segue/daw`` in the user's home: easily found from Lua too."""
    named = os.environ.get("SEGUE_DAW")
    return Path(named).expanduser() if named else Path.home() / ".segue" / "daw"
