"""Controllers in a session: every action does what its OSC address does, and shows what subscribers are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.midi import ClockMessage, Light, Midi, Program, Value
from bridge.midi.actions import BY_NAME, KNOBS
from bridge.midi.ports import NoMidi, PortSystem
from bridge.osc.addresses import TABLE
from bridge.osc.table import bind
from bridge.osc.wire import Message
from bridge.session.dispatch import Handler
from bridge.session.notices import NOBODY, Notices, Sendable
from bridge.session.properties import Properties
from bridge.session.takes import TakeBook
from engine.errors import NoTake

FLASH_SECONDS = 1.0
_TAGS = {int: "i", float: "f", str: "s"}

ADDRESSES = {
    "preset": "/segue/style/pad",
    "capture": "/segue/prime/capture",
    "generate": "/segue/generate",
    "stop": "/segue/take/stop",
    "cancel": "/segue/cancel",
    "keep": "/segue/take/keep",
    "previous": "/segue/take/prev",
    "next": "/segue/take/next",
    "ab": "/segue/take/ab",
    "export": "/segue/export",
    "take": "/segue/take/play",
    "temperature": "/segue/param/temperature",
    "top_p": "/segue/param/top_p",
    "length": "/segue/param/bars",
    "overlap": "/segue/param/overlap",
    "takes": "/segue/param/takes",
    "mix": "/segue/param/mix",
    "gain": "/segue/param/gain_db",
    "capture_bars": "/segue/param/capture_bars",
    "browse_styles": "/segue/style/browse",
    "browse_takes": "/segue/take/browse",
    "style_morph": "/segue/style/morph",
    "fidelity": "/segue/param/fidelity",
    "hold": "/segue/take/hold",
    "panic": "/segue/panic",
    "program": "/segue/style/program",
}
_KNOB_OF = {address: name for name, address in ADDRESSES.items() if BY_NAME[name].kind in KNOBS}
_JOB_LIGHTS = {
    "queued": Light.QUEUED,
    "running": Light.RUNNING,
    "window": Light.RUNNING,
    "done": Light.DONE,
    "failed": Light.ERROR,
    "cancelled": Light.READY,
}


@dataclass(frozen=True)
class MidiSetup:
    """How MIDI is run. ``ports``: parts of the names of the ports to open, None for those of the settings; ``path``:
    of the settings file, None for the user's; ``system``: None for the machine's own."""

    ports: tuple[str, ...] | None = None
    path: Path | None = None
    system: PortSystem | None = None


class Controllers:
    """MIDI of a session, or none: then its verbs say so. ``clock`` gets the messages of MIDI clock."""

    def __init__(
        self,
        setup: MidiSetup | None,
        notices: Notices,
        properties: Properties,
        takes: TakeBook,
        clock: Callable[[ClockMessage], None],
        tell: Callable[[str], None],
    ) -> None:
        self._properties, self._takes = properties, takes
        self._handlers: Mapping[str, Handler] = {}
        self._entries = {entry.address: entry for entry in TABLE}
        self._midi: Midi | None = None
        if setup is not None:
            self._midi = Midi(
                self, clock=clock, notice=tell, system=setup.system, path=setup.path, ports=setup.ports
            )
            notices.taps.append(self._show)
        self._slots: dict[int, Light] = {}
        self._flashing: asyncio.TimerHandle | None = None

    @property
    def midi(self) -> Midi:
        """Raises :class:`~bridge.midi.ports.NoMidi` in a session without."""
        if self._midi is None:
            raise NoMidi("this session runs without MIDI; start it without --no-midi")
        return self._midi

    def start(self, handlers: Mapping[str, Handler]) -> None:
        """Open the ports; ``handlers``: what addresses do."""
        self._handlers = handlers
        if self._midi is None:
            return
        self._midi.start()
        for address in (*_KNOB_OF, "/segue/style/pads"):
            if address in self._properties:
                self._show(address, self._properties.values(address))

    async def close(self) -> None:
        """Close the ports."""
        if self._flashing is not None:
            self._flashing.cancel()
        if self._midi is not None:
            await self._midi.close()

    # -- what is played on them -----------------------------------------------------------------------------------

    def act(self, action: str, value: Value) -> None:
        """See :class:`bridge.midi.MidiTarget`."""
        address = ADDRESSES[action]
        entry = self._entries[address]
        values: tuple[Sendable, ...]
        if isinstance(value, Program):
            values = tuple(value)
        elif action == "keep":
            values = self._kept_or_not()
        elif action == "export":
            values = (self._exported(),)
        elif isinstance(value, bool):
            values = (int(value),) if action == "hold" else ()
        else:
            values = (value,)
        tags = "".join(_TAGS[type(one)] for one in values)
        call = bind(entry, Message(address, tags, values))
        if call is not None:
            self._handlers[entry.handler](call, NOBODY)

    def _kept_or_not(self) -> tuple[Sendable, ...]:
        """The current take, and the other one of kept and not kept."""
        current = self._takes.current
        if current is None:
            raise NoTake("there is no take to keep; none has been made yet")
        return (str(current.number), int(not current.marks.kept))

    def _exported(self) -> str:
        """The take that is exported."""
        current = self._takes.current
        if current is None:
            self._flash("export", Light.ERROR)
            raise NoTake("there is no take to export; none has been made yet")
        return str(current.number)

    # -- what they show -------------------------------------------------------------------------------------------

    def _show(self, address: str, values: tuple[Sendable, ...]) -> None:
        if self._midi is None:
            return
        if address in _KNOB_OF:
            value = values[0]
            self._midi.value(_KNOB_OF[address], value if isinstance(value, str) else float(value))
        elif address == "/segue/job":
            self._midi.light("generate", _JOB_LIGHTS.get(str(values[1]), Light.RUNNING))
        elif address == "/segue/style/pads":
            for slot, light in enumerate(values, 1):
                self._midi.light(f"preset.{slot}", Light(str(light)))
        elif address == "/segue/prime":
            self._midi.light("capture", Light.DONE if values[0] else Light.READY)
        elif address == "/segue/prime/capturing":
            self._midi.light("capture", Light.RUNNING if values[0] else Light.READY)
        elif address == "/segue/exporting":
            self._show_export(str(values[1]))
        elif address.startswith("/segue/take"):
            self._show_take(address, values)
        elif address == "/segue/sounding":
            self._show_sounding(str(values[0]), str(values[1]))

    def _show_take(self, address: str, values: tuple[Sendable, ...]) -> None:
        """A take's pad lights up when there is one, and goes out with it; ``keep`` is that of the current one."""
        if address == "/segue/take":
            number = int(values[0])
            self._light_take(number, self._slots.get(number, Light.READY))
        elif address == "/segue/take/removed":
            self._light_take(int(values[0]), Light.EMPTY)
        elif address == "/segue/take/armed":
            self._light_take(int(values[0]), Light.QUEUED)
        current = self._takes.current
        kept = current is not None and current.marks.kept
        self.midi.light("keep", Light.DONE if kept else Light.READY)

    def _show_export(self, state: str) -> None:
        if state == "running":
            self.midi.light("export", Light.RUNNING)
        else:
            self._flash("export", Light.DONE if state == "done" else Light.ERROR)

    def _flash(self, key: str, light: Light) -> None:
        """A light for a moment; what is shown meanwhile stays."""
        self.midi.light(key, light)
        if self._flashing is not None:
            self._flashing.cancel()
        self._flashing = asyncio.get_running_loop().call_later(
            FLASH_SECONDS, lambda: self.midi.light(key, Light.READY)
        )

    def _show_sounding(self, ident: str, what: str) -> None:
        number = int(ident) if ident.isdigit() else 0
        if number:
            self._light_take(number, Light.SELECTED if what == "start" else Light.READY)

    def _light_take(self, number: int, light: Light) -> None:
        if 1 <= number <= BY_NAME["take"].count:
            self._slots[number] = light
            self.midi.light(f"take.{number}", light)
