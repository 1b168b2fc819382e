"""Takes written as projects: one file for Bitwig and its like, a folder for REAPER, a folder for everybody."""

from __future__ import annotations

import contextlib
import importlib.metadata
import itertools
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.audio.durable import placed, replacing, sync_folder, writing
from engine.errors import NoTake
from engine.take import Take
from export.projects.arrange import sheet_of
from export.projects.dawproject import write_dawproject
from export.projects.guide import guide
from export.projects.pieces import ROOM
from export.projects.reaper import project_text
from export.projects.sheet import Sheet
from export.projects.sounds import Sounds, Tell, plain
from export.projects.tempo import tempo_file
from export.projects.wording import shown
from export.tracks.wishes import TrackWishes

AUDIO = "audio"
_LEFT, _LEFT_SECONDS = re.compile(r"\.\d+\.part$"), 3600.0
DAWPROJECT, RPP, TEMPO, GUIDE = "session.dawproject", "session.rpp", "tempo.mid", "README.txt"


def write_one_file(takes: Sequence[Take], wishes: TrackWishes, folder: Path, tell: Tell) -> list[Path]:
    """``NAME.dawproject`` in ``folder``, with all audio inside; returns its path. A target of
    :mod:`export.tracks.targets`, as those below.

    Nothing is overwritten, and there is nothing under a final name until it is whole. Raises NoTake for no takes,
    NoFile or BadFormat for one without audio, :class:`DiskFull` and :class:`PathNotAllowed` of the folder.
    """
    with _staged(takes, wishes, folder, tell) as (stage, sheet):
        whole = stage / DAWPROJECT
        write_dawproject(sheet, whole, _version())
        return [_put(whole, folder, _stem(takes), ".dawproject")]


def write_reaper(takes: Sequence[Take], wishes: TrackWishes, folder: Path, tell: Tell) -> list[Path]:
    """A new folder in ``folder`` with a REAPER project and its audio; returns the project's path. Raises as above."""
    with _staged(takes, wishes, folder, tell) as (stage, sheet):
        _write(stage / RPP, project_text(sheet, AUDIO, _version()).encode())
        return [_put(stage, folder, _stem(takes)) / RPP]


def write_folder(takes: Sequence[Take], wishes: TrackWishes, folder: Path, tell: Tell) -> list[Path]:
    """A new folder in ``folder`` with everything for every program; returns its path and those of its files.

    Raises as :func:`write_one_file`.
    """
    with _staged(takes, wishes, folder, tell) as (stage, sheet):
        _write(stage / RPP, project_text(sheet, AUDIO, _version()).encode())
        _write(stage / TEMPO, tempo_file(sheet))
        _write(stage / GUIDE, guide(sheet).encode())
        write_dawproject(sheet, stage / DAWPROJECT, _version())
        there = _put(stage, folder, _stem(takes))
        names = [DAWPROJECT, RPP, TEMPO, GUIDE, *(f"{AUDIO}/{name}" for name in sheet.sounds())]
        return [there, *(there / name for name in names)]


@contextlib.contextmanager
def _staged(
    takes: Sequence[Take], wishes: TrackWishes, folder: Path, tell: Tell
) -> Iterator[tuple[Path, Sheet]]:
    """A hidden folder with all audio in ``audio``, and the sheet; it is gone afterwards, unless it was put in place."""
    if not takes:
        raise NoTake("there is no take to export; keep or name at least one")
    stage = folder / f".{_stem(takes)}.{os.getpid()}.part"
    with writing(folder, ROOM):
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        shutil.rmtree(stage, ignore_errors=True)
        (stage / AUDIO).mkdir(parents=True)
    try:
        yield stage, sheet_of(takes, _title(takes), Sounds(stage / AUDIO, wishes, tell))
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Removes what exports that were killed left behind: hidden folders that nobody has written to for an hour."""
    for left in folder.glob(".*.part"):
        with contextlib.suppress(OSError):
            if (
                left.is_dir()
                and _LEFT.search(left.name)
                and time.time() - left.stat().st_mtime > _LEFT_SECONDS
            ):
                shutil.rmtree(left, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with replacing(path, ROOM) as file:
        file.write(data)


def _put(source: Path, folder: Path, stem: str, ending: str = "") -> Path:
    """Gives a whole file or folder its final name, the first that is free."""
    for number in itertools.count(1):
        target = folder / f"{stem if number == 1 else f'{stem}_{number}'}{ending}"
        with writing(target, ROOM):
            if not (_moved(source, target) if source.is_dir() else placed(source, target)):
                continue
        sync_folder(folder)
        return target
    raise AssertionError("unreachable")


def _moved(source: Path, target: Path) -> bool:
    """Whether the folder has this name now; False where something else has it."""
    if target.exists():
        return False
    try:
        os.rename(source, target)
    except OSError:
        if not target.exists():
            raise
        return False  # somebody was quicker
    return True


def _stem(takes: Sequence[Take]) -> str:
    return plain(takes[0].folder.name) if len(takes) == 1 else "session"


def _title(takes: Sequence[Take]) -> str:
    if len(takes) == 1:
        return shown(takes[0].folder.name)
    dates = sorted({take.info.head.created[:10] for take in takes})
    return f"Segue session {dates[0]}" + (f" to {dates[-1]}" if len(dates) > 1 else "")


def _version() -> str:
    try:
        return importlib.metadata.version("segue")
    except importlib.metadata.PackageNotFoundError:
        return "0"
