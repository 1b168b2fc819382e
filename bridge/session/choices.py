"""What is chosen for the next take, in one value: it can be kept, compared and gone back to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.osc.addresses import PARAMETERS
from bridge.osc.endpoint import Peer
from bridge.session.lyrics import LyricSheet
from bridge.session.properties import Properties
from bridge.session.settings import Settings
from bridge.session.styles import StyleChoice
from presets import Quantum


@dataclass(frozen=True)
class Choices:
    """Parameters, style, words and the grid."""

    settings: Settings = field(default_factory=Settings)
    style: StyleChoice = field(default_factory=StyleChoice)
    lyrics: LyricSheet = field(default_factory=LyricSheet)
    quantum: Quantum = field(default_factory=Quantum)


class Choosing:
    """The choices as they are, changed in one place; ``on_change`` is called after every change."""

    def __init__(self, properties: Properties, on_change: Callable[[], None]) -> None:
        self.now = Choices()
        self._properties = properties
        self._on_change = on_change
        for entry in PARAMETERS:
            properties.add(entry.address, self._reader(entry.arguments[0].name))
        properties.add("/segue/style", lambda: (self.now.style.name, self.now.style.index))
        properties.add("/segue/lyrics", lambda: (self.now.lyrics.text,))

    def _reader(self, name: str) -> Callable[[], tuple[int | float | str, ...]]:
        return lambda: (getattr(self.now.settings, name),)

    def change(self, *, told: str = "", also: Peer | None = None, **parts: Any) -> None:
        """Replace parts of the choices and let the engine prepare for it.

        The property at ``told`` answers in any case, to ``also`` too; then those that followed are told.
        """
        before = self._properties.snapshot()
        self.now = replace(self.now, **parts)
        if told:
            self._properties.publish(told, also)
        self._properties.tell_changes(before, besides=told)
        self._on_change()
