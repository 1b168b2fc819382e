"""What controllers show: LEDs of buttons, values of knobs. Only changes are sent, and everything on connecting."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bridge.midi.actions import BY_NAME, KNOBS, ControlKind, find
from bridge.midi.layout import Layout
from bridge.midi.ports import OutputPort
from bridge.midi.profile import Light, Profile
from bridge.midi.settings import Binding

_NOTE_ON, _CONTROL = 0x90, 0xB0
_ALL_SOUND_OFF, _ALL_NOTES_OFF = 120, 123


class Board:
    """One controller: where its lights are and what they show now."""

    def __init__(self, port: OutputPort, layout: Layout, profile: Profile) -> None:
        self._port = port
        self._layout = layout
        self._profile = profile
        self._shown: dict[
            tuple[int, int], int
        ] = {}  # status byte without channel | number -> channel and value

    def greet(self) -> None:
        """Put the controller into the mode that its profile is written for."""
        for message in self._profile.hello:
            self._port.send(bytes.fromhex(message))

    def light(self, key: str, light: Light) -> None:
        """Show the light of a button's key."""
        shade = self._profile.shade(find(key)[0].name, light)
        for binding in self._layout.places(key):
            self._show(binding, shade.channel or binding.channel or 1, shade.velocity)

    def value(self, key: str, value: int, held: Callable[[Binding], bool]) -> None:
        """Tell a knob its value, 0..127, unless it is being ``held``."""
        for binding in self._layout.places(key):
            if self._profile.echo and binding.encoding is None and not held(binding):
                self._show(binding, binding.channel or 1, value)

    def moved(self, binding: Binding, value: int) -> None:
        """A knob was moved: that is what it shows now."""
        self._shown[_CONTROL, binding.number] = (binding.channel or 1) << 7 | value

    def dark(self) -> None:
        """Switch every LED off that is on."""
        for (status, number), shown in self._shown.items():
            if status == _NOTE_ON:
                self._port.send((status | (shown >> 7) - 1, number, 0))
        self._shown.clear()

    def silence(self) -> None:
        """Tell instruments behind the port to be silent, on every channel."""
        for channel in range(16):
            self._port.send((_CONTROL | channel, _ALL_SOUND_OFF, 0))
            self._port.send((_CONTROL | channel, _ALL_NOTES_OFF, 0))

    def _show(self, binding: Binding, channel: int, value: int) -> None:
        status = _NOTE_ON if binding.kind is ControlKind.NOTE else _CONTROL
        shown = channel << 7 | value
        if self._shown.get((status, binding.number)) == shown:
            return
        self._shown[status, binding.number] = shown
        self._port.send((status | channel - 1, binding.number, value))


class Lights:
    """All controllers, and what the session has said that they should show."""

    def __init__(self, held: Callable[[str, Binding], bool]) -> None:
        self._held = held  # (port, binding): whether that knob is being moved
        self._boards: dict[str, Board] = {}
        self._lights: dict[str, Light] = {}
        self._values: dict[str, int] = {}

    def connect(self, name: str, board: Board) -> None:
        """A controller is there, or its layout is another one now: show it everything."""
        before = self._boards.get(name)
        if before is None:
            board.greet()
        else:
            before.dark()
        self._boards[name] = board
        self._refresh(name, board)

    def disconnect(self, name: str) -> None:
        """A controller has gone."""
        self._boards.pop(name, None)

    def light(self, key: str, light: Light) -> None:
        """Show the light of a button everywhere. Raises NoAction for an unknown key."""
        find(key)
        self._lights[key] = light
        for board in self._boards.values():
            board.light(key, light)

    def value(self, key: str, value: float | str) -> None:
        """Tell all knobs of a parameter its value."""
        action = BY_NAME[key]
        if action.kind in KNOBS:
            self._values[key] = round(action.position_of(value) * 127)
        self.settle(key)

    def settle(self, key: str) -> None:
        """Tell a parameter's knobs its value again, now that one may have been let go."""
        if key in self._values:
            for name, board in self._boards.items():
                board.value(key, self._values[key], partial(self._held, name))

    def moved(self, name: str, binding: Binding, value: int) -> None:
        """A knob of a controller stands at ``value`` (0..127) because it was moved there."""
        if name in self._boards:
            self._boards[name].moved(binding, value)

    def panic(self) -> None:
        """Everything off, then what is true again."""
        for name, board in self._boards.items():
            board.dark()
            board.silence()
            self._refresh(name, board)

    def _refresh(self, name: str, board: Board) -> None:
        for key, light in self._lights.items():
            board.light(key, light)
        for key, value in self._values.items():
            board.value(key, value, partial(self._held, name))
