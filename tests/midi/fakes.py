"""A MIDI system in memory, for what no real one lets us do at will: pull plugs, fail, keep time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import mido

from bridge.midi.ports import NoMidi, Receive


@dataclass
class FakePort:
    sent: list[tuple[int, ...]] = field(default_factory=list)
    open: bool = True

    def send(self, data: Sequence[int]) -> None:
        if self.open:
            self.sent.append(tuple(data))

    def close(self) -> None:
        self.open = False


class FakeSystem:
    """Ports by name; ``arrive`` is a message from the device."""

    name = "memory"

    def __init__(self, *names: str, has_virtual: bool = False) -> None:
        self.names = list(names)
        self.has_virtual = has_virtual
        self.broken = ""
        self.stuck: set[str] = set()
        self.receivers: dict[str, Receive] = {}
        self.opened: list[tuple[str, FakePort]] = []

    def inputs(self) -> list[str]:
        if self.broken:
            raise NoMidi(self.broken)
        return list(self.names)

    outputs = inputs

    def open_input(self, name: str, receive: Receive, virtual: bool = False) -> FakePort:
        self.receivers[name] = receive
        return self._open(name)

    def open_output(self, name: str, virtual: bool = False) -> FakePort:
        return self._open(name)

    def _open(self, name: str) -> FakePort:
        if name in self.stuck:
            raise NoMidi(f"the MIDI port '{name}' cannot be opened (busy); close what uses it")
        port = FakePort()
        self.opened.append((name, port))
        return port

    def arrive(self, name: str, *messages: mido.Message, at_ns: int = 0) -> None:
        for message in messages:
            self.receivers[name](bytes(message.bytes()), at_ns)

    def sent(self, name: str) -> list[tuple[int, ...]]:
        """Everything sent to the ports opened under that name."""
        return [message for opened, port in self.opened if opened == name for message in port.sent]


class Timers:
    """``call_later`` by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, Callable[[], None], FakeTimer]] = []

    def later(self, seconds: float, call: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer()
        self._due.append((self.now + seconds, call, timer))
        return timer

    def pass_(self, seconds: float) -> None:
        self.now += seconds
        due = [entry for entry in self._due if entry[0] <= self.now]
        self._due = [entry for entry in self._due if entry[0] > self.now]
        for _, call, timer in due:
            if not timer.cancelled:
                call()


@dataclass
class FakeTimer:
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class Deeds:
    """A target that keeps what it was asked to do."""

    def __init__(self) -> None:
        self.done: list[tuple[str, object]] = []

    def act(self, action: str, value: object) -> None:
        self.done.append((action, value))


def cc(number: int, value: int, channel: int = 16) -> mido.Message:
    return mido.Message("control_change", channel=channel - 1, control=number, value=value)


def note(number: int, velocity: int = 100, channel: int = 16) -> mido.Message:
    return mido.Message("note_on", channel=channel - 1, note=number, velocity=velocity)


def program(number: int, channel: int = 16) -> mido.Message:
    return mido.Message("program_change", channel=channel - 1, program=number)
