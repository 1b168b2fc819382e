"""`segue doctor`: real sockets, folders and child processes; stand-ins for hardware that is not there."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from bridge.cli import segue
from bridge.cli.checks import machine, models, network, sound
from bridge.cli.checks.finding import Finding, Level
from engine.folders import default_takes
from engine.store.home import SHIPPED
from tests.bridge.conftest import StartSession, start_session
from tests.host.tiny import make_tiny_model
from tests.rig.jack import JackServer, jack_server

__all__ = ["jack_server", "start_session"]

DEVICES = """
class PortAudioError(Exception): pass
_libname = "none"
default = type("default", (), {"device": (0, 0)})
def _terminate(): pass
def _initialize(): pass
def query_hostapis(): return [{"name": "ALSA", "default_output_device": 0, "default_input_device": 0}]
def query_devices(): return [dict(index=i, name=f"Card {i}", hostapi=0, default_samplerate=48000.0,
    max_output_channels=2, max_input_channels=2) for i in range(5)]
class RawOutputStream:
    latency = 0.02
    def __init__(self, callback, **settings): self.callback = callback
    def __enter__(self): %s
    def __exit__(self, *_): pass
RawInputStream = RawOutputStream
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules win over the installed ones in the doctor's child processes."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


# -- packages ----------------------------------------------------------------------------------------------------


def test_packages_are_compared_with_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.check_packages().level is Level.OK
    monkeypatch.setattr(
        machine.metadata, "requires", lambda _: ["numpy>=999", "click>=8", "no-such-thing-here"]
    )
    finding = machine.check_packages()
    assert finding.level is Level.RED
    assert "(needs >=999), no-such-thing-here" in finding.detail
    assert finding.next_step == "run scripts/run again"


def test_missing_extra_is_only_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["click>=8", 'no-such-thing-here>=1; extra == "train"', 'onnxruntime-gpu>=99; extra == "gpu"']
    monkeypatch.setattr(machine.metadata, "requires", lambda _: lines)
    finding = machine.check_packages()
    assert (finding.level, finding.detail) == (Level.NOTE, "1 in place; not no-such-thing-here")


# -- sound and MIDI ----------------------------------------------------------------------------------------------


