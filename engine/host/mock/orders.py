"""Failures on request: orders that a job carries in its lyrics."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from engine import errors
from engine.errors import SegueError

PREFIX = "mock:"
_ORDER = re.compile(
    r"mock:\s*(?P<verb>fail|die|hang)(?:\s+(?P<slug>[a-z_]+))??(?P<always>\s+always)?"
    r"(?:\s+at\s+(?P<at>[0-9.]+))?\s*"
)

Verb = Literal["fail", "die", "hang"]


@dataclass(frozen=True)
class Order:
    """What becomes of a job once ``at`` of it (0 to 1) is done: it fails with ``slug``, its process ends as if it
    were killed, or falls silent. ``always``: again after the restart, too."""

    verb: Verb
    slug: str = "internal"
    at: float = 0.0
    always: bool = False

    def error(self) -> SegueError:
        """The failure of this order, of the kind that has its slug."""
        kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
        named = {kind.slug: kind for kind in kinds if issubclass(kind, SegueError)}
        kind = named.get(self.slug, SegueError)
        return kind(f"the mock engine was told to fail with '{self.slug}'; take the order out of the lyrics")


def order_in(lyrics: str) -> Order | None:
    """The order in a job's lyrics: ``mock: fail [SLUG] [at FRACTION]``, ``mock: die [always] [at FRACTION]`` or
    ``mock: hang [always] [at FRACTION]``; other lyrics hold none. An order that cannot be read fails at once."""
    if not lyrics.startswith(PREFIX):
        return None
    found = _ORDER.fullmatch(lyrics.strip())
    if found is None:
        return Order("fail", "bad_args")
    at = float(found["at"]) if found["at"] else 0.0
    return Order(cast(Verb, found["verb"]), found["slug"] or "internal", at, bool(found["always"]))
