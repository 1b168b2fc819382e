"""Hot-plug: which ports are open, and a thread that looks for those that come and go.

No MIDI system tells us of changes, so the names are listed every two seconds (facts/daw.md §2.1) and ports are
known by name: a device that comes back is opened again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bridge.midi.ports import (
    VIRTUAL_IN,
    VIRTUAL_OUT,
    InputPort,
    NoMidi,
    OutputPort,
    PortSystem,
    plain_name,
    wanted,
)

log = logging.getLogger("segue.midi")

POLL_SECONDS = 2.0
ABSENT_POLL_SECONDS = 10.0  # while there is no MIDI system at all

Arrived = Callable[[str, bytes, int], None]  # plain port name, bytes, nanoseconds; called by any thread


@dataclass
class Changes:
    """What one look found. Names are plain ones; ``told`` has a sentence for each thing that people should know."""

    came: list[str] = field(default_factory=list)
    went: list[str] = field(default_factory=list)
    outputs_came: dict[str, OutputPort] = field(default_factory=dict)
    outputs_went: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    @property
    def any(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.came or self.went or self.outputs_came or self.outputs_went or self.told)


class PortWatch:
    """Keeps the wanted ports open. ``changed`` is called, by the thread that looked, with what is new."""

    def __init__(
        self,
        system: PortSystem,
        arrived: Arrived,
        changed: Callable[[Changes], None],
        ports: Iterable[str] = (),
        virtual: bool = True,
    ) -> None:
        self._system = system
        self._arrived = arrived
        self._changed = changed
        self._wanted = tuple(ports)
        self._virtual = virtual
        self._inputs: dict[str, InputPort] = {}
        self._outputs: dict[str, OutputPort] = {}
        self._complained: set[str] = set()
        self._present = False
        self._lock = threading.Lock()  # one look at a time
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def want(self, ports: Iterable[str], virtual: bool) -> None:
        """Open other ports from now on."""
        if (tuple(ports), virtual) != (self._wanted, self._virtual):
            self._wanted, self._virtual = tuple(ports), virtual
            self._wake.set()

    def start(self) -> None:
        """Look now and then, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="segue-midi", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close all ports."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(5.0)
        with self._lock:
            for port in (*self._inputs.values(), *self._outputs.values()):
                port.close()
            self._inputs.clear()
            self._outputs.clear()

    def look(self) -> Changes:
        """Compare what is there with what is open, once; never raises."""
        with self._lock:
            changes = Changes()
            try:
                self._reconcile(changes)
            except NoMidi as error:
                self._lose_all(changes, error.message)
        if changes.any:
            self._changed(changes)
        return changes

    def _run(self) -> None:
        while not self._closing:
            try:
                self.look()
            except Exception:
                log.exception("looking for MIDI ports failed unexpectedly")
            self._wake.wait(POLL_SECONDS if self._present else ABSENT_POLL_SECONDS)
            self._wake.clear()

    def _reconcile(self, changes: Changes) -> None:
        inputs = set(wanted(self._system.inputs(), self._wanted))
        outputs = set(wanted(self._system.outputs(), self._wanted))
        has_virtual = self._virtual and self._system.has_virtual
        if not self._present:
            self._present = True
            self._complained.clear()
        own_in, own_out = ({VIRTUAL_IN}, {VIRTUAL_OUT}) if has_virtual else (set(), set())
        for name in self._inputs.keys() - inputs - own_in:
            self._inputs.pop(name).close()
            changes.went.append(plain_name(name))
        for name in self._outputs.keys() - outputs - own_out:
            self._outputs.pop(name).close()
            changes.outputs_went.append(plain_name(name))
        for name in sorted((inputs | own_in) - self._inputs.keys()):
            self._open_input(name, name in own_in, changes)
        for name in sorted((outputs | own_out) - self._outputs.keys()):
            self._open_output(name, name in own_out, changes)
        here = {plain_name(name) for name in (*inputs, *outputs)}
        for part in self._wanted:
            if part != "*" and not wanted(list(here), [part]):
                self._complain(changes, f"the MIDI port '{part}' is not there; it is used when it comes")
            else:
                self._complained.discard(f"the MIDI port '{part}' is not there; it is used when it comes")

    def _open_input(self, name: str, virtual: bool, changes: Changes) -> None:
        plain = plain_name(name)

        def arrived(data: bytes, at_ns: int) -> None:
            self._arrived(plain, data, at_ns)

        try:
            self._inputs[name] = self._system.open_input(name, arrived, virtual)
        except NoMidi as error:
            self._complain(changes, error.message)  # tried again at the next look
        else:
            changes.came.append(plain)

    def _open_output(self, name: str, virtual: bool, changes: Changes) -> None:
        try:
            port = self._outputs[name] = self._system.open_output(name, virtual)
        except NoMidi as error:
            self._complain(changes, error.message)
        else:
            changes.outputs_came[plain_name(name)] = port

    def _lose_all(self, changes: Changes, why: str) -> None:
        self._present = False
        changes.went += [plain_name(name) for name in self._inputs]
        changes.outputs_went += [plain_name(name) for name in self._outputs]
        for port in (*self._inputs.values(), *self._outputs.values()):
            port.close()
        self._inputs.clear()
        self._outputs.clear()
        self._complain(changes, why)

    def _complain(self, changes: Changes, sentence: str) -> None:
        """Say it once, until it has been right in between."""
        if sentence not in self._complained:
            self._complained.add(sentence)
            changes.told.append(sentence)
