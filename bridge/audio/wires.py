"""Whether an input is still wired up on the JACK server: a client that quits takes its wires along.

PortAudio does not tell: its stream goes on, with silence. The server is asked by a process of its own, which knows
nothing but libjack and takes some hundredths of a second; one that asks while the server dies may hang or crash.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from typing import Any, NamedTuple

_LOOK_SECONDS = 5.0
_AUDIO = b"32 bit float mono audio"
_NO_START_SERVER, _IS_INPUT, _IS_OUTPUT = 1, 1, 2


class Wires(NamedTuple):
    """``outlets``: ports of the client that is recorded, 0 when it has quit; ``uuid``: its own since it has joined;
    ``joined``: of our inputs, how many are connected to anything."""

    outlets: int
    uuid: str
    joined: int


async def look(ours: str, client: str) -> Wires | None:
    """The wires between the JACK client ``client`` and the one of ours; None where there is no telling."""
    command = [sys.executable, "-I", "-S", __file__, ours, client]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=DEVNULL, stdin=DEVNULL)
    try:
        found, _ = await asyncio.wait_for(process.communicate(), _LOOK_SECONDS)
    except (TimeoutError, asyncio.CancelledError) as given_up:
        process.kill()
        await process.wait()
        if isinstance(given_up, asyncio.CancelledError):
            raise
        return None
    return Wires(*json.loads(found)) if process.returncode == 0 else None


class _Server:
    """The few functions of libjack that are needed."""

    def __init__(self) -> None:
        self._jack = jack = ctypes.CDLL("libjack.so.0" if sys.platform == "linux" else "libjack.dylib")
        jack.jack_client_open.restype = jack.jack_port_by_name.restype = ctypes.c_void_p
        jack.jack_get_uuid_for_client_name.restype = ctypes.c_char_p
        for names in (jack.jack_get_ports, jack.jack_port_get_all_connections):
            names.restype = ctypes.POINTER(ctypes.c_char_p)
        status = ctypes.c_int()
        client = jack.jack_client_open(b"Segue look", _NO_START_SERVER, ctypes.byref(status))
        self._client = ctypes.c_void_p(client)
        if not client:
            raise OSError("there is no JACK server")

    def ports(self, pattern: str, flags: int) -> list[str]:
        """Names of audio ports."""
        return _texts(
            self._jack.jack_get_ports(self._client, pattern.encode(), _AUDIO, ctypes.c_ulong(flags))
        )

    def wires(self, port: str) -> list[str]:
        """What a port is connected to."""
        found = ctypes.c_void_p(self._jack.jack_port_by_name(self._client, port.encode()))
        return _texts(self._jack.jack_port_get_all_connections(self._client, found))

    def uuid(self, client: str) -> str:
        """Another one for a client that has quit and come back."""
        found = self._jack.jack_get_uuid_for_client_name(self._client, client.encode())
        return found.decode(errors="replace") if found else ""


def _texts(found: Any) -> list[str]:
    texts = []
    for place in range(1 << 16 if found else 0):
        if not found[place]:
            break
        texts.append(found[place].decode(errors="replace"))
    return texts


def _look(ours: str, client: str) -> Wires:
    server = _Server()
    outlets = server.ports(f"^{re.escape(client)}:", _IS_OUTPUT)
    inlets = server.ports(f"^{re.escape(ours)}:in_[0-9]+$", _IS_INPUT)
    return Wires(len(outlets), server.uuid(client), sum(bool(server.wires(port)) for port in inlets))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_look(sys.argv[1], sys.argv[2])))
    sys.stdout.flush()
    os._exit(0)  # leaving a server that is going would take its time
