"""The audio of a project: which file goes in under which name."""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PureWindowsPath

from text_unidecode import unidecode

from engine.audio import probe
from engine.audio.durable import replacing
from engine.take import Take
from engine.take.take import PRIME
from export.projects.pieces import ROOM
from export.projects.sheet import Sound

MAX_STEM = 90


def plain(text: str) -> str:
    """``text`` as part of a file name that every system takes: ASCII letters, digits, ``-``, ``_``, never empty."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", unidecode(text)).strip("_-")[:MAX_STEM] or "sound"


def shown(text: str) -> str:
    """``text`` in one line, without what cannot be printed; never empty."""
    return "".join(c if c.isprintable() else " " for c in text).strip() or "sound"


class Sounds:
    """The sounds of one project, copied to ``folder``. Names are different, whatever the case."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._given: dict[Path, Sound] = {}
        self._names: set[str] = set()

    @staticmethod
    def title_of(path: str) -> str:
        """What a prime's file is called, without its folder and ending; one line that every program can show."""
        return shown(PureWindowsPath(path).stem)

    def prime(self, take: Take) -> Sound:
        """The prime of a take as its model heard it."""
        return self._sound(take.folder / PRIME, f"prime_{take.info.head.prime_sha256[:8]}")

    def take(self, take: Take, name: str) -> Sound:
        """The continuation."""
        request = take.info.head.request
        bpm = "" if request.bpm is None else f"_{request.bpm:g}bpm".replace(".", "p")
        return self._sound(take.wav, f"{plain(name)}{bpm}_s{request.seed}")

    def _sound(self, source: Path, stem: str) -> Sound:
        if source not in self._given:
            info = probe(source)
            name, number = f"{stem}.wav", 1
            while name.casefold() in self._names:
                number += 1
                name = f"{stem}_{number}.wav"
            self._names.add(name.casefold())
            with open(source, "rb") as made, replacing(self._folder / name, ROOM) as file:
                shutil.copyfileobj(made, file, 1 << 20)
            self._given[source] = Sound(name, self._folder / name, info.frames, info.rate, info.channels)
        return self._given[source]
