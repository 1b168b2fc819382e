"""MIDI ports of the system: the protocol that the rest of the package sees, and python-rtmidi behind it.

rtmidi is used directly and not through mido's ports, which drop arrival times and, on JACK, open a port that is
there already without connecting it (facts/rig.md §3).
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakSet

from bridge.midi.reader import QUEUE_MESSAGES, Queue, Reader
from engine.errors import SegueError

CLIENT = "Segue"
PROBE_SECONDS = 6.0  # between two looks by a new client, where an open port can be asked
VIRTUAL_IN, VIRTUAL_OUT = "Segue in", "Segue out"
# ALSA adds its client and port, Windows the place in its list; both change from one time to the next.
_NUMBERS = re.compile(r" \d+$" if sys.platform == "win32" else r" \d+:\d+$")
_OURS = re.compile(rf"^{CLIENT}(?:-\d+| probe)?:|^{VIRTUAL_IN}|^{VIRTUAL_OUT}")

Receive = Callable[
    [bytes, int], None
]  # bytes and time.monotonic_ns on arrival; called by a thread of the system


class NoMidi(SegueError):
    """The system has no MIDI, or it has gone away."""

    code, slug = 503, "no_midi"


class NoMidiPort(SegueError):
    """A MIDI port that is not there; the message lists those that are."""

    code, slug = 404, "no_midi_port"


class InputPort(Protocol):
    """An open input."""

    def close(self) -> None:
        """Close it; does nothing the second time."""


class OutputPort(Protocol):
    """An open output."""

    def send(self, data: Sequence[int]) -> None:
        """Send one message; one that cannot be sent is lost."""

    def close(self) -> None:
        """Close it; does nothing the second time."""


class PortSystem(Protocol):
    """The MIDI of a machine. Every method may raise :class:`NoMidi`."""

    @property
    def name(self) -> str:
        """What it is called, for people."""

    @property
    def has_virtual(self) -> bool:
        """Whether it can offer ports of our own to other programs."""

    def inputs(self) -> list[str]:
        """Names of the ports that send to us, without our own."""

    def outputs(self) -> list[str]:
        """Names of the ports that we can send to, without our own."""

    def open_input(self, name: str, receive: Receive, virtual: bool = False) -> InputPort:
        """Open a port by its listed name, or offer one of that name."""

    def open_output(self, name: str, virtual: bool = False) -> OutputPort:
        """Open a port by its listed name, or offer one of that name."""


def plain_name(name: str) -> str:
    """A port's name without the numbers that the system gives anew each time: what bindings and profiles go by."""
    return _NUMBERS.sub("", name)


def wanted(names: Sequence[str], parts: Sequence[str]) -> list[str]:
    """The names that contain one of ``parts``, in any case; ``*`` is in all of them."""
    return [
        name for name in names if any(part == "*" or part.casefold() in name.casefold() for part in parts)
    ]


def check_port(part: str, names: Sequence[str]) -> None:
    """Raise :class:`NoMidiPort`, listing what there is, when no name contains ``part``."""
    if not wanted(names, [part]):
        there = ", ".join(f"'{plain_name(name)}'" for name in names) or "none"
        raise NoMidiPort(f"no MIDI port is called '{part}'; there is: {there}")


class _RtPort:
    """An open port of rtmidi. The lock keeps a send in one thread from a close in another."""

    def __init__(self, port: Any, reader: Reader) -> None:
        self._port = port
        self._reader = reader
        self._lock = threading.Lock()

    def send(self, data: Sequence[int]) -> None:
        with self._lock:
            if self._port is None:
                return
            try:
                self._port.send_message(data)
            except _failures():
                pass  # the device was pulled out; the watch will see it

    def names(self) -> list[str] | None:
        """The ports that there are, asked through this one; None when it does not say."""
        with self._lock:
            try:
                return None if self._port is None else list(self._port.get_ports())
            except _failures():
                return None

    def close(self) -> None:
        with self._lock:
            port, self._port = self._port, None
        if port is not None:
            self._reader.remove(port)
            try:
                port.close_port()
                port.delete()
            except _failures():
                pass  # nothing of it is left

    def abandon(self) -> None:
        """Let go of it without closing it, for good: not even the interpreter may close it at its end."""
        with self._lock:
            port, self._port = self._port, None
        if port is not None:
            self._reader.remove(port)
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(port))


