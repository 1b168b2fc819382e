"""Which sound devices there are, and which one a name means.

PortAudio freezes its list when it is initialised and its indices drift, so devices are looked up by name
and host API in a fresh list each time (facts/daw.md §3.3).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import difflib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from pydantic import TypeAdapter

from bridge.audio.protocol import DeviceInfo
from engine.errors import NoDevice

_LOOK_SECONDS = 10.0
_INFOS: TypeAdapter[list[DeviceInfo]] = TypeAdapter(list[DeviceInfo])
_JACK_NAME = ctypes.create_string_buffer(b"Segue")  # PortAudio keeps the pointer


Kind = Literal["output", "input"]


@dataclass(frozen=True)
class Device:
    """A device with ``channels`` (at least one) of one kind. ``rate``: its own, in Hz.

    ``index`` holds until the next scan; ``first``: the one that its host API offers first; ``default``: the one
    the system plays on or records from.
    """

    index: int
    name: str
    host_api: str
    channels: int
    rate: int
    first: bool
    default: bool

    @property
    def label(self) -> str:
        """How it is named in messages and on the command line."""
        return f"{self.name}, {self.host_api}"


def portaudio() -> ModuleType:
    """The sounddevice module. Raises :class:`NoDevice` if PortAudio is not installed.

    JACK is told not to start a server: an engine that is merely looking must not.
    """
    os.environ.setdefault("JACK_NO_START_SERVER", "1")
    os.environ.setdefault("JACK_NO_AUDIO_RESERVATION", "1")
    try:
        with _quiet_stderr():
            import sounddevice
    except (OSError, ImportError):
        raise NoDevice(
            "PortAudio is not installed, so there is no sound device; install it (on Debian: libportaudio2)"
        ) from None
    return sounddevice


def scan(kind: Kind = "output") -> list[Device]:
    """The devices that exist now. No stream may be open. Raises :class:`NoDevice` if PortAudio is missing."""
    sound = portaudio()
    with _quiet_stderr():
        sound._terminate()
        _name_jack_client(sound._libname)
        sound._initialize()
    return known(kind)


def known(kind: Kind) -> list[Device]:
    """The devices that existed when they were last looked for; streams may be open."""
    sound = portaudio()
    with _quiet_stderr():
        apis = sound.query_hostapis()
        found = sound.query_devices()
    default = sound.default.device[kind == "output"]
    return [
        Device(
            index=device["index"],
            name=device["name"],
            host_api=apis[device["hostapi"]]["name"],
            channels=device[f"max_{kind}_channels"],
            rate=int(device["default_samplerate"]),
            first=device["index"] == apis[device["hostapi"]][f"default_{kind}_device"],
            default=device["index"] == default,
        )
        for device in found
        if device[f"max_{kind}_channels"] > 0
    ]


def find_device(wanted: str | None, devices: list[Device], kind: Kind = "output") -> Device:
    """The device that ``wanted`` names: exactly, without regard to case, or by a part only one name has.

    None means JACK if a server runs (somebody started it to be used), else the system's default, else the
    first. Raises :class:`NoDevice` with the nearest names.
    """
    what, else_ = (
        ("sound device", "use 'file:PATH'") if kind == "output" else ("sound input", "use 'reastream'")
    )
    if not devices:
        named = "" if wanted is None else f" '{wanted}', and none at all"
        raise NoDevice(f"there is no {what}{named}; connect one or {else_}")
    if wanted is None:
        jack = [device for device in devices if device.host_api.startswith("JACK") and device.first]
        return (jack or [device for device in devices if device.default] or devices)[0]
    key = wanted.strip().casefold()
    exact = [device for device in devices if key in (device.name.casefold(), device.label.casefold())]
    partial = [device for device in devices if key and key in device.label.casefold()]
    if exact or len(partial) == 1:
        return (exact or partial)[0]
    raise NoDevice(f"there is no {what} '{wanted}'; {_suggestion(key, partial or devices)}")


class Looking:
    """Lists devices; whoever asks while somebody looks gets what is found then, so that a flood of questions starts
    no flood of processes."""

    def __init__(self) -> None:
        self._look: asyncio.Task[tuple[DeviceInfo, ...]] | None = None

    async def listed(self) -> tuple[DeviceInfo, ...]:
        """As :func:`listed`."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(listed())
        return await asyncio.shield(self._look)


async def listed() -> tuple[DeviceInfo, ...]:
    """The devices that exist now, found by a process of its own: one in which a stream is open cannot look again.

    Empty if there is none, or no PortAudio.
    """
    look = [sys.executable, "-m", "bridge.audio.devices"]
    process = await asyncio.create_subprocess_exec(*look, stdout=PIPE, stderr=DEVNULL, stdin=DEVNULL)
    try:
        found, _ = await asyncio.wait_for(process.communicate(), _LOOK_SECONDS)
    except (TimeoutError, asyncio.CancelledError) as given_up:
        process.kill()
        await process.wait()
        if isinstance(given_up, asyncio.CancelledError):
            raise
        return ()
    return tuple(_INFOS.validate_json(found)) if process.returncode == 0 else ()


def _look() -> list[DeviceInfo]:
    outputs, inputs = scan("output"), known("input")
    of_index = {device.index: device for device in inputs} | {device.index: device for device in outputs}
    chosen_in = find_device(None, inputs, "input").index if inputs else None
    chosen_out = find_device(None, outputs).index if outputs else None
    channels_in = {device.index: device.channels for device in inputs}
    channels_out = {device.index: device.channels for device in outputs}
    return [
        DeviceInfo(
            name=device.name,
            host_api=device.host_api,
            inputs=channels_in.get(index, 0),
            outputs=channels_out.get(index, 0),
            rate=device.rate,
            default_input=index == chosen_in,
            default_output=index == chosen_out,
        )
        for index, device in sorted(of_index.items())
    ]


def _suggestion(key: str, devices: list[Device]) -> str:
    labels = {device.label.casefold(): device.label for device in devices}
    near = difflib.get_close_matches(key, labels, n=3, cutoff=0.0)
    return "the nearest are " + " and ".join(f"'{labels[label]}'" for label in near)


def _name_jack_client(library: str) -> None:
    """Let JACK show "Segue" rather than "PortAudio" (facts/daw.md §3.1); does nothing without JACK."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(library).PaJack_SetClientName(_JACK_NAME)


def jack_client_name() -> str:
    """What PortAudio is called on the JACK server ("Segue-01" beside another Segue); "" without JACK."""
    name = ctypes.c_char_p()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(portaudio()._libname).PaJack_GetClientName(ctypes.byref(name))
    return (name.value or b"").decode(errors="replace")


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keep what the drivers' C code prints while probing away from the terminal."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


if __name__ == "__main__":
    sys.stdout.write(_INFOS.dump_json(_look()).decode())
    sys.stdout.flush()
    os._exit(0)  # no exit handlers: PortAudio's hangs if the sound server died
