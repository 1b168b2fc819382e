"""`segue doctor`: real sockets, folders and child processes; stand-ins for hardware that is not there."""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from bridge.cli import checks, segue
from bridge.cli.checks import Finding, Level
from bridge.cli.folders import default_takes
from tests.rig.jack import JackServer, jack_server

__all__ = ["jack_server"]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules win over the installed ones in the doctor's child processes."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_packages_are_compared_with_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.check_packages().level is Level.OK
    monkeypatch.setattr(
        checks.metadata, "requires", lambda _: ["numpy>=999", "click>=8", "no-such-thing-here"]
    )
    finding = checks.check_packages()
    assert finding.level is Level.RED
    assert "(needs >=999), no-such-thing-here" in finding.detail
    assert finding.next_step == "run scripts/run again"


def test_missing_extra_is_only_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["click>=8", 'no-such-thing-here>=1; extra == "train"', 'onnxruntime-gpu>=99; extra == "gpu"']
    monkeypatch.setattr(checks.metadata, "requires", lambda _: lines)
    finding = checks.check_packages()
    assert (finding.level, finding.detail) == (Level.NOTE, "1 in place; not no-such-thing-here")


@pytest.mark.parametrize(
    ("module", "level", "words"),
    [
        ("raise OSError('PortAudio library not found')", Level.NOTE, "PortAudio is not installed"),
        ("raise RuntimeError('boom')", Level.RED, "PortAudio does not answer: RuntimeError: boom"),
    ],
)
def test_sound_library_trouble(stand_in: Path, module: str, level: Level, words: str) -> None:
    (stand_in / "sounddevice.py").write_text(module)
    finding = checks.check_sound()
    assert (finding.level, finding.detail) == (level, words)
    assert "WAV" in finding.next_step or "file:" in finding.next_step


def test_sound_devices_are_counted(stand_in: Path) -> None:
    (stand_in / "sounddevice.py").write_text(
        "def query_hostapis(): return [{'name': 'ALSA'}]\n"
        "def get_portaudio_version(): return (1, 'PortAudio V19')\n"
        "def query_devices(): return [dict(name=f'Card {i}', hostapi=0, default_samplerate=48000.0,\n"
        "    max_output_channels=2 * (i > 0)) for i in range(6)]\n"
    )
    finding = checks.check_sound()
    assert finding.level is Level.OK
    assert finding.detail.startswith("5 output devices: Card 1 (ALSA, 48000 Hz); ")
    assert finding.detail.endswith("Card 3 (ALSA, 48000 Hz) and 2 more")


def test_a_real_sound_server_is_found(jack_server: JackServer) -> None:
    finding = checks.check_sound()
    assert finding.level is Level.OK
    assert "JACK Audio Connection Kit, 44100 Hz" in finding.detail


def test_a_sound_server_that_hangs_is_given_up(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (stand_in / "sounddevice.py").write_text("import time; time.sleep(60)")
    monkeypatch.setattr(checks, "SOUND_SECONDS", 1)
    finding = checks.check_sound()
    assert (finding.level, finding.detail) == (Level.RED, "PortAudio does not answer: no answer within 1 s")


def test_midi_trouble_is_caught(stand_in: Path) -> None:
    (stand_in / "mido.py").write_text(
        "def get_input_names(): raise SystemError('MidiInAlsa::initialize: error creating ALSA client')\n"
    )
    finding = checks.check_midi()
    assert finding.level is Level.NOTE
    assert finding.detail == "SystemError: MidiInAlsa::initialize: error creating ALSA client"
    assert "OSC works without" in finding.next_step


def test_a_port_in_use_is_red_and_then_free() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        finding = checks.check_port("127.0.0.1", port)
        assert finding.level is Level.RED
        assert finding.detail == f"127.0.0.1:{port} cannot be opened: Address already in use"
        assert "segue serve --port" in finding.next_step
    assert checks.check_port("127.0.0.1", port) == Finding("osc port", Level.OK, f"127.0.0.1:{port} is free")


def test_a_missing_model_is_red() -> None:
    finding = checks.check_model("no-such-model")
    assert finding.level is Level.RED
    assert finding.detail.startswith("there is no model 'no-such-model'; give ")


def test_a_broken_model_is_red(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    finding = checks.check_model(str(tmp_path))
    assert finding.level is Level.RED
    assert "model.json does not describe a model" in finding.detail
    assert finding.next_step == "get the model folder again, or name another"


def test_takes_folder(tmp_path: Path) -> None:
    finding = checks.check_takes(tmp_path / "not" / "made" / "yet")
    assert finding.level is Level.OK
    assert not (tmp_path / "not").exists()
    in_the_way = tmp_path / "file"
    in_the_way.write_text("a file where a folder is wanted")
    finding = checks.check_takes(in_the_way)
    assert finding.level is Level.RED
    assert finding.detail == f"{in_the_way} cannot be written to: Not a directory"
    assert "segue serve --takes DIR" in finding.next_step


def test_too_little_space_is_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=200_000_000))
    finding = checks.check_takes(tmp_path)
    assert (finding.level, finding.detail) == (Level.RED, f"{tmp_path}: 0.2 GB free")


def test_default_takes_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SEGUE_TAKES", raising=False)
    assert default_takes().name == "Segue"
    assert default_takes().is_relative_to(tempfile.gettempdir())  # the tests' own home, not the user's
    monkeypatch.setenv("SEGUE_TAKES", str(tmp_path))
    assert default_takes() == tmp_path


def test_the_report_and_its_exit_code(tmp_path: Path) -> None:
    arguments = ["doctor", "--model", str(tmp_path / "none"), "--takes", str(tmp_path)]
    done = CliRunner().invoke(segue, [*arguments, "--json"])
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert list(findings) == ["python", "packages", "sound", "midi", "osc port", "model", "gpu", "takes"]
    assert findings["model"]["level"] == "red"
    assert done.exit_code == 1
    for finding in findings.values():
        assert (finding["level"] == "ok") == (finding["next_step"] == ""), finding


def test_nothing_red_is_exit_code_0(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Finding("sound", Level.NOTE, "no [output] device", "connect one")]
    monkeypatch.setattr("bridge.cli.doctor.examine", lambda *_: found)
    done = CliRunner().invoke(segue, ["doctor"])
    assert done.exit_code == 0
    assert "note" in done.stdout
    assert "no [output] device" in done.stdout
    assert "→ connect one" in done.stdout
