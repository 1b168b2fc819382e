"""Real virtual ports: rtmidi on a JACK server, the sender another process, the listener another program.

ALSA's sequencer is a kernel module that test machines often lack; JACK needs no hardware (facts/rig.md §3).
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli import segue
from bridge.midi import ClockMessage, Light, Midi
from bridge.midi.ports import RtMidi
from bridge.midi.settings import load
from tests.midi.fakes import Deeds
from tests.midi.sender import message
from tests.rig.jack import JackServer, jack_server, wait_until

__all__ = ["jack_server"]  # the fixture is found by name
ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(autouse=True)
def _jack_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with an ALSA sequencer these tests want JACK all the same."""
    import rtmidi

    monkeypatch.setattr(rtmidi, "get_compiled_api", lambda: [rtmidi.API_UNIX_JACK])


def jack_ports() -> str:
    return subprocess.run(["jack_lsp", "-c"], capture_output=True, text=True, timeout=10, check=False).stdout


def port_of(pattern: str) -> str:
    """The full name of the JACK port that matches, as soon as it is there."""
    found = wait_until(lambda: re.search(rf"^{pattern}$", jack_ports(), re.M), what=pattern)
    return str(found[0])


def connect(source: str, sink: str) -> None:
    subprocess.run(["jack_connect", source, sink], check=True, capture_output=True, timeout=10)


@contextmanager
def controller(count: int, seconds: float, *pad: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.midi.sender", str(count), str(seconds), *pad]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@asynccontextmanager
async def running(tmp_path: Path, *ports: str) -> AsyncIterator[tuple[Midi, Deeds, list[ClockMessage]]]:
    deeds, ticks = Deeds(), list[ClockMessage]()
    midi = Midi(deeds, clock=ticks.append, path=tmp_path / "midi.toml", ports=ports)
    midi.start()
    try:
        await until(lambda: "Segue in" in midi.open_ports)
        yield midi, deeds, ticks
    finally:
        await midi.close()


async def until(condition: object, seconds: float = 30.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def test_ten_thousand_messages_at_controller_speed_and_none_lost(
    jack_server: JackServer, tmp_path: Path
) -> None:
    """4,000 a second: four times what a MIDI cable carries (31,250 baud, three bytes of ten bits)."""

    async def run() -> None:
        async with running(tmp_path) as (midi, deeds, _):
            with controller(10_000, 2.5) as process:
                connect("controller:out", port_of("Segue.*:Segue in"))
                go(process)
                await until(lambda: len(deeds.done) >= 10_000)
                await asyncio.sleep(0)
            names = ("browse_styles", "browse_takes")
            expected = [(names[message(n)[1] - 28], message(n)[2]) for n in range(10_000)]
            assert deeds.done == expected
            assert midi.lost == 0

    asyncio.run(run())


def test_lights_reach_another_program(jack_server: JackServer, tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (midi, _, _):
            listener = subprocess.Popen(["jack_midi_dump"], stdout=subprocess.PIPE, text=True)
            try:
                connect(port_of("Segue.*:Segue out"), port_of("midi-monitor:input"))
                midi.light("generate", Light.RUNNING)
                midi.light("generate", Light.RUNNING)
                midi.light("generate", Light.EMPTY)
                assert listener.stdout is not None
                heard: list[str] = []
                while len(heard) < 4:
                    line = await asyncio.to_thread(listener.stdout.readline)
                    heard += re.findall(r": +([0-9a-f]{2} [0-9a-f]{2} [0-9a-f]{2})\b", line)
            finally:
                listener.kill()
                listener.wait()
            assert heard == ["9f 2d 7f", "bf 67 7f", "9f 2d 00", "bf 67 00"]

    asyncio.run(run())


def test_a_controller_is_opened_by_name_goes_and_comes_back(
    jack_server: JackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.midi.watch.POLL_SECONDS", 0.1)

    async def run() -> None:
        async with running(tmp_path, "CONTROLLER") as (midi, deeds, _):
            for turn in (1, 2):
                with controller(100, 0.2) as process:
                    await until(lambda: "controller:out" in midi.open_ports)
                    go(process)
                    await until(lambda turn=turn: len(deeds.done) >= 100 * turn)
                await until(lambda: "controller:out" not in midi.open_ports)
            assert [value for _, value in deeds.done] == [message(n)[2] for n in range(100)] * 2

    asyncio.run(run())


def test_the_sound_server_dies_and_comes_back(
    jack_server: JackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.midi.watch.POLL_SECONDS", 0.1)
    monkeypatch.setattr("bridge.midi.watch.ABSENT_POLL_SECONDS", 0.1)
    monkeypatch.setattr("bridge.midi.ports.PROBE_SECONDS", 1.0)

    async def run() -> None:
        async with running(tmp_path) as (midi, deeds, _):
            jack_server.kill()
            await until(lambda: midi.open_ports == ())
            jack_server.start()
            await until(lambda: "Segue in" in midi.open_ports)
            with controller(10, 0.1) as process:
                connect("controller:out", port_of("Segue.*:Segue in"))
                go(process)
                await until(lambda: len(deeds.done) == 10)

    asyncio.run(run())


def test_the_commands_list_use_and_learn(
    jack_server: JackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGUE_MIDI", str(tmp_path / "midi.toml"))
    runner = CliRunner()
    with controller(200, 20.0, "77") as process:
        port_of("controller:out")
        listed = json.loads(runner.invoke(segue, ["midi", "list", "--json"]).stdout)
        assert listed["system"] == "Jack"
        assert listed["ports"] == [
            {"port": "controller:out", "direction": "in", "profile": "generic", "used": "no"}
        ]
        refused = runner.invoke(segue, ["midi", "use", "launchpad"])
        assert refused.exit_code == 2
        assert refused.stderr == ("segue: no MIDI port is called 'launchpad'; there is: 'controller:out'\n")
        used = runner.invoke(segue, ["midi", "use", "Controller", "--channel", "0"])
        assert used.stdout == "ports: 'Controller'; every channel; take-over: pickup\n"
        go(process)  # a pad, ten times a second
        learned = runner.invoke(segue, ["midi", "learn", "capture", "--port", "controller"])
        assert "note 77 on channel 2 of controller:out is 'capture' now" in learned.stdout
    kept = load(tmp_path / "midi.toml")
    assert (kept.ports, kept.channel) == (("Controller",), 0)
    assert [str(binding) for binding in kept.control] == ["note 77 on channel 2 of controller:out"]
    shown = runner.invoke(segue, ["midi", "map"]).stdout
    assert "learned: note 77 on channel 2 of controller:out is capture" in shown
    forgotten = runner.invoke(segue, ["midi", "forget", "capture"])
    assert forgotten.stdout == "1 learned control forgotten\n"
    assert load(tmp_path / "midi.toml").control == ()


def test_our_own_ports_are_not_offered(jack_server: JackServer, tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path):
            port_of("Segue.*:Segue in")
            names = await asyncio.to_thread(lambda: (RtMidi().inputs(), RtMidi().outputs()))
            assert names == ([], [])

    asyncio.run(run())
