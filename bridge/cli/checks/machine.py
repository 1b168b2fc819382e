"""The machine: packages, folders, settings, shared memory."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from pydantic import ValidationError

from bridge.cli.checks.finding import Finding, Level
from bridge.midi.settings import load, settings_path
from bridge.session.state import SessionState, state_path
from engine.errors import SegueError
from engine.ring import SEGMENTS, stale_rings
from presets.library import Library, user_folder

MIN_FREE_BYTES = 1 << 30
MIN_SHARED_BYTES = 64 << 20


def check_python() -> Finding:
    """The interpreter (an older one than 3.11 does not get this far)."""
    return Finding("python", Level.OK, f"{platform.python_version()} at {sys.executable}")


def check_packages() -> Finding:
    """Everything in the package's metadata, at the versions that it asks for; extras only noted."""
    wrong: list[str] = []
    absent_extras: list[str] = []
    right = 0
    for line in metadata.requires("segue") or ():
        requirement = Requirement(line)
        extra = requirement.marker is not None
        if extra and not (requirement.marker and requirement.marker.evaluate({"extra": "train"})):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            (absent_extras if extra else wrong).append(requirement.name)
            continue
        if requirement.specifier.contains(version, prereleases=True):
            right += 1
        else:
            wrong.append(f"{requirement.name} {version} (needs {requirement.specifier})")
    if wrong:
        detail = "missing or too old: " + ", ".join(wrong)
        return Finding("packages", Level.RED, detail, "run scripts/run again")
    if absent_extras:
        step = "for `segue train`: pip install -e '.[train]'"
        return Finding("packages", Level.NOTE, f"{right} in place; not {', '.join(absent_extras)}", step)
    return Finding("packages", Level.OK, f"{right} in place")


def check_takes(folder: Path) -> Finding:
    """Whether takes can be filed: ``folder``, or the one it will be made in, is writable and has space."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"segue")
    except OSError as error:
        step = "change its rights, or name another folder: segue serve --takes DIR"
        return Finding("takes", Level.RED, f"{there} cannot be written to: {error.strerror}", step)
    free = shutil.disk_usage(there).free
    gigabytes = f"{folder}: {free / 1e9:.1f} GB free"
    if free < MIN_FREE_BYTES:
        return Finding("takes", Level.RED, gigabytes, "make room (1 GB at least), or segue serve --takes DIR")
    return Finding("takes", Level.OK, gigabytes)


def check_midi_settings() -> Finding:
    """Whether the file of MIDI settings and learned controls can be used."""
    path = settings_path()
    try:
        settings = load(path)
    except SegueError as error:
        return Finding("midi settings", Level.RED, error.message, f"edit {path}, or remove it")
    if not path.is_file():
        return Finding("midi settings", Level.OK, f"none yet; they will be in {path}")
    return Finding("midi settings", Level.OK, f"{path}: {len(settings.control)} controls")


def check_state() -> Finding:
    """Whether the last session's state can be used."""
    path = state_path()
    step = f"move {path} away; the session then starts with its defaults"
    try:
        SessionState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Finding("state", Level.OK, f"none yet; it will be in {path}")
    except OSError as error:
        return Finding("state", Level.RED, f"{path} cannot be read: {error.strerror}", step)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "its start"
        return Finding("state", Level.RED, f"{path} is broken at {place}: {first['msg']}", step)
    return Finding("state", Level.OK, str(path))


def check_presets() -> Finding:
    """Whether every preset can be used; the others work all the same."""
    library = Library(user_folder())
    count = len(library.entries)
    if library.problems:
        more = f" (and {len(library.problems) - 1} more)" if len(library.problems) > 1 else ""
        step = "correct the file; segue presets check says what is wrong in each"
        return Finding("presets", Level.NOTE, f"{library.problems[0]}{more}", step)
    return Finding("presets", Level.OK, f"{count} presets")


def check_shared_memory() -> Finding:
    """Whether rings have room, and none was left behind."""
    if not SEGMENTS.is_dir():
        return Finding("shared memory", Level.OK, "this system does not list it")
    disk = shutil.disk_usage(SEGMENTS)
    detail = f"{SEGMENTS}: {disk.free / 1e6:.0f} of {disk.total / 1e6:.0f} MB free"
    if disk.free < MIN_SHARED_BYTES:
        step = (
            "make it larger (mount -o remount,size=512m; docker run --shm-size=512m), or remove what fills it"
        )
        return Finding("shared memory", Level.RED, detail, step)
    stale = stale_rings()
    if stale:
        size = sum(path.stat().st_size for path in stale if path.exists())
        left = f"{detail}; {len(stale)} rings ({size / 1e6:.1f} MB) of sessions that are gone"
        return Finding("shared memory", Level.NOTE, left, "segue serve removes them when it starts")
    return Finding("shared memory", Level.OK, detail)
