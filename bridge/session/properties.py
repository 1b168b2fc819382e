"""Properties: what can be read at an address, set by anybody, and is told whenever it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
    """How the value of every property is read, by its address.

    Within :meth:`together` nothing is told before its end, and everything once: what a bundle sets is one change.
    """

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._reads: dict[str, Read] = {}
        self._twins: dict[str, str] = {}
        self._waiting: dict[str, set[Peer]] | None = None  # to be told, and to whom besides
        self._before: dict[str, tuple[Sendable, ...]] = {}
        self._to_compare = False

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
        if self._before:
            return self._before
        values = {address: read() for address, read in self._reads.items()}
        if self._waiting is not None:
            self._before = values
        return values

    @contextmanager
    def together(self) -> Iterator[None]:
        """Tell at the end what changes within, each property once."""
        self._waiting = {}
        try:
            yield
        finally:
            waiting, self._waiting = self._waiting, None
            before, self._before = self._before, {}
            compare, self._to_compare = self._to_compare, False
            for address, also in waiting.items():
                self._tell(address, also)
            if compare:
                self._tell_changes(before, set(waiting))

    def publish(self, address: str, also: Peer | None = None) -> None:
        """Tell everybody, and ``also``, the value."""
        others = set() if also is None else {also}
        if self._waiting is None:
            self._tell(address, others)
        else:
            self._waiting.setdefault(address, set()).update(others)

    def tell_changes(self, before: dict[str, tuple[Sendable, ...]], besides: str = "") -> None:
        """Tell everybody what differs from ``before``, but for the property ``besides``."""
        if self._waiting is None:
            self._tell_changes(before, {besides})
        else:
            self._to_compare = True

    def _tell(self, address: str, others: set[Peer]) -> None:
        self._notices.publish(address, *self.values(address), also=others)
        twin = self._twins.get(address)
        if twin is not None:
            self._notices.publish(twin, *self.values(twin), also=others)

    def _tell_changes(self, before: dict[str, tuple[Sendable, ...]], besides: set[str]) -> None:
        known = besides | set(self._twins.values())  # (a twin is told with its property)
        for address, values in before.items():
            if address not in known and self.values(address) != values:
                self._tell(address, set())

    def reply(self, call: Call, peer: Peer) -> None:
        """The value, to the client that read it."""
        address = call.entry.address
        self._notices.reply(peer, address, *self.values(address))

    def tell_all(self, target: Peer) -> None:
        """Every value, for a client that is new."""
        for address in self._reads:
            self._notices.reply(target, address, *self.values(address))
