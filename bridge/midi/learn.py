"""Learning: an action is named, and the next control that is used and fits it is bound to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge.midi.actions import BUTTONS, ControlKind, Kind, NoAction, find
from bridge.midi.layout import Layout
from bridge.midi.relative import of_left_turn
from bridge.midi.settings import Binding, MidiSettings

LEARN_SECONDS = 10.0
_ENOUGH = 3  # messages of a turning control, to tell an encoder from a knob


class Learner:
    """Waits for the control of one action.

    An endless encoder is told from a knob, and its encoding found, by turning it slowly to the left
    (facts/daw.md §2.2): it sends the same value again and again, which a knob never does.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.action, _ = find(key)
        if not self.action.learnable:
            raise NoAction(f"'{key}' has messages of its own and needs no learning; learn another action")
        self._turning: tuple[str, int, int] | None = None  # port, channel, number
        self._values: list[int] = []

    def offer(self, port: str, message: Any) -> Binding | None:
        """The binding, as soon as the messages of one control say what it is."""
        if message.type == "note_on" and message.velocity > 0:
            if self.action.kind in BUTTONS or self.action.kind is Kind.STEPS:
                return self._bound(port, message.channel + 1, ControlKind.NOTE, message.note)
            return None
        if message.type != "control_change":
            return None
        channel, number, value = message.channel + 1, message.control, message.value
        if self.action.kind in BUTTONS:
            return self._bound(port, channel, ControlKind.CC, number) if value >= 64 else None
        if self._turning == (port, channel, number - 32) and self.action.kind is not Kind.STEPS:
            return self._bound(
                port, channel, ControlKind.CC, number - 32
            )  # the fine part of a 14-bit control
        return self._turned(port, channel, number, value)

    def _turned(self, port: str, channel: int, number: int, value: int) -> Binding | None:
        if self._turning != (port, channel, number):
            self._turning, self._values = (port, channel, number), []
        self._values = [*self._values, value][-_ENOUGH:]
        if len(self._values) < _ENOUGH:
            return None
        encoding = of_left_turn(self._values)
        repeats = any(one == next_ for one, next_ in zip(self._values, self._values[1:], strict=False))
        if encoding is not None and (repeats or self.action.kind is Kind.STEPS):
            binding = self._bound(port, channel, ControlKind.CC, number)
            return binding.model_copy(update={"encoding": encoding})
        return None if self.action.kind is Kind.STEPS else self._bound(port, channel, ControlKind.CC, number)

    def _bound(self, port: str, channel: int, kind: ControlKind, number: int) -> Binding:
        # (An encoder's encoding is added by the caller, so this is not validated yet.)
        return Binding.model_construct(action=self.key, port=port, channel=channel, kind=kind, number=number)


def with_binding(settings: MidiSettings, binding: Binding, layout: Layout) -> tuple[MidiSettings, list[str]]:
    """Settings with a new binding, and one sentence for each that it replaces."""
    notices = []
    bound = layout.find(binding.channel, binding.kind, binding.number)
    if bound is not None and bound.binding.action != binding.action:
        notices.append(f"{binding} was {bound.binding.action} and is {binding.action} now")
    kept = []
    for old in settings.control:
        if old.place == binding.place:
            continue
        if (old.action, old.port) == (binding.action, binding.port):
            notices.append(f"{binding.action} was {old} and is {binding} now")
            continue
        kept.append(old)
    checked = Binding.model_validate(binding.model_dump())
    return settings.model_copy(update={"control": (*kept, checked)}), notices


def without(controls: Sequence[Binding], key: str) -> tuple[Binding, ...]:
    """Learned controls but those of an action: of all its slots when it is named without one."""
    return tuple(
        binding for binding in controls if binding.action != key and not binding.action.startswith(f"{key}.")
    )