class RtMidi:
    """python-rtmidi over the first of the machine's MIDI systems that works (ALSA, JACK, CoreMIDI, Windows).

    When a JACK server has died and a new client was refused, closing one of the old clients ends the process
    (segmentation fault in libjack 1.9): from then on they are left alone. It costs two clients a death.

    On JACK, to look which ports there are by a new client disturbs every client of the server, so most looks go
    through a port that is open. Such a port does not notice that the server has died: now and then a new one asks.
    """

    def __init__(self) -> None:
        self._api: int | None = None
        self._opened_ports: WeakSet[_RtPort] = WeakSet()
        self._reader = Reader()
        self._asked: dict[str, _RtPort] = {}  # an open port of either direction, on JACK
        self._probe_at = {"MidiIn": 0.0, "MidiOut": 0.0}

    @property
    def name(self) -> str:
        import rtmidi

        return str(rtmidi.get_api_display_name(self._working()))

    @property
    def has_virtual(self) -> bool:
        import rtmidi

        return self._working() != rtmidi.API_WINDOWS_MM

    def inputs(self) -> list[str]:
        return self._names("MidiIn")

    def outputs(self) -> list[str]:
        return self._names("MidiOut")

    def open_input(self, name: str, receive: Receive, virtual: bool = False) -> InputPort:
        port = self._client("MidiIn", CLIENT, queue_size_limit=QUEUE_MESSAGES)
        # (All of it, whatever is of use: the time since a message that rtmidi leaves out is told nobody.)
        port.ignore_types(sysex=False, timing=False, active_sense=False)
        opened = self._opened(port, name, virtual, VIRTUAL_IN)
        self._reader.add(Queue(port, receive))
        self._ask("MidiIn", opened)
        return opened

    def open_output(self, name: str, virtual: bool = False) -> OutputPort:
        opened = self._opened(self._client("MidiOut", CLIENT), name, virtual, VIRTUAL_OUT)
        self._ask("MidiOut", opened)
        return opened

    def _ask(self, direction: str, opened: _RtPort) -> None:
        import rtmidi

        if self._api == rtmidi.API_UNIX_JACK:
            self._asked[direction] = opened

    def _opened(self, port: Any, name: str, virtual: bool, own_name: str) -> _RtPort:
        opened = _RtPort(port, self._reader)
        try:
            if virtual:
                port.open_virtual_port(name)
            else:
                names = port.get_ports()
                if name not in names:
                    raise NoMidi(f"the MIDI port '{name}' has gone; plug it in again")
                # (A name without a colon: rtmidi would not connect it on JACK.)
                port.open_port(names.index(name), name=f"{own_name} {plain_name(name).replace(':', ' ')}")
        except _failures() as error:
            opened.close()
            raise NoMidi(f"the MIDI port '{name}' cannot be opened ({error}); close what uses it") from error
        except NoMidi:
            opened.close()
            raise
        self._opened_ports.add(opened)
        return opened

    def _names(self, direction: str) -> list[str]:
        asked = self._asked.get(direction)
        if asked is not None and time.monotonic() < self._probe_at[direction]:
            found = asked.names()
            if found is not None:
                return [name for name in found if not _OURS.match(name)]
        self._probe_at[direction] = time.monotonic() + PROBE_SECONDS
        client = self._client(direction, f"{CLIENT} probe")
        try:
            return [name for name in client.get_ports() if not _OURS.match(name)]
        except _failures() as error:
            raise NoMidi(f"the MIDI system does not answer ({error})") from error
        finally:
            client.delete()

    def _client(self, direction: str, name: str, **options: int) -> Any:
        import rtmidi

        api = self._working()
        try:
            return getattr(rtmidi, direction)(api, name=name, **options)
        except _failures() as error:
            if api == rtmidi.API_UNIX_JACK:
                for port in list(self._opened_ports):
                    port.abandon()
            self._api = None
            raise NoMidi(f"the MIDI system does not answer ({error})") from error

    def _working(self) -> int:
        """The system that is in use, or the first that lets us in."""
        import rtmidi

        if self._api is not None:
            return self._api
        # A client must not start a sound server that nobody asked for.
        os.environ.setdefault("JACK_NO_START_SERVER", "1")
        _quieten_jack()
        for api in rtmidi.get_compiled_api():
            if api == rtmidi.API_LINUX_ALSA and sys.platform == "linux" and not Path("/dev/snd/seq").exists():
                continue  # (asking would print a complaint)
            try:
                rtmidi.MidiIn(api, name=f"{CLIENT} probe").delete()
            except _failures():
                continue
            self._api = int(api)
            return self._api
        raise NoMidi("this machine has no MIDI system; on Linux load snd-seq or start JACK")


@cache
def _quieten_jack() -> None:
    """Keep rtmidi's JACK library from printing five lines whenever it is asked while no server runs."""
    maps = Path("/proc/self/maps")
    loaded = re.search(r"/\S.*rtmidi.*/libjack\S*", maps.read_text()) if maps.exists() else None
    if loaded is not None:
        # The callback gets a text and may be called by any thread until the very end: strlen is harmless then, too.
        listener = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p)
        ctypes.CDLL(loaded[0]).jack_set_error_function(listener)


def _failures() -> tuple[type[BaseException], ...]:
    import rtmidi

    return (rtmidi.RtMidiError, SystemError, OSError, RuntimeError)
