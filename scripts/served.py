"""A session in processes of its own, as scripts that put it under strain use it: its port, its memory, its answers."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder


class Client:
    """OSC over UDP to a session on this machine."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.bind(("127.0.0.1", 0))
        self._target = ("127.0.0.1", port)

    def send(self, address: str, *values: int | float | str) -> None:
        builder = OscMessageBuilder(address)
        for value in values:
            builder.add_arg(value)
        self._socket.sendto(builder.build().dgram, self._target)

    def send_together(self, *messages: tuple[int | float | str, ...]) -> None:
        """Several messages, each an address and its values, as one bundle."""
        bundle = OscBundleBuilder(IMMEDIATELY)
        for address, *values in messages:
            builder = OscMessageBuilder(str(address))
            for value in values:
                builder.add_arg(value)
            bundle.add_content(builder.build())
        self._socket.sendto(bundle.build().dgram, self._target)

    def hear(self, seconds: float) -> tuple[str, list[Any]] | None:
        """The next message, None when there is none in that time."""
        self._socket.settimeout(max(0.001, seconds))
        try:
            message = OscMessage(self._socket.recv(65_536))
        except TimeoutError:
            return None
        return message.address, list(message.params)


class Serve:
    """`segue serve` as a process: its port, its log, and the memory of all that it consists of."""

    def __init__(self, options: list[str], environment: dict[str, str], log: Path) -> None:
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._log = log
        command = [sys.executable, "-c", "from bridge.cli import main; main()", "serve", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--verbose", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                **os.environ,
                "SEGUE_STATE": str(log.with_suffix(".state.json")),  # not the user's own
                **environment,
                "COLUMNS": "240",
                "PYTHONUNBUFFERED": "1",
            },
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self._log.open("w", buffering=1) as log:
            for line in self.process.stdout:
                log.write(line)
                self.lines.put(line)

    def port(self) -> int:
        """The port it listens on, once the model is loaded."""
        end = time.monotonic() + 120
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(queue.Empty):
                if found := re.search(r"127\.0\.0\.1:(\d+)", self.lines.get(timeout=1.0)):
                    return int(found[1])
        raise SystemExit(f"segue: the session did not start; see {self._log}")

    def memory(self) -> dict[str, float]:
        """Megabytes of each process, shared pages divided among those who share them; "helpers" are those of the
        bridge and the engine that come and go."""
        root = psutil.Process(self.process.pid)
        found = {"bridge": _megabytes(root), "engine": 0.0, "audio": 0.0, "helpers": 0.0}
        for child in root.children(recursive=True):
            with contextlib.suppress(psutil.Error, OSError):
                name = "engine" if child.name().startswith("segue-engine") else "helpers"
                if "libportaudio" in Path(f"/proc/{child.pid}/maps").read_text():
                    name = "audio"
                found[name] += _megabytes(child)
        return found


def _megabytes(process: psutil.Process) -> float:
    return process.memory_full_info().pss / 1e6
