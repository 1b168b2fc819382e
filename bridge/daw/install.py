"""Where DAWs look for scripts, and putting Segue's there."""

from __future__ import annotations

import filecmp
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from bridge.daw.places import BY_MAIL, mail_folder
from engine.audio.durable import writing
from engine.errors import Busy

SOURCES = Path(__file__).resolve().parent
_ARDOURS = (10, 9, 8, 7)


@dataclass(frozen=True)
class Plan:
    """What is copied where: source and target of each file. ``then``: what remains to be done in the DAW."""

    daw: str
    folder: Path
    files: tuple[tuple[Path, Path], ...]
    then: str


def plan_of(daw: str, folder: Path | None = None) -> Plan:
    """What installing the scripts of a DAW does; ``folder``: where they go instead of the usual place."""
    target = folder or usual_folder(daw)
    source = SOURCES / daw
    names = sorted(
        path.relative_to(source)
        for path in source.rglob("*")
        if path.suffix in (".lua", ".py") and path.is_file()
    )
    return Plan(daw, target, tuple((source / name, target / name) for name in names), _THEN[daw])


def usual_folder(daw: str) -> Path:
    """Where a DAW looks for scripts of its user."""
    if daw == "reaper":
        return _of_system("REAPER", "REAPER", ".config/REAPER") / "Scripts" / "Segue"
    if daw == "ardour":
        return _ardour() / "scripts"
    library = Path.home() / ("Documents" if sys.platform == "win32" else "Music") / "Ableton" / "User Library"
    return library / "Remote Scripts"


def _of_system(windows: str, mac: str, linux: str) -> Path:
    """The folder of a program's settings."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / windows
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / mac
    return Path.home() / linux


def _ardour() -> Path:
    """The settings of the newest Ardour that has run here."""
    known = [_ardour_of(version) for version in _ARDOURS]
    return next((path for path in known if path.is_dir()), _ardour_of(_ARDOURS[1]))


def _ardour_of(version: int) -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / f"Ardour{version}"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Preferences" / f"Ardour{version}"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / f"ardour{version}"


def install(plan: Plan, force: bool = False) -> tuple[list[Path], list[Path]]:
    """Copy the scripts, and make the folder of the DAW's mailbox.

    Returns the files that were written and those that were there already. Raises :class:`Busy` for a file that is
    there and differs, unless ``force`` is given, which keeps it beside with ``.before`` behind its name; nothing is
    copied then. Raises as :func:`engine.audio.durable.writing` does.
    """
    same = [
        target for source, target in plan.files if target.is_file() and filecmp.cmp(source, target, False)
    ]
    changed = [target for _, target in plan.files if target.exists() and target not in same]
    if changed and not force:
        raise Busy(
            f"'{changed[0]}' is there and differs from Segue's; --force replaces it, and keeps what was there "
            f"as '{changed[0].name}.before'"
        )
    written = []
    for source, target in plan.files:
        if target in same:
            continue
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if target in changed:
                target.replace(target.with_name(target.name + ".before"))
            part = target.with_name(target.name + ".part")
            shutil.copyfile(source, part)
            part.replace(target)
        written.append(target)
    if plan.daw in BY_MAIL:
        box = mail_folder() / plan.daw / "to_segue"
        with writing(box):
            box.mkdir(parents=True, exist_ok=True)
    return written, same


_THEN = {
    "reaper": "in REAPER: Actions > Show action list > New action > Load ReaScript, and choose the three that begin "
    "with 'Segue' (not segue_lib.lua); give 'Segue extend selected item' a key",
    "ardour": "in Ardour: Edit > Lua Scripts > Script Manager; add 'Segue: takes' under Action Hooks and "
    "'Segue: extend region' to an Action Script button",
    "live": "in Live: Settings > Link, Tempo & MIDI, and choose Segue as a Control Surface (after a restart of Live)",
}
