"""Clients that are not ours and not python-osc drive whole sessions; what Segue answers is parsed by them."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bridge.conftest import StartSession, wait_idle

OSC_JS = "osc@2.4.5"
SCRIPT = Path(__file__).with_name("foreign.js")

liblo = pytest.mark.skipif(
    shutil.which("oscsend") is None or shutil.which("oscdump") is None,
    reason="liblo-tools (oscsend, oscdump) is not installed",
)


class Dump:
    """oscdump on a free port: lines as liblo prints what it has parsed."""

    def __init__(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            ["oscdump", "-L", str(self.port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self.more = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.more:
                self.lines.append(line.rstrip().partition(" ")[2])  # without the time
                self.more.notify_all()

    def wait(self, pattern: str, timeout: float = 20.0) -> re.Match[str]:
        """The first line that a regular expression matches from its beginning."""
        with self.more:
            found: list[re.Match[str]] = []

            def there() -> bool:
                found[:] = [match for line in self.lines if (match := re.match(pattern, line))]
                return bool(found)

            assert self.more.wait_for(there, timeout), (pattern, self.lines)
            return found[0]


@pytest.fixture
def dump() -> Iterator[Dump]:
    made = Dump()
    yield made
    made.process.kill()
    made.process.wait()


@liblo
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_liblo_drives_a_session(start_session: StartSession, riff: Path, dump: Dump, transport: str):
    running = start_session()
    wait_idle(running.client())

    def send(*words: str) -> None:
        subprocess.run(["oscsend", f"osc.{transport}://127.0.0.1:{running.port}", *words], check=True)

    send("/segue/notify", "ii", "1", str(dump.port))
    dump.wait(r'/segue/state s "idle"$')
    send("/segue/prime/file", "s", str(riff))
    dump.wait(r'/segue/prime sffs "P1" 2\.000000 0\.000000 "riff\.wav"$')
    send("/segue/style", "s", "house")
    dump.wait(r'/segue/style si "house" ')
    send("/segue/param/seed", "f", "5")
    dump.wait(r"/segue/param/seed i 5$")
    dump.wait(r'/segue/param/seed/str s "5"$')
    send("/segue/param/seconds", "d", "0.5")
    dump.wait(r"/segue/param/seconds f 0\.500000$")
    send("/segue/generate", "T")
    dump.wait(r'/segue/job ssff "J1" "(?:queued|running)" ')
    dump.wait(r'/segue/job ssff "J1" "done" 1\.0+ ')
    take = dump.wait(r'/segue/take [a-z]+ 1 "A01" "[^"]*" 0\.500000 [\d.]+ 5 0 "done" "([^"]+)"')
    assert Path(take[1]).exists()
    dump.wait(r"/segue/heartbeat i [01]$")
    ends = [
        line for line in dump.lines if re.match(r'/segue/job ssff "J1" "(?:done|failed|cancelled)"', line)
    ]
    assert len(ends) == 1


@liblo
@pytest.mark.skipif(shutil.which("oscsendfile") is None, reason="liblo-tools has no oscsendfile here")
def test_a_performance_that_oscdump_wrote_is_played_back(
    start_session: StartSession, dump: Dump, tmp_path: Path
):
    running = start_session()
    wait_idle(running.client())
    port = str(running.port)
    subprocess.run(["oscsend", "127.0.0.1", port, "/segue/notify", "ii", "1", str(dump.port)], check=True)
    dump.wait("/segue/state ")
    score = tmp_path / "score.txt"
    score.write_text("00000000.00000000 /segue/param/seed i 41\n00000000.40000000 /segue/param/seed i 42\n")
    subprocess.run(["oscsendfile", f"osc.udp://127.0.0.1:{port}", str(score)], check=True, timeout=20)
    dump.wait(r"/segue/param/seed i 42$")
    assert any(line == "/segue/param/seed i 41" for line in dump.lines)


@pytest.fixture(scope="session")
def osc_js(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the Node library `osc`; skips where it cannot be had."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    given = os.environ.get("SEGUE_NODE_MODULES")
    if given:
        return Path(given)
    folder = tmp_path_factory.mktemp("node")
    try:
        subprocess.run(
            [
                "npm",
                "install",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--prefix",
                str(folder),
                OSC_JS,
            ],
            check=True,
            capture_output=True,
            timeout=90,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip(f"npm cannot install {OSC_JS} here")
    return folder / "node_modules"


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["udp", "tcp", "websocket"])
def test_node_drives_a_session(start_session: StartSession, riff: Path, osc_js: Path, transport: str):
    running = start_session(setup={"query_ports": (0,)})
    wait_idle(running.client())
    query = running.session.query.address
    assert query is not None
    port = query[1] if transport == "websocket" else running.port
    done = subprocess.run(
        ["node", str(SCRIPT), transport, str(port), str(riff)],
        env={**os.environ, "NODE_PATH": str(osc_js)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    heard: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]

    def of(address: str, first: object = None) -> list[dict[str, Any]]:
        return [m for m in heard if m["address"] == address and first in (None, m["values"][0])]

    (fail,) = of("/segue/fail")
    assert fail["types"] == "siss" and fail["values"][1:3] == [404, "unknown_address"]
    (accepted,) = of("/segue/done", "/segue/generate")
    assert accepted["values"] == ["/segue/generate", "J1", "#node"]
    assert of("/segue/param/seed")[-1]["values"] == [
        4711
    ]  # set in the same bundle, behind the request, and used by it
    states = [m["values"][1] for m in of("/segue/job", "J1")]
    assert states[-1] == "done" and states.count("done") == 1
    take = of("/segue/take", 1)[-1]["values"]
    assert take[1] == "A01" and take[3] == 0.5 and take[5] == 4711 and Path(take[8]).exists()
    assert all(set(m["types"]) <= set("ifs") for m in heard)
