"""What is chosen for the next take, in one value: it can be kept, compared and gone back to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
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


Parts = dict[str, Any]
"""Fields of :class:`Choices` with their values; of the settings a mapping of those that matter."""


def difference(before: Choices, after: Choices) -> tuple[Parts, Parts]:
    """What differs, as it was and as it is: of the settings single parameters."""
    old: Parts = {}
    new: Parts = {}
    for part in fields(Choices):
        was, now = getattr(before, part.name), getattr(after, part.name)
        if was == now:
            continue
        if isinstance(was, Settings) and isinstance(now, Settings):
            names = [name for name in Settings.model_fields if getattr(was, name) != getattr(now, name)]
            old[part.name] = {name: getattr(was, name) for name in names}
            new[part.name] = {name: getattr(now, name) for name in names}
        else:
            old[part.name], new[part.name] = was, now
    return old, new


class Choosing:
    """The choices as they are, changed in one place; ``on_change`` is called after every change.

    ``on_step``: told of every change that somebody made, so that it can be taken back: what it was called, what
    differed before, and what differs since.
    """

    def __init__(
        self,
        properties: Properties,
        on_change: Callable[[], None],
        on_step: Callable[[str, Parts, Parts], None] = lambda label, before, after: None,
    ) -> None:
        self.now = Choices()
        self._properties = properties
        self._on_change = on_change
        self._on_step = on_step
        for entry in PARAMETERS:
            properties.add(entry.address, self._reader(entry.arguments[0].name))
        properties.add("/segue/style", lambda: (self.now.style.name, self.now.style.index))
        properties.add("/segue/lyrics", lambda: (self.now.lyrics.text,))

    def _reader(self, name: str) -> Callable[[], tuple[int | float | str, ...]]:
        return lambda: (getattr(self.now.settings, name),)

    def change(self, *, told: str = "", also: Peer | None = None, step: bool = True, **parts: Any) -> None:
        """Replace parts of the choices and let the engine prepare for it.

        The property at ``told`` answers in any case, to ``also`` too; then those that followed are told. ``step``:
        whether it is something to be taken back.
        """
        before, values = self.now, self._properties.snapshot()
        self.now = replace(self.now, **parts)
        if told:
            self._properties.publish(told, also)
        self._properties.tell_changes(values, besides=told)
        if step and self.now != before:
            label = told.rpartition("/")[2] or ", ".join(parts)
            self._on_step(label, *difference(before, self.now))
        self._on_change()

    def restore(self, parts: Parts) -> None:
        """Put parts of the choices back as :func:`difference` gave them."""
        whole = dict(parts)
        if "settings" in whole:
            whole["settings"] = self.now.settings.model_copy(update=whole["settings"])
        self.change(step=False, **whole)
