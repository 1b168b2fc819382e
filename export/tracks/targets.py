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

from engine.errors import BadTarget

if TYPE_CHECKING:
    from engine.take import Take
    from export.tracks.wishes import TrackWishes

    Write = Callable[[Sequence[Take], TrackWishes, Path], Sequence[Path]]


@dataclass(frozen=True)
class Target:
    """``function``: ``module:name`` of a ``write(takes, wishes, folder)``; ``sets``: wishes that it decides.

    The function writes all takes into ``folder``, which is there, overwrites nothing, and returns what it wrote: the
    path that matters most is the first. It raises named errors, and leaves nothing half done under a final name.
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
USUAL = "wav"


def find_target(name: str) -> Target:
    """Raises :class:`BadTarget` for one that there is not, with the nearest."""
    if name in TARGETS:
        return TARGETS[name]
    nearest = difflib.get_close_matches(name.casefold()[:64], TARGETS, n=1, cutoff=0.0)[0]
    raise BadTarget(
        f"there is no export target '{name[:40]}'; the nearest is '{nearest}', of {', '.join(TARGETS)}"
    )
