"""Ten thousand MIDI messages through a whole session: `segue serve --mock`, a real sound server, real virtual ports."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.bridge.client import Heard, OscClient
from tests.bridge.conftest import wait_idle
from tests.midi.test_jack import connect, port_of
from tests.rig.jack import JackServer, jack_server
from tests.session.hands import FIRST_PAD, GAIN, MIX, messages

__all__ = ["jack_server"]  # fixtures are found by name
ROOT = Path(__file__).resolve().parents[2]
COUNT, A_SECOND = 10_000, 1_000  # what a MIDI cable carries: 31,250 baud, three bytes of ten bits
PAUSE_MS = 150.0  # of its own that the loop may take (a machine that does nothing else: under 50)


@contextmanager
def served(folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    """The command in a process of its own: its port."""
    command = [sys.executable, "-c", "from bridge.cli import main; main()", "serve", "--mock", "--port", "0"]
    command += ["--takes", str(folder / "takes"), "--query-port", "none"]
    names = {"SEGUE_STATE": str(folder / "state.json"), "SEGUE_MIDI": str(folder / "midi.toml")}
    environment = {**os.environ, **names, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        stdout = process.stdout
        assert stdout is not None
        threading.Thread(target=lambda: [lines.put(line) for line in stdout], daemon=True).start()
        try:
            while not (found := re.search(r"127\.0\.0\.1:(\d+)", lines.get(timeout=60))):
                pass
            yield int(found[1]), psutil.Process(process.pid)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


@contextmanager
def hands(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.session.hands", *map(str, arguments)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def told(heard: list[Heard], address: str) -> list[object]:
    return [values[0] for where, values in heard if where == address]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif(Path("/dev/snd/seq").exists(), reason="the session would take ALSA's MIDI and not JACK's")
@pytest.mark.parametrize("jack_server", [(48_000, 2, 256)], indirect=True)
def test_ten_thousand_messages_and_every_effect_is_told(
    jack_server: JackServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = messages(COUNT)
    mix = [value for status, number, value in sent if (status, number) == (0xBF, MIX)]
    gain = [value for status, number, value in sent if (status, number) == (0xBF, GAIN)]
    pads = [number - FIRST_PAD for status, number, _ in sent if status == 0x9F]
    with served(tmp_path) as (port, process), hands(COUNT, A_SECOND) as sender:
        client = OscClient(port)
        wait_idle(client, 60)
        client.send("/segue/style/pad", 8)  # so that the first pad changes something
        client.send("/segue/notify", 1)
        connect("hands:out", port_of("Segue.*:Segue in"))
        client.ask("/segue/debug/pauses", 1, reply="/segue/debug/pauses.reply")
        before = process.memory_full_info().pss
        assert sender.stdin is not None and sender.stdout is not None
        client.drain(0.3)
        sender.stdin.write("\n")
        sender.stdin.flush()
        heard = []
        while len(told(heard, "/segue/style")) < len(pads):
            more = client.drain(1.0)
            assert more, (len(told(heard, "/segue/style")), len(pads))
            heard += more
        took = float(sender.stdout.readline().split()[1])
        heard += client.drain(1.0)
        longest, own, *_ = client.ask("/segue/debug/pauses", 0, reply="/segue/debug/pauses.reply")
        grown = (process.memory_full_info().pss - before) / 1e6
        now = {name: client.ask(f"/segue/param/{name}")[0] for name in ("mix", "gain_db")}
        styles = [str(name) for name in told(heard, "/segue/style")]
        client.close()
    # A knob that stands elsewhere than its parameter does nothing until it is a step from it: 0 dB lies at 60 of 66.
    caught = next(place for place, value in enumerate(gain) if (value - 1) * 66 / 127 <= 60)
    assert told(heard, "/segue/param/mix") == pytest.approx([value / 127 for value in mix][1:], abs=1e-6)
    wanted = [value * 66 / 127 - 60 for value in gain][caught:]
    assert told(heard, "/segue/param/gain_db") == pytest.approx(wanted, abs=1e-4)
    assert now == pytest.approx({"mix": mix[-1] / 127, "gain_db": gain[-1] * 66 / 127 - 60}, abs=1e-4)
    assert len(set(styles[:8])) == 8 and styles == [styles[pad] for pad in pads]
    with capsys.disabled():
        print(
            f"\n{COUNT} MIDI messages in {took:.1f} s: {len(heard)} notices, longest pause {longest:.0f} ms ",
            end="",
        )
        print(f"({own:.0f} ms own), the bridge's memory {grown:+.1f} MB")
    assert own <= PAUSE_MS and grown < 20