def test_no_portaudio_is_noted(stand_in: Path) -> None:
    (stand_in / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    finding = sound.check_sound()
    assert (finding.level, finding.detail) == (Level.NOTE, "PortAudio is not installed")
    assert "apt-get install libportaudio2" in finding.next_step
    assert sound.check_input().level is Level.NOTE


def test_portaudio_that_breaks_is_red(stand_in: Path) -> None:
    (stand_in / "sounddevice.py").write_text("raise RuntimeError('boom')")
    finding = sound.check_sound()
    assert (finding.level, finding.detail) == (Level.RED, "PortAudio does not answer: RuntimeError: boom")
    assert "segue serve --device file:out.wav" in finding.next_step


def test_a_device_is_opened_and_asked_for_sound(stand_in: Path) -> None:
    (stand_in / "sounddevice.py").write_text(DEVICES % "self.callback()")
    finding = sound.check_sound()
    assert (finding.level, finding.next_step) == (Level.OK, "")
    assert finding.detail == (
        "'Card 0, ALSA' opens at 48000 Hz, 20 ms; "
        "5 there: Card 0, ALSA, 48000 Hz; Card 1, ALSA, 48000 Hz; Card 2, ALSA, 48000 Hz and 2 more"
    )
    assert "'Card 3, ALSA' opens" in sound.check_sound("card 3").detail
    assert sound.check_input().detail == "'Card 0, ALSA' opens at 48000 Hz"
    assert sound.check_sound("file:a.wav") == Finding("sound", Level.OK, "file:a.wav, as asked")


@pytest.mark.parametrize(
    ("opening", "why"),
    [("raise PortAudioError('Device unavailable')", "Device unavailable"), ("pass", "it asks for no sound")],
)
def test_a_device_that_does_not_open_is_red(stand_in: Path, opening: str, why: str) -> None:
    (stand_in / "sounddevice.py").write_text(DEVICES % opening)
    finding = sound.check_sound()
    assert (finding.level, finding.detail) == (Level.RED, f"'Card 0, ALSA' cannot be opened: {why}")
    assert finding.next_step.startswith("close what uses it, choose another (segue serve --device NAME)")
    assert sound.check_input().level is Level.NOTE and sound.check_input("card 1").level is Level.RED


def test_a_device_that_is_not_there_is_red(stand_in: Path) -> None:
    (stand_in / "sounddevice.py").write_text(DEVICES % "pass")
    finding = sound.check_sound("Moog")
    assert finding.level is Level.RED
    assert finding.detail.startswith("there is no sound device 'Moog'; the nearest are 'Card")
    assert sound.check_input("Moog").level is Level.RED


def test_a_real_sound_server_is_played_to(jack_server: JackServer) -> None:
    finding = sound.check_sound()
    assert finding.level is Level.OK
    assert "JACK Audio Connection Kit' opens at 44100 Hz" in finding.detail
    assert sound.check_input().level is Level.OK
    assert sound.check_midi().detail.startswith(("JACK", "Jack"))


def test_a_sound_server_that_hangs_is_given_up(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (stand_in / "sounddevice.py").write_text("import time; time.sleep(60)")
    monkeypatch.setattr(sound, "SOUND_SECONDS", 2)
    finding = sound.check_sound()
    assert (finding.level, finding.detail) == (Level.RED, "PortAudio does not answer: no answer within 2 s")


@pytest.mark.parametrize(
    ("module", "detail"),
    [
        ("raise ImportError('no rtmidi here')", "ImportError: no rtmidi here"),
        (
            "get_api_display_name = str\ndef get_compiled_api(): return []",
            "this machine has no MIDI system; on Linux load snd-seq or start JACK",
        ),
    ],
)
def test_midi_trouble_is_noted(stand_in: Path, module: str, detail: str) -> None:
    (stand_in / "rtmidi.py").write_text(module)
    finding = sound.check_midi()
    assert (finding.level, finding.detail) == (Level.NOTE, detail)
    assert "OSC works without" in finding.next_step


# -- ports -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_port_in_use_is_red_names_the_holder_and_is_then_free(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            holder.listen()
        port = holder.getsockname()[1]
        finding = network.check_osc_port("127.0.0.1", port)
        assert finding.level is Level.RED
        transport = "UDP" if kind is socket.SOCK_DGRAM else "TCP"
        assert finding.detail.startswith(f"127.0.0.1:{port} ({transport}) is in use by ")
        assert f"(process {os.getpid()})" in finding.detail
        assert finding.next_step == "quit it, or use another: segue serve --port N"
    assert network.check_osc_port("127.0.0.1", port) == Finding(
        "osc port", Level.OK, f"127.0.0.1:{port} is free"
    )


def test_a_running_session_is_recognised(start_session: StartSession) -> None:
    port = start_session(setup={"version": ("1.2.3", "")}).port
    assert (
        network.check_osc_port("127.0.0.1", port).detail == f"127.0.0.1:{port} (UDP) is in use by Segue 1.2.3"
    )


def test_a_host_that_is_not_this_machine_s_is_red() -> None:
    finding = network.check_osc_port("192.0.2.1", 19770)
    assert finding.level is Level.RED
    assert finding.detail.startswith("192.0.2.1:19770 (UDP) cannot be opened: ")
    assert "use 127.0.0.1 or an address of this machine" in finding.next_step


def test_a_taken_query_port_is_noted() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        finding = network.check_query_port("127.0.0.1", holder.getsockname()[1])
    assert finding.level is Level.NOTE and "is in use by" in finding.detail
    assert "segue serve --query-port N, or none" in finding.next_step


# -- models ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_model_is_opened_as_a_session_would() -> None:
    finding = models.check_model("starter")
    assert finding.level is Level.OK
    assert "'starter' loads in" in finding.detail and "files are whole" in finding.detail


def test_a_missing_model_is_red() -> None:
    finding = models.check_model("no-such-model")
    assert finding.level is Level.RED
    assert finding.detail.startswith("there is no model 'no-such-model'; give ")
    assert finding.next_step == "get the model folder again, or name another: segue serve --model NAME"


def test_a_broken_model_is_red_or_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_MODELS", str(tmp_path))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.json").write_text("{}")
    finding = models.check_model("broken")
    assert finding.level is Level.RED and "model.json does not describe a model" in finding.detail
    others = models.check_other_models()
    assert others.level is Level.NOTE and others.detail.startswith("broken is broken: ")
    assert others.next_step == "get it again, or remove its folder; segue models verify broken tells more"


@pytest.mark.slow
def test_a_model_with_a_cut_file_is_red(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "tiny")
    assert models.check_model(str(folder)).level is Level.OK
    file = folder / "prior_0.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    finding = models.check_model(str(folder))
    assert finding.level is Level.RED and "prior_0.safetensors" in finding.detail


@pytest.mark.slow
def test_graphs_of_other_weights_are_red(tmp_path: Path) -> None:
    folder = tmp_path / "starter"
    shutil.copytree(SHIPPED / "starter", folder)
    manifest = folder / "onnx.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {"model_hash": "0" * 64}))
    finding = models.check_model(str(folder), "onnx")
    assert (
        finding.level is Level.RED and "ONNX graphs" in finding.detail and "other weights" in finding.detail
    )


def test_no_runtime_is_red(stand_in: Path) -> None:
    for name in ("torch", "onnxruntime"):
        (stand_in / f"{name}.py").write_text(f"raise ImportError('no {name} here')")
    finding = models.check_compute()
    assert finding.level is Level.RED
    assert finding.detail == (
        "neither torch nor ONNX Runtime can be imported, so no model can be run (no onnxruntime here)"
    )
    (stand_in / "onnxruntime.py").write_text(
        "__version__ = '9.9'\ndef get_available_providers(): return ['CPUExecutionProvider']"
    )
    finding = models.check_compute()
    assert (finding.level, finding.detail) == (Level.NOTE, "no card; torch absent, ONNX Runtime 9.9 (CPU)")


# -- folders and files -------------------------------------------------------------------------------------------


def test_takes_folder(tmp_path: Path) -> None:
    finding = machine.check_takes(tmp_path / "not" / "made" / "yet")
    assert finding.level is Level.OK
    assert not (tmp_path / "not").exists()
    in_the_way = tmp_path / "file"
    in_the_way.write_text("a file where a folder is wanted")
    finding = machine.check_takes(in_the_way)
    assert finding.level is Level.RED
    assert finding.detail == f"{in_the_way} cannot be written to: Not a directory"
    assert "segue serve --takes DIR" in finding.next_step


def test_too_little_space_is_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=200_000_000))
    finding = machine.check_takes(tmp_path)
    assert (finding.level, finding.detail) == (Level.RED, f"{tmp_path}: 0.2 GB free")


