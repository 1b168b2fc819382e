"""A sound server without hardware, and a recorder on its side, for tests that compare sample by sample.

``jackd -S`` (synchronous) with the dummy driver waits for its clients instead of dropping blocks, so that
what arrives is exact on a busy machine too (facts/rig.md §1). Import the fixtures in a ``conftest.py``::

    from tests.rig.jack import jack_server, recorder

``jack_server`` starts a server of its own, tells PortAudio of it through the environment, and ends it after
the test. ``recorder`` connects itself to each client named "Segue" as soon as its ports appear.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

PERIOD = 1024
_START_SECONDS = 15.0
_CALLS = (
    threading.Lock()
)  # libjack crashes if a client is made while another thread of the process asks for ports
_LOCK = Path(tempfile.gettempdir()) / "segue-jackd-start.lock"  # simultaneous starts race in JACK's registry


def wait_until(condition: Callable[[], Any], seconds: float = 15.0, what: str = "") -> Any:
    """Poll until ``condition()`` is true and return it; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what or condition}")
        time.sleep(0.01)
    return result


class JackServer:
    """A named ``jackd`` with the dummy driver at ``rate`` Hz, with two inputs and ``outputs`` outputs."""

    def __init__(
        self, name: str, folder: Path, rate: int = 44_100, period: int = PERIOD, outputs: int = 2
    ) -> None:
        self.name, self.rate, self.period, self.outputs = name, rate, period, outputs
        self.waits = True  # for its clients, instead of going on without them in real time
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to find this server and no other."""
        return {
            "JACK_DEFAULT_SERVER": self.name,
            "JACK_NO_START_SERVER": "1",
            "JACK_NO_AUDIO_RESERVATION": "1",
        }

    def start(self) -> None:
        """Start it and wait until clients can connect."""
        command = [
            "jackd",
            "-n",
            self.name,
            *(["-S"] if self.waits else []),
            "-d",
            "dummy",
            "-r",
            str(self.rate),
            "-p",
            str(self.period),
            "-C",
            "2",
            "-P",
            str(self.outputs),
        ]
        environment = {**os.environ, **self.environment}
        with _LOCK.open("w") as lock, self._log.open("wb") as log:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
            wait = ["jack_wait", "-s", self.name, "-w", "-t", str(int(_START_SECONDS))]
            waited = subprocess.run(wait, capture_output=True, env=environment, timeout=2 * _START_SECONDS)
        self._killed = False
        if waited.returncode or self._process.poll() is not None:
            self._end("kill")
            raise RuntimeError(f"jackd did not start: {self._log.read_text()[-500:]}")

    def stop(self) -> None:
        """End it; its clients should be gone. One that was killed is started once more for this: it would leave its
        place among the eight servers that JACK has room for taken for ever.
        """
        if self._killed:
            self.start()
        self._end("terminate")

    def kill(self) -> None:
        """End it at once, as if it had crashed."""
        self._end("kill")
        self._killed = True

    def _end(self, how: str) -> None:
        process, self._process = self._process, None
        if process is not None:
            getattr(process, how)()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


class Recorder:
    """Records output ``channel`` (from 0) of every client whose name begins with "Segue", ``seconds`` from its first
    sound.
    """

    def __init__(self, server: JackServer, seconds: float = 60.0, channel: int = 0) -> None:
        import jack

        self._source = rf"^Segue.*:out_{channel}$"
        self._client = jack.Client(f"recorder{channel}", no_start_server=True, servername=server.name)
        self._port = self._client.inports.register("in")
        self._heard = np.zeros(int(seconds * server.rate), np.float32)
        self._at = 0
        self._appeared = threading.Event()
        self._closing = False
        self._client.set_process_callback(self._process)
        self._client.set_port_registration_callback(self._registered)
        self._client.activate()
        self._connector = threading.Thread(target=self._connect, daemon=True)
        self._connector.start()

    @property
    def audio(self) -> npt.NDArray[np.float32]:
        """Everything from the first block with sound in it until now, shape [frames]; pauses included."""
        return self._heard[: self._at].copy()

    @property
    def connected(self) -> bool:
        """Whether a player is connected now."""
        return bool(self._port.connections)

    def await_player(self) -> None:
        """Wait until a player is connected, so that nothing it plays from now on is missed."""
        wait_until(lambda: self.connected, what="a player's ports")

    def sound(self) -> npt.NDArray[np.float32]:
        """What was recorded from the first frame that is not zero to the last."""
        audio = self.audio
        loud = np.flatnonzero(audio)
        return audio[loud[0] : loud[-1] + 1] if len(loud) else audio[:0]

    def close(self) -> None:
        """Leave the server; does nothing if that has died, for JACK then waits for ever."""
        self._closing = True
        self._appeared.set()
        self._connector.join(5)
        closer = threading.Thread(target=self._leave, daemon=True)
        closer.start()
        closer.join(2)

    def _leave(self) -> None:
        self._client.deactivate()
        self._client.close()

    def _process(self, frames: int) -> None:
        block = self._port.get_array()
        if self._at == 0 and not block.any():
            return  # the player may take minutes to begin
        count = min(frames, len(self._heard) - self._at)
        self._heard[self._at : self._at + count] = block[:count]
        self._at += count

    def _registered(self, port: Any, register: bool) -> None:
        self._appeared.set()

    def _connect(self) -> None:
        import jack

        while not self._closing:
            # (An error is a port not yet active, or gone while it was asked about.)
            with contextlib.suppress(jack.JackError):
                for source in self._client.get_ports(self._source, is_audio=True, is_output=True):
                    if not self._joined(source):
                        self._client.connect(source, self._port)
            self._appeared.wait(0.005)
            self._appeared.clear()

    def _joined(self, source: Any) -> bool:
        return any(port.name == self._port.name for port in self._client.get_all_connections(source))


class Feeder:
    """A client named ``name`` with one output, which plays silence, and what :meth:`feed` gives it, once."""

    def __init__(self, server: JackServer, folder: Path, name: str = "feeder") -> None:
        self._file = folder / f"{name}.npy"
        command = [sys.executable, "-m", "tests.rig.feeder", server.name, name]
        environment = {**os.environ, **server.environment}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        if self._answer() != b"ready":
            raise RuntimeError("the feeder cannot join the JACK server")

    def feed(self, audio: npt.NDArray[np.float32]) -> None:
        """Play ``audio`` (shape [frames]) as soon as somebody listens, and wait until that is done."""
        np.save(self._file, audio)
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self._file}\n".encode())
        self._process.stdin.flush()
        assert self._answer() == b"done"

    def close(self) -> None:
        """Leave the server, dead or alive."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def match(recorded: npt.NDArray[np.float32], take: npt.NDArray[np.float32], at: int = 0) -> int:
    """How many frames of ``recorded`` from ``at`` on equal the first of ``take`` bit for bit."""
    count = min(len(recorded) - at, len(take))
    differ = np.flatnonzero(recorded[at : at + count] != take[:count])
    return int(differ[0]) if len(differ) else count


def need_jack() -> None:
    """Skip the test, with the reason, where there is no JACK."""
    if shutil.which("jackd") is None or shutil.which("jack_wait") is None:
        pytest.skip("jackd is not installed (Debian: jackd2)")
    pytest.importorskip("jack", reason="the package JACK-Client is not installed")


@pytest.fixture
def jack_server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[JackServer]:
    """A running dummy server; ``parametrize("jack_server", [48_000], indirect=True)`` sets its rate, a tuple the number
    of its outputs and its period too.
    """
    need_jack()
    wanted = getattr(request, "param", 44_100)
    rate, outputs, period = ((*wanted, PERIOD)[:3]) if isinstance(wanted, tuple) else (wanted, 2, PERIOD)
    server = JackServer(f"t{os.getpid()}", tmp_path, rate, period, outputs)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def recorder(jack_server: JackServer) -> Iterator[Recorder]:
    """A recorder on the server's side."""
    made = Recorder(jack_server)
    yield made
    made.close()


@pytest.fixture
def feeder(jack_server: JackServer, tmp_path: Path) -> Iterator[Feeder]:
    """A client on the server's side that can be recorded."""
    made = Feeder(jack_server, tmp_path)
    yield made
    made.close()
