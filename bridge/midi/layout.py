"""Which control reaches which action, port by port: learned controls over the profile's over the default ones."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from bridge.midi.actions import ACTIONS, Action, ControlKind, find
from bridge.midi.profile import Profile
from bridge.midi.settings import Binding, MidiSettings

_Place = tuple[int, ControlKind, int]  # channel (0: every one), kind, number


class Bound(NamedTuple):
    """A binding with its action and slot looked up. ``is_default``: it is the map's own, not learned or a profile's."""

    binding: Binding
    action: Action
    slot: int
    is_default: bool


@cache
def default_bindings(channel: int) -> tuple[Binding, ...]:
    """The map of facts/daw.md (b) on a channel, 0 for all."""
    return tuple(
        Binding(
            action=key,
            channel=channel,
            kind=control.kind,
            number=control.number + place,
            encoding=control.encoding,
        )
        for action in ACTIONS
        for control in action.controls
        for place, key in enumerate(action.keys)
    )


class Layout:
    """The controls of one port."""

    def __init__(self, port: str, settings: MidiSettings, profile: Profile) -> None:
        self._bound: dict[_Place, Bound] = {}
        self._profiled = bool(profile.spot)
        of_profile = [
            binding if binding.channel else binding.model_copy(update={"channel": settings.channel})
            for binding in profile.bindings
        ]
        anywhere = [binding for binding in settings.control if not binding.port]
        here = [binding for binding in settings.control if binding.port == port]
        for number, layer in enumerate((default_bindings(settings.channel), of_profile, anywhere, here)):
            for binding in layer:
                self._bind(binding, is_default=number == 0)

    def _bind(self, binding: Binding, is_default: bool) -> None:
        if binding.channel == 0:  # for every channel: what was bound to a single one gives way
            for channel in range(1, 17):
                self._bound.pop((channel, binding.kind, binding.number), None)
        action, slot = find(binding.action)
        self._bound[binding.channel, binding.kind, binding.number] = Bound(binding, action, slot, is_default)

    def find(self, channel: int, kind: ControlKind, number: int) -> Bound | None:
        """What a control (``channel`` 1..16) is bound to."""
        return self._bound.get((channel, kind, number)) or self._bound.get((0, kind, number))

    def places(self, key: str) -> list[Binding]:
        """The controls of an action's key, where its lights and values are shown.

        A controller with a profile of its own is not sent anything for the default map's controls.
        """
        return [
            bound.binding
            for bound in self._bound.values()
            if bound.binding.action == key and not (self._profiled and bound.is_default)
        ]
