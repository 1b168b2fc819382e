"""Undo and redo: what was done in a session, as steps with their inverse."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bridge.session.properties import Properties
from engine.errors import NothingToUndo

ADDRESS = "/segue/history"
MOST_STEPS = 200
SWEEP_SECONDS = 1.0  # movements of one knob with no longer pauses are one step


@dataclass
class Step:
    """``kind``: steps of one kind in quick succession are one ("" never); ``at``: when it was last added to."""

    label: str
    undo: Callable[[], None]
    redo: Callable[[], None]
    kind: str = ""
    at: float = 0.0


class History:
    """The last :data:`MOST_STEPS` steps; ``/segue/history`` tells how many can be undone, redone, and the label."""

    def __init__(self, properties: Properties, now: Callable[[], float] = time.monotonic) -> None:
        self._properties, self._now = properties, now
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._moving = False
        properties.add(ADDRESS, self.counts)

    def counts(self) -> tuple[int, int, str]:
        """(steps to undo, steps to redo, label of the one that undo would take back)."""
        return len(self._done), len(self._undone), self._done[-1].label if self._done else ""

    def add(self, label: str, undo: Callable[[], None], redo: Callable[[], None], kind: str = "") -> None:
        """Something was done. What ``undo`` and ``redo`` do is not a step itself."""
        if self._moving:
            return
        before, now = self.counts(), self._now()
        last = self._done[-1] if self._done else None
        if kind and last is not None and last.kind == kind and now - last.at < SWEEP_SECONDS:
            last.redo, last.at = redo, now
        else:
            self._done = [*self._done[-(MOST_STEPS - 1) :], Step(label, undo, redo, kind, now)]
        self._undone.clear()
        if self.counts() != before:
            self._properties.publish(ADDRESS)

    def undo(self) -> str:
        """Take the last step back; returns its label. Raises :class:`NothingToUndo`."""
        if not self._done:
            raise NothingToUndo(
                "there is nothing to undo; what was changed since the start is undone already"
            )
        step = self._done.pop()
        self._move(step.undo)
        self._undone.append(step)
        self._properties.publish(ADDRESS)
        return step.label

    def redo(self) -> str:
        """Do what was undone last again; returns its label. Raises :class:`NothingToUndo`."""
        if not self._undone:
            raise NothingToUndo(
                "there is nothing to redo; only what was undone just before can be done again"
            )
        step = self._undone.pop()
        self._move(step.redo)
        step.kind = ""  # (what comes now is a step of its own)
        self._done.append(step)
        self._properties.publish(ADDRESS)
        return step.label

    def _move(self, change: Callable[[], None]) -> None:
        self._moving = True
        try:
            change()
        finally:
            self._moving = False
