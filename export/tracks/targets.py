"""What takes can be exported as: a name, and where the function lies that writes it.

Light, so that everybody can ask what there is; the function is loaded when it is used.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import BadTarget, DiskFull

if TYPE_CHECKING:
    from engine.take import Take
    from export.tracks.track import FinishedTrack
    from export.tracks.wishes import TrackWishes

    Tell = Callable[[FinishedTrack], None]
    Write = Callable[[Sequence[Take], TrackWishes, Path, Tell], Sequence[Path]]


@dataclass(frozen=True)
class Target:
    """``function``: ``module:name`` of a ``write(takes, wishes, folder, tell)``; ``sets``: wishes that it decides.

    The function writes all takes into ``folder``, which is there, overwrites nothing, and returns what it wrote: the
    path that matters most is the first. ``tell`` is given every track that was finished for it. It raises named errors,
    and leaves nothing half done under a final name.
    """

    function: str
    summary: str
    sets: dict[str, Any] = field(default_factory=dict)

    def load(self) -> Write:
        """The function."""
        module, _, name = self.function.partition(":")
        return getattr(import_module(module), name)


TARGETS: dict[str, Target] = {
    "wav": Target("export.tracks.files:write", "one WAV a take, 24 bits", {"format": "wav"}),
    "flac": Target("export.tracks.files:write", "one FLAC a take", {"format": "flac"}),
    "float": Target(
        "export.tracks.files:write", "one WAV a take, 32-bit float", {"format": "wav", "bits": "float32"}
    ),
}
_ONE_WAY: dict[str, Any] = {"format": "wav", "loop": False, "full": False}  # the prime has a track of its own
TARGETS |= {
    "dawproject": Target(
        "export.projects.writing:write_one_file", "all in one DAWproject, for Bitwig and its like", _ONE_WAY
    ),
    "rpp": Target("export.projects.writing:write_reaper", "all in one REAPER project, in a folder", _ONE_WAY),
    "folder": Target(
        "export.projects.writing:write_folder", "all of that, a tempo map and a guide for every DAW", _ONE_WAY
    ),
}
USUAL = "wav"
EXPORTS = "exports"  # the usual folder, in that of the takes


def find_target(name: str) -> Target:
    """Raises :class:`BadTarget` for one that there is not, with the nearest."""
    if name in TARGETS:
        return TARGETS[name]
    nearest = difflib.get_close_matches(name.casefold()[:64], TARGETS, n=1, cutoff=0.0)[0]
    raise BadTarget(
        f"there is no export target '{name[:40]}'; the nearest is '{nearest}', of {', '.join(TARGETS)}"
    )


def export(
    name: str,
    takes: Sequence[Take],
    wishes: TrackWishes,
    folder: Path,
    tell: Tell = lambda track: None,
) -> list[Path]:
    """Writes takes as a target into ``folder``, which is made; the path that matters most is the first. ``tell`` is
    given the finished tracks.

    Raises :class:`BadTarget`, :class:`DiskFull`, :class:`PathNotAllowed`, :class:`NoFile`, and what is wrong with a
    take. What was written before an error stays.
    """
    from engine.audio.durable import writing
    from export.tracks.wishes import TrackWishes

    target = find_target(name)
    wishes = TrackWishes.model_validate(wishes.model_dump() | target.sets)
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return list(target.load()(takes, wishes, folder, tell))
    except DiskFull as error:
        raise DiskFull(
            f"there is no room to export to '{folder}'; free some space or choose another folder. The takes are as "
            "they were"
        ) from error
