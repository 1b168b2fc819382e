"""From messages to actions: buttons, knobs with take-over, 14-bit pairs, encoders, banks and programs.

Everything here runs in the bridge's loop and knows neither ports nor threads. Times are nanoseconds of arrival.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from bridge.midi.actions import KNOBS, LONG_PRESS_SECONDS, Action, ControlKind, Kind, Program, Value
from bridge.midi.layout import Bound, Layout
from bridge.midi.relative import steps
from bridge.midi.settings import OMNI, Binding, TakeOver

DEBOUNCE_NS = 30_000_000
MOVING_NS = 200_000_000  # a knob counts as being moved for so long after its last message
PAIR_SECONDS = 0.01  # how long a coarse value waits for its fine one, once a knob has sent fine ones
_BANK, _PAGE = 0, 32
_CHANNEL_MODE = 120  # from here on control changes are channel mode messages
_TRAVEL = 1.0 / 127.0  # the smallest movement of a 7-bit control


class Timer(Protocol):
    """What a scheduled call can be cancelled by."""

    def cancel(self) -> None:
        """Do not call."""


Later = Callable[[float, Callable[[], None]], Timer]  # asyncio's call_later, without arguments


@dataclass
class Knob:
    """An absolute control: where it stands (0..1 of its travel, None: unknown) and whether it has its parameter."""

    position: float | None = None
    moved_ns: int = -MOVING_NS
    caught: bool = False
    coarse: int = 0
    has_fine: bool = False
    waiting: Timer | None = None


@dataclass
class Button:
    """A note or control change used as a button. ``level`` is its last value as a control change."""

    down: bool = False
    level: int = 0
    pressed_ns: int = -DEBOUNCE_NS
    held: Timer | None = None


@dataclass
class PortState:
    """What is remembered of one input port."""

    name: str
    layout: Layout
    banks: dict[int, list[int]] = field(default_factory=dict)
    knobs: dict[tuple[int, int], Knob] = field(default_factory=dict)
    buttons: dict[tuple[int, ControlKind, int], Button] = field(default_factory=dict)

    def forget(self) -> None:
        """The port is gone: nothing that waits may happen any more."""
        for knob in self.knobs.values():
            if knob.waiting:
                knob.waiting.cancel()
        for button in self.buttons.values():
            if button.held:
                button.held.cancel()
        self.knobs.clear()
        self.buttons.clear()
        self.banks.clear()


class Router:
    """Calls ``act(action, value)`` for what messages mean, and ``moved`` when a knob has been touched.

    ``values`` holds what the session's parameters are; ``channel`` is that of programs, 0 for all.
    """

    def __init__(
        self,
        act: Callable[[str, Value], None],
        later: Later,
        moved: Callable[[PortState, Binding, int], None] = lambda _port, _binding, _value: None,
    ) -> None:
        self.channel = OMNI
        self.takeover = TakeOver.PICKUP
        self.values: dict[str, float | str] = {}
        self._act = act
        self._later = later
        self._moved = moved

    def handle(self, port: PortState, message: Any, at_ns: int) -> None:
        """Carry out one mido message; clock and system exclusive are none of the router's business."""
        match message.type:
            case "note_on" | "note_off":
                down = message.type == "note_on" and message.velocity > 0
                self._note(port, message.channel + 1, message.note, down, at_ns)
            case "control_change":
                self._control(port, message.channel + 1, message.control, message.value, at_ns)
            case "program_change":
                if self._listens(message.channel + 1):
                    bank, page = port.banks.get(message.channel + 1, (0, 0))
                    self._act("program", Program(bank, page, message.program))
            case "reset":
                self._act("panic", True)

    def moving(self, port: PortState, channel: int, number: int, now_ns: int) -> bool:
        """Whether a knob (``channel`` 0: on any) was moved just now, so that it must not be told a value."""
        return any(
            now_ns - knob.moved_ns < MOVING_NS
            for (its_channel, its_number), knob in port.knobs.items()
            if its_number == number and channel in (OMNI, its_channel)
        )

    def _listens(self, channel: int) -> bool:
        return self.channel in (OMNI, channel)

    def _note(self, port: PortState, channel: int, note: int, down: bool, at_ns: int) -> None:
        bound = port.layout.find(channel, ControlKind.NOTE, note)
        if bound is None:
            return
        button = port.buttons.setdefault((channel, ControlKind.NOTE, note), Button())
        self._button(bound, button, down, at_ns)

    def _control(self, port: PortState, channel: int, number: int, value: int, at_ns: int) -> None:
        bound = port.layout.find(channel, ControlKind.CC, number)
        if bound is None:
            self._unbound(port, channel, number, value, at_ns)
        elif bound.binding.encoding is not None:
            self._turn(bound.action, steps(bound.binding.encoding, value))
        elif bound.action.kind in KNOBS:
            self._coarse(port, bound.action, (channel, number), value, at_ns)
            self._moved(port, bound.binding, value)
        elif bound.action.any_value and number >= _CHANNEL_MODE:
            self._act(bound.action.name, True)
        else:
            button = port.buttons.setdefault((channel, ControlKind.CC, number), Button())
            # (A button that sends 127 at each press and nothing between is pressed again; a knob that is swept
            # through the upper half is not.)
            again = value == button.level
            button.level = value
            if value < 64 or again or not button.down:
                self._button(bound, button, value >= 64, at_ns)

    def _unbound(self, port: PortState, channel: int, number: int, value: int, at_ns: int) -> None:
        if number in (_BANK, _PAGE) and self._listens(channel):
            port.banks.setdefault(channel, [0, 0])[number == _PAGE] = value
            return
        knob = port.knobs.get((channel, number - 32)) if 32 <= number < 64 else None
        coarse = port.layout.find(channel, ControlKind.CC, number - 32) if knob else None
        if knob is None or coarse is None or coarse.action.kind not in KNOBS:
            return
        knob.has_fine = True
        if knob.waiting:
            knob.waiting.cancel()
            knob.waiting = None
        self._move(coarse.action, knob, (knob.coarse << 7 | value) / 16_383.0, at_ns)

    def _button(self, bound: Bound, button: Button, down: bool, at_ns: int) -> None:
        action = bound.action
        was_down, button.down = button.down, down
        if button.held:
            button.held.cancel()
            button.held = None
        if action.kind is Kind.HOLD:
            if down != was_down:
                self._act(action.name, down)
            return
        if not down or at_ns - button.pressed_ns < DEBOUNCE_NS:
            return
        button.pressed_ns = at_ns
        if action.kind is Kind.STEPS:
            self._act(action.name, 1)
            return
        self._act(action.name, bound.slot if action.kind is Kind.SLOT else True)
        if action.held:
            follow = action.held
            button.held = self._later(LONG_PRESS_SECONDS, lambda: self._act(follow, True))

    def _coarse(
        self, port: PortState, action: Action, place: tuple[int, int], value: int, at_ns: int
    ) -> None:
        knob = port.knobs.setdefault(place, Knob())
        knob.coarse = value
        if not knob.has_fine:
            self._move(action, knob, value / 127.0, at_ns)
            return
        if knob.waiting:
            knob.waiting.cancel()

        def alone() -> None:  # no fine value followed: it is 0
            knob.waiting = None
            self._move(action, knob, (value << 7) / 16_383.0, at_ns)

        knob.waiting = self._later(PAIR_SECONDS, alone)

    def _move(self, action: Action, knob: Knob, position: float, at_ns: int) -> None:
        target = action.position_of(self._value(action))
        knob.caught = self._catches(knob, position, target, _TRAVEL * 1.01 + action.step / 2, at_ns)
        knob.position, knob.moved_ns = position, at_ns
        if knob.caught:
            self._set(action, action.value_at(position))

    def _catches(self, knob: Knob, position: float, target: float, near: float, at_ns: int) -> bool:
        """Whether a knob at ``position`` moves a parameter that stands at ``target`` (facts/daw.md §2.2, pick up)."""
        if self.takeover is TakeOver.JUMP or abs(position - target) <= near:
            return True
        before = knob.position
        if before is None:
            return False
        # (While it is moved, the session's answers lag behind it: they must not make it lose the parameter.)
        followed = knob.caught and at_ns - knob.moved_ns < MOVING_NS
        return followed or abs(before - target) <= near or (before - target) * (position - target) < 0

    def _turn(self, action: Action, count: int) -> None:
        if count == 0:
            return
        if action.kind is Kind.STEPS:
            self._act(action.name, count)
            return
        position = action.position_of(self._value(action)) + count * (action.step or _TRAVEL)
        self._set(action, action.value_at(min(1.0, max(0.0, position))))

    def _value(self, action: Action) -> float | str:
        value = self.values.get(action.name, action.initial)
        return action.low if value is None else value

    def _set(self, action: Action, value: Value) -> None:
        if isinstance(value, Program) or value == self.values.get(action.name):
            return
        self.values[action.name] = value
        self._act(action.name, value)
