"""Which output devices there are, and which one a name means.

PortAudio freezes its list when it is initialised and its indices drift, so devices are looked up by name
and host API in a fresh list each time (facts/daw.md §3.3).
"""

from __future__ import annotations

import contextlib
import ctypes
import difflib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

from engine.errors import NoDevice

_JACK_NAME = ctypes.create_string_buffer(b"Segue")  # PortAudio keeps the pointer


@dataclass(frozen=True)
class OutputDevice:
    """A device with at least one output channel. ``rate``: its own, in Hz.

    ``index`` holds until the next scan; ``first``: the one that its host API offers first; ``default``: the one
    the system plays on.
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


def scan() -> list[OutputDevice]:
    """The outputs that exist now. No stream may be open. Raises :class:`NoDevice` if PortAudio is missing."""
    sound = portaudio()
    with _quiet_stderr():
        sound._terminate()
        _name_jack_client(sound._libname)
        sound._initialize()
        apis = sound.query_hostapis()
        found = sound.query_devices()
    default = sound.default.device[1]
    return [
        OutputDevice(
            index=device["index"],
            name=device["name"],
            host_api=apis[device["hostapi"]]["name"],
            channels=device["max_output_channels"],
            rate=int(device["default_samplerate"]),
            first=device["index"] == apis[device["hostapi"]]["default_output_device"],
            default=device["index"] == default,
        )
        for device in found
        if device["max_output_channels"] > 0
    ]


def find_output(wanted: str | None, outputs: list[OutputDevice]) -> OutputDevice:
    """The output that ``wanted`` names: exactly, without regard to case, or by a part only one name has.

    None means JACK if a server runs (somebody started it to be used), else the system's default, else the
    first. Raises :class:`NoDevice` with the nearest names.
    """
    if not outputs:
        named = "" if wanted is None else f" '{wanted}', and none at all"
        raise NoDevice(f"there is no sound device{named}; connect one or use 'file:PATH'")
    if wanted is None:
        jack = [output for output in outputs if output.host_api.startswith("JACK") and output.first]
        return (jack or [output for output in outputs if output.default] or outputs)[0]
    key = wanted.strip().casefold()
    exact = [output for output in outputs if key in (output.name.casefold(), output.label.casefold())]
    partial = [output for output in outputs if key and key in output.label.casefold()]
    if exact or len(partial) == 1:
        return (exact or partial)[0]
    raise NoDevice(f"there is no sound device '{wanted}'; {_suggestion(key, partial or outputs)}")


def _suggestion(key: str, outputs: list[OutputDevice]) -> str:
    labels = {output.label.casefold(): output.label for output in outputs}
    near = difflib.get_close_matches(key, labels, n=3, cutoff=0.0)
    return "the nearest are " + " and ".join(f"'{labels[label]}'" for label in near)


def _name_jack_client(library: str) -> None:
    """Let JACK show "Segue" rather than "PortAudio" (facts/daw.md §3.1); does nothing without JACK."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(library).PaJack_SetClientName(_JACK_NAME)


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
