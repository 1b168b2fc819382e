"""What a controller can do: the one table of actions (facts/daw.md, map (b)).

Dispatch, validation, ``segue midi map`` and the table in the README all come from :data:`ACTIONS`. A *key* names
an action, or one of its numbered slots: ``generate``, ``preset.3``, ``take.16``.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from bridge.midi.relative import Encoding
from engine.errors import SegueError
from engine.request import Fidelity

LONG_PRESS_SECONDS = 0.5


class NoAction(SegueError):
    """A name that no action has; the message offers the nearest."""

    code, slug = 404, "no_action"


class Kind(StrEnum):
    """What an action takes, and so what ``MidiTarget.act`` is given as its value."""

    PRESS = "press"  # True, when a button goes down
    SLOT = "slot"  # the number of the button, from 1
    HOLD = "hold"  # True when it goes down, False when it is let go
    NUMBER = "number"  # a float from low to high
    WHOLE = "whole"  # an int from low to high
    CHOICE = "choice"  # one of the choices, a text
    STEPS = "steps"  # an int: how many steps an endless encoder was turned, right is positive
    PROGRAM = "program"  # a Program
    CLOCK = "clock"  # not an action of the session: goes to the clock with its arrival time


BUTTONS = {Kind.PRESS, Kind.SLOT, Kind.HOLD}
KNOBS = {Kind.NUMBER, Kind.WHOLE, Kind.CHOICE}


class Program(NamedTuple):
    """A Program Change with the Bank Select that came before it on its channel (facts/daw.md §2.2).

    ``bank`` (CC 0): 0 factory, 1 user, 2 project; ``page`` (CC 32) and ``number``: 0..127 as sent.
    """

    bank: int
    page: int
    number: int


Value = bool | int | float | str | Program


class ControlKind(StrEnum):
    """What a control sends."""

    NOTE = "note"
    CC = "cc"


class Control(NamedTuple):
    """A note or a control change, whatever its port and channel; with the encoding of an endless encoder."""

    kind: ControlKind
    number: int
    encoding: Encoding | None = None

    def __str__(self) -> str:
        return f"{'CC' if self.kind is ControlKind.CC else 'note'} {self.number}"


@dataclass(frozen=True)
class Action:
    """One row of the table. ``controls`` are its default controls (of slot 1, where it has slots).

    ``low`` and ``high`` limit numbers, in ``unit``; ``initial`` is a number's value until the session tells it.
    ``any_value``: a control change counts whatever its value, as channel mode messages do.
    """

    name: str
    kind: Kind
    doc: str
    controls: tuple[Control, ...] = ()
    count: int = 1
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    initial: float | str | None = None
    choices: tuple[str, ...] = ()
    feedback: str = ""
    any_value: bool = False
    held: str = ""  # the action that follows when the button stays down for LONG_PRESS_SECONDS
    also: str = ""  # what else reaches it, in words

    @property
    def keys(self) -> tuple[str, ...]:
        """Its key, or those of its slots."""
        if self.kind is Kind.SLOT:
            return tuple(f"{self.name}.{slot}" for slot in range(1, self.count + 1))
        return (self.name,)

    @property
    def learnable(self) -> bool:
        """Whether a control can be bound to it: programs and the clock have messages of their own."""
        return self.kind not in (Kind.PROGRAM, Kind.CLOCK)

    @property
    def step(self) -> float:
        """How far apart neighbouring values lie, as a part of the control's travel; 0: continuous."""
        if self.kind is Kind.WHOLE:
            return 1.0 / (self.high - self.low)
        return 1.0 / len(self.choices) if self.kind is Kind.CHOICE else 0.0

    def value_at(self, position: float) -> Value:
        """The value at a control's ``position``, 0..1 of its travel."""
        if self.kind is Kind.CHOICE:
            return self.choices[min(int(position * len(self.choices)), len(self.choices) - 1)]
        value = self.low + position * (self.high - self.low)
        return round(value) if self.kind is Kind.WHOLE else value

    def position_of(self, value: float | str) -> float:
        """Where a control must stand for ``value``: 0..1 of its travel; values beyond the limits are at an end."""
        if isinstance(value, str):
            return (self.choices.index(value) + 0.5) / len(self.choices)
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def _button(name: str, note: int, doc: str, feedback: str = "", held: str = "") -> Action:
    """Notes 44-51 have twins in CC 102-109, for controllers without pads."""
    twin = Control(ControlKind.CC, note - 44 + 102)
    return Action(
        name, Kind.PRESS, doc, (Control(ControlKind.NOTE, note), twin), feedback=feedback, held=held
    )


def _knob(
    name: str, cc: int, doc: str, low: float, high: float, initial: float, unit: str = "", whole: bool = False
) -> Action:
    kind = Kind.WHOLE if whole else Kind.NUMBER
    control = Control(ControlKind.CC, cc)
    return Action(
        name,
        kind,
        doc,
        (control,),
        low=low,
        high=high,
        unit=unit,
        initial=initial,
        feedback="its value",
    )


def _encoder(name: str, cc: int, doc: str) -> Action:
    return Action(name, Kind.STEPS, doc, (Control(ControlKind.CC, cc, Encoding.TWOS_COMPLEMENT),))


def _notes(first: int) -> tuple[Control, ...]:
    return (Control(ControlKind.NOTE, first),)


