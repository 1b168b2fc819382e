"""A sound server without hardware that can be killed and started again, and a client that notes when sound is heard."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RATE, PERIOD = 44_100, 512
_START_LOCK = (
    Path(tempfile.gettempdir()) / "segue-jackd-start.lock"
)  # simultaneous starts race (tests/rig/jack.py)
_MARK = struct.Struct("<q")  # monotonic ns of the last block with sound in it


class Server:
    """A dummy JACK server in real time, and a client of it that hears what Segue plays."""

    def __init__(
        self, name: str, folder: Path, rate: int = RATE, period: int = PERIOD, *, realtime: bool = False
    ) -> None:
        if shutil.which("jackd") is None:
            raise SystemExit("segue: jackd is not installed (Debian: jackd2)")
        self.name, self._rate, self._period, self._realtime = name, rate, period, realtime
        self.environment = {
            "JACK_DEFAULT_SERVER": self.name,
            "JACK_NO_START_SERVER": "1",
            "JACK_NO_AUDIO_RESERVATION": "1",
        }
        self._log = (folder / "jackd.log").open("ab")
        marks = folder / "heard"
        marks.write_bytes(bytes(_MARK.size))
        self._file = marks.open("r+b")
        self._marks = mmap.mmap(self._file.fileno(), _MARK.size)
        self._path = marks
        self._jackd: subprocess.Popen[bytes] | None = None
        self._recorder: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start both; returns once clients can connect."""
        command = [
            "jackd",
            *([] if self._realtime else ["--no-realtime"]),
            "-n",
            self.name,
            "-d",
            "dummy",
            "-r",
            str(self._rate),
            "-p",
            str(self._period),
        ]
        environment = {**os.environ, **self.environment}
        self._recorder = subprocess.Popen(
            [sys.executable, __file__, str(self._path)], env=environment, stderr=self._log
        )
        with _START_LOCK.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._jackd = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=environment)
            wait = ["jack_wait", "-s", self.name, "-w", "-t", "15"]
            waited = subprocess.run(wait, capture_output=True, env=environment)
        if waited.returncode:
            self.kill()
            raise SystemExit(f"segue: jackd did not start; see {self._log.name}")

    def kill(self) -> None:
        """End both at once."""
        for process in (self._jackd, self._recorder):
            if process is not None:
                process.kill()
                process.wait()

    def heard(self) -> int:
        """When sound was heard last, in monotonic ns; 0 before the first."""
        (last,) = _MARK.unpack(self._marks[:])
        return int(last)

    def stop(self) -> None:
        """End both in order."""
        if self._recorder is not None:
            self._recorder.kill()
            self._recorder.wait()
        if self._jackd is not None:
            self._jackd.terminate()
            self._jackd.wait(10)
        self._log.close()


def hear(path: Path) -> None:
    """Runs as a process of its own: marks the time of every block with sound in it."""
    import jack

    with path.open("r+b") as file:
        marks = mmap.mmap(file.fileno(), _MARK.size)
    client = None
    while client is None:
        try:
            client = jack.Client("ears", no_start_server=True, servername=os.environ["JACK_DEFAULT_SERVER"])
        except jack.JackError:
            time.sleep(0.02)
    port = client.inports.register("in")

    def process(_frames: int) -> None:
        if port.get_array().any():
            marks[:] = _MARK.pack(time.monotonic_ns())

    client.set_process_callback(process)
    client.activate()
    while True:
        with contextlib.suppress(jack.JackError):  # a port that is going, or not yet active
            for source in client.get_ports(r"^Segue.*:out_0$", is_audio=True, is_output=True):
                if not any(other.name == port.name for other in client.get_all_connections(source)):
                    client.connect(source, port)
        time.sleep(0.01)


if __name__ == "__main__":
    hear(Path(sys.argv[1]))
