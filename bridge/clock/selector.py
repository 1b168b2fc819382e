"""Which of several sources of time is followed."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from bridge.clock.transport import State, Transport
from engine.errors import OutOfRange

NONE = "none"


class Selector:
    """A transport that is whichever of ``sources`` was chosen by name; ``none`` never plays and has no tempo."""

    def __init__(self, sources: Mapping[str, Transport], chosen: str = NONE) -> None:
        self._sources = dict(sources)
        self.name = NONE
        self.choose(chosen)

    @property
    def names(self) -> tuple[str, ...]:
        """What can be chosen."""
        return (NONE, *self._sources)

    def choose(self, name: str) -> None:
        """Follow another source. Raises :class:`OutOfRange` for a name that is none of :attr:`names`."""
        if name not in self.names:
            near = get_close_matches(name, self.names, n=1, cutoff=0.6)
            offer = f"did you mean '{near[0]}'?" if near else f"it must be one of {', '.join(self.names)}"
            raise OutOfRange(f"there is no clock source '{name}'; {offer}")
        self.name = name

    def state(self, at_ns: int) -> State:
        """See :class:`~bridge.clock.transport.Transport`."""
        source = self._sources.get(self.name)
        return State() if source is None else source.state(at_ns)
