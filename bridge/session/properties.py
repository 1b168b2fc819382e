"""Properties: what can be read at an address, set by anybody, and is told whenever it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bridge.osc.addresses import TABLE
from bridge.osc.peer import Peer
from bridge.osc.table import TWIN, Call, Entry
from bridge.session.notices import Notices, Sendable

Read = Callable[[], tuple[Sendable, ...]]


def as_text(entry: Entry, values: tuple[Sendable, ...]) -> str:
    """A property's values as a display shows them: "112 BPM", "0.98"."""
    units = [argument.unit for argument in entry.arguments]
    shown = [f"{value:.6g}" if isinstance(value, float) else str(value) for value in values]
    return " ".join(
        f"{text} {unit}" if unit else text
        for text, unit in zip(shown, units + [""] * len(shown), strict=False)
    )


class Properties:
    """How the value of every property is read, by its address."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._reads: dict[str, Read] = {}
        self._twins: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._reads)

    def __contains__(self, address: object) -> bool:
        return address in self._reads

    def add(self, address: str, read: Read) -> None:
        """There is a property at ``address``; ``read`` gives its values as they are sent."""
        self._reads[address] = read
        entry = TABLE.get(address)
        if entry is not None and entry.twin:
            self._twins[address] = address + TWIN
            self._reads[address + TWIN] = lambda: (as_text(entry, read()),)

    def values(self, address: str) -> tuple[Sendable, ...]:
        """What is sent of a property now."""
        return self._reads[address]()

    def snapshot(self) -> dict[str, tuple[Sendable, ...]]:
        """All values, to be compared by :meth:`tell_changes`."""
        return {address: read() for address, read in self._reads.items()}

    def publish(self, address: str, also: Peer | None = None) -> None:
        """Tell everybody, and ``also``, the value."""
        self._notices.publish(address, *self.values(address), also=also)
        twin = self._twins.get(address)
        if twin is not None:
            self._notices.publish(twin, *self.values(twin), also=also)

    def tell_changes(self, before: dict[str, tuple[Sendable, ...]], besides: str = "") -> None:
        """Tell everybody what differs from ``before``, but for the property ``besides``."""
        twins = {besides, *self._twins.values()}  # (a twin is told with its property)
        for address, values in before.items():
            if address in twins:
                continue
            if self.values(address) != values:
                self.publish(address)

    def reply(self, call: Call, peer: Peer) -> None:
        """The value, to the client that read it."""
        address = call.entry.address
        self._notices.reply(peer, address, *self.values(address))

    def tell_all(self, target: Peer) -> None:
        """Every value, for a client that is new."""
        for address in self._reads:
            self._notices.reply(target, address, *self.values(address))
