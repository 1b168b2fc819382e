"""What lies in a takes root: folders of takes, those in the trash, and those that are not finished."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.shelf.files import JOURNAL, REQUEST, TRASH
from engine.shelf.listed import stamp_of

_AGAIN = re.compile(r"\.\d+$")  # behind the name of a folder that came into the trash beside one of its name


@dataclass(frozen=True)
class Seen:
    """``stamps`` and ``names`` by place, the folder relative to the root, in order of their names; ``names``: under
    which a take lay in the root; ``unfinished``: takes that are being made, or that were interrupted."""

    stamps: dict[str, tuple[int, ...]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    unfinished: tuple[Path, ...] = ()


def look(root: Path) -> Seen:
    """Looks at the folders, opens no file. What is foreign is passed over; nothing is there where no root is."""
    seen, unfinished = Seen(), []
    for name in sorted(_folders(root)):
        if (stamp := stamp_of(f"{root}/{name}")) is not None:
            seen.stamps[name], seen.names[name] = stamp, name
        elif (root / name / JOURNAL).is_file() and (root / name / REQUEST).is_file():
            unfinished.append(root / name)
    used = set(seen.stamps)
    for name in sorted(_folders(root / TRASH)):
        if (stamp := stamp_of(f"{root}/{TRASH}/{name}")) is not None:
            place = f"{TRASH}/{name}"
            own = next(own for own in (_AGAIN.sub("", name), name, place) if own not in used or own == place)
            used.add(own)
            seen.stamps[place], seen.names[place] = stamp, own
    return Seen(seen.stamps, seen.names, tuple(unfinished))


def _folders(root: Path) -> Iterator[str]:
    try:
        with os.scandir(root) as entries:
            yield from (entry.name for entry in entries if entry.name[:1] != "." and entry.is_dir())
    except OSError:
        return