def test_default_takes_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SEGUE_TAKES", raising=False)
    assert default_takes().name == "Segue"
    assert default_takes().is_relative_to(tempfile.gettempdir())  # the tests' own home, not the user's
    monkeypatch.setenv("SEGUE_TAKES", str(tmp_path))
    assert default_takes() == tmp_path


def test_little_shared_memory_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000_000, total=64_000_000))
    finding = machine.check_shared_memory()
    assert (finding.level, finding.detail) == (Level.RED, "/dev/shm: 10 of 64 MB free")
    assert "docker run --shm-size=512m" in finding.next_step


def test_rings_of_the_dead_are_noted() -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = SharedMemory(f"segue-{dead.pid}-left", create=True, size=1_000_000)
    try:
        finding = machine.check_shared_memory()
        assert finding.level is Level.NOTE
        assert "rings (" in finding.detail and "of sessions that are gone" in finding.detail
        assert finding.next_step == "segue serve removes them when it starts"
    finally:
        left.close()
        left.unlink()


def test_broken_settings_state_and_presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, file in (
        ("SEGUE_MIDI", "midi.toml"),
        ("SEGUE_STATE", "session.json"),
        ("SEGUE_PRESETS", "presets"),
    ):
        monkeypatch.setenv(name, str(tmp_path / file))
    assert {
        machine.check_midi_settings().level,
        machine.check_state().level,
        machine.check_presets().level,
    } == {Level.OK}
    (tmp_path / "midi.toml").write_text("channel = 200\n")
    finding = machine.check_midi_settings()
    assert finding.level is Level.RED and finding.detail.startswith("midi.toml: channel is 200; ")
    assert finding.next_step == f"edit {tmp_path / 'midi.toml'}, or remove it"
    (tmp_path / "session.json").write_text('{"settings": 3}')
    finding = machine.check_state()
    assert finding.level is Level.RED and finding.detail.startswith(
        f"{tmp_path / 'session.json'} is broken at settings: "
    )
    assert (
        finding.next_step
        == f"move {tmp_path / 'session.json'} away; the session then starts with its defaults"
    )
    assert (tmp_path / "session.json").exists()  # the doctor only looks
    (tmp_path / "session.json").unlink()
    (tmp_path / "session.json").mkdir()
    assert machine.check_state().detail.endswith("cannot be read: Is a directory")
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "bad.toml").write_text("name = 3\n")
    finding = machine.check_presets()
    assert finding.level is Level.NOTE and "bad.toml" in finding.detail
    assert "segue presets check" in finding.next_step


# -- the report --------------------------------------------------------------------------------------------------


def test_the_report_and_its_exit_code(tmp_path: Path) -> None:
    arguments = ["doctor", "--model", str(tmp_path / "none"), "--takes", str(tmp_path)]
    done = CliRunner().invoke(segue, [*arguments, "--json"])
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert list(findings) == [
        *("python", "packages", "sound", "input", "midi", "osc port", "query port", "model", "models", "gpu"),
        *("takes", "shared memory", "state", "midi settings", "presets"),
    ]
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