_PANIC = (Control(ControlKind.CC, 120), Control(ControlKind.CC, 123))

ACTIONS: tuple[Action, ...] = (
    Action(
        "program",
        Kind.PROGRAM,
        "choose a preset; bank 0 factory, 1 user, 2 project",
        also="CC 0 + CC 32 + Program Change",
    ),
    Action(
        "preset",
        Kind.SLOT,
        "presets 1 to 8 of the page",
        _notes(36),
        count=8,
        feedback="selected, ready, empty",
    ),
    _button("capture", 44, "keep the last bars of the input as prime", "running while it fills, done"),
    _button("generate", 45, "continue the prime", "queued, running, done, error"),
    _button("stop", 46, "stop playing; held: cancel the job", held="cancel"),
    Action("cancel", Kind.PRESS, "cancel the running job", also="stop, held for half a second"),
    _button("keep", 47, "keep the current take, or no longer", "done = kept"),
    _button("previous", 48, "the take before"),
    _button("next", 49, "the take after"),
    _button("ab", 50, "hear the prime or the take"),
    _button("export", 51, "write the current take for the DAW", "running, done, error"),
    Action(
        "take",
        Kind.SLOT,
        "play take 1 to 16, on the bar",
        _notes(52),
        count=16,
        feedback="empty, ready, queued = armed, selected = playing",
    ),
    _knob("temperature", 20, "how adventurous", 0.05, 2.0, 1.0),
    _knob("top_p", 21, "draw from the likeliest up to this sum", 0.01, 1.0, 1.0),
    _knob("length", 22, "length of a continuation", 1, 16, 4, "bars", whole=True),
    _knob("overlap", 23, "how much of a window the next one sees", 0.1, 0.95, 0.75),
    _knob("takes", 24, "takes at once", 1, 16, 1, whole=True),
    _knob("mix", 25, "from prime to take", 0.0, 1.0, 1.0),
    _knob("gain", 26, "output volume", -60.0, 6.0, 0.0, "dB"),
    _knob("capture_bars", 27, "how much capture keeps", 1, 16, 4, "bars", whole=True),
    _encoder("browse_styles", 28, "the next or previous style"),
    _encoder("browse_takes", 29, "the next or previous take"),
    _knob("style_morph", 30, "from one style to the other", 0.0, 1.0, 0.0),
    Action(
        "fidelity",
        Kind.CHOICE,
        "how far down the levels",
        (Control(ControlKind.CC, 31),),
        choices=tuple(str(f) for f in Fidelity),
        initial=str(Fidelity.FULL),
        feedback="its value",
    ),
    Action("hold", Kind.HOLD, "repeat the current window while it is down", (Control(ControlKind.CC, 64),)),
    Action("panic", Kind.PRESS, "silence now", _PANIC, any_value=True, also="system reset (FF)"),
    Action("clock", Kind.CLOCK, "tempo, bar, start, continue, stop, position", also="F8, FA, FB, FC, F2"),
)
BY_NAME = {action.name: action for action in ACTIONS}


def find(key: str) -> tuple[Action, int]:
    """The action of a key and the number of its slot (1 where it has none).

    Raises :class:`NoAction` with the slots there are or the nearest key.
    """
    name, _, slot = key.partition(".")
    action = BY_NAME.get(name)
    if action is not None and key in action.keys:
        return action, int(slot) if slot else 1
    if action is not None and action.kind is Kind.SLOT:
        raise NoAction(f"'{key}' is not one of its slots; they are {name}.1 to {name}.{action.count}")
    known = [key for action in ACTIONS for key in action.keys]
    nearest = difflib.get_close_matches(key[:64], known, n=1, cutoff=0.0)[0]
    raise NoAction(f"there is no action '{key}'; the nearest is '{nearest}'")


def limits(action: Action) -> str:
    """The values of an action in words."""
    if action.kind is Kind.CHOICE:
        return ", ".join(action.choices)
    if action.kind in KNOBS:
        return f"{action.low:g} to {action.high:g}{' ' + action.unit if action.unit else ''}"
    if action.kind is Kind.SLOT:
        return f"1 to {action.count}"
    return {Kind.HOLD: "down, up", Kind.STEPS: "left, right"}.get(action.kind, "")


def default_controls(action: Action) -> str:
    """What reaches an action unless something else was learned, in words: "note 44, CC 102"."""
    words = []
    for control in action.controls:
        last = f"-{control.number + action.count - 1}" if action.count > 1 else ""
        words.append(f"{control}{last}{' (encoder)' if control.encoding else ''}")
    return ", ".join([*words, *([action.also] if action.also else [])])


def rows() -> list[dict[str, object]]:
    """The table, one dictionary a row: what ``segue midi map`` prints."""
    return [
        {
            "action": action.name,
            "control": default_controls(action),
            "kind": str(action.kind),
            "values": limits(action),
            "feedback": action.feedback,
            "does": action.doc,
        }
        for action in ACTIONS
    ]


def markdown() -> str:
    """The table as the README has it."""
    lines = ["| action | by default | values | feedback | what it does |", "|---|---|---|---|---|"]
    lines += [
        f"| `{row['action']}` | {row['control']} | {row['values']} | {row['feedback']} | {row['does']} |"
        for row in rows()
    ]
    return "\n".join(lines)
