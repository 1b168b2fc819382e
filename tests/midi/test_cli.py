"""``segue midi`` where there is no MIDI, and with a settings file that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli import segue
from bridge.midi.ports import NoMidiPort, check_port, plain_name, wanted


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGUE_MIDI", str(tmp_path / "midi.toml"))
    return tmp_path / "midi.toml"


@pytest.mark.parametrize("command", [["list"], ["use", "apc"], ["learn", "stop", "--port", "apc"]])
def test_no_midi_system(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setattr("rtmidi.get_compiled_api", lambda: [])
    answer = CliRunner().invoke(segue, ["midi", *command])
    assert answer.exit_code == 2
    assert answer.stderr == ("segue: this machine has no MIDI system; on Linux load snd-seq or start JACK\n")


@pytest.mark.parametrize(
    "command", [["map"], ["use", "--channel", "3"], ["learn", "stop"], ["forget", "--all"], ["list"]]
)
def test_a_broken_file_is_told_and_left_alone(path: Path, command: list[str]) -> None:
    path.write_text("channel = 99")
    answer = CliRunner().invoke(segue, ["midi", *command])
    assert answer.exit_code == 2
    assert answer.stderr == (
        "segue: midi.toml: channel is 99; input should be less than or equal to 16; correct it, or remove it to "
        "start afresh\n"
    )
    assert path.read_text() == "channel = 99"


def test_settings_without_a_port(path: Path) -> None:
    answer = CliRunner().invoke(segue, ["midi", "use", "--channel", "3", "--take-over", "jump"])
    assert answer.stdout == "ports: none but Segue's own; channel 3; take-over: jump\n"
    assert 'takeover = "jump"' in path.read_text()


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["learn", "stopp"], "segue: there is no action 'stopp'; the nearest is 'stop'\n"),
        (
            ["forget", "preset.12"],
            "segue: 'preset.12' is not one of its slots; they are preset.1 to preset.8\n",
        ),
    ],
)
def test_unknown_actions(command: list[str], sentence: str) -> None:
    answer = CliRunner().invoke(segue, ["midi", *command])
    assert (answer.exit_code, answer.stderr) == (2, sentence)


def test_forget_wants_to_be_told_what() -> None:
    for arguments in ([], ["stop", "--all"]):
        answer = CliRunner().invoke(segue, ["midi", "forget", *arguments])
        assert answer.exit_code == 2
        assert "name an action, or give --all" in answer.stderr


def test_port_names() -> None:
    names = ["APC MINI:APC MINI MIDI 1 20:0", "Midi Through:Midi Through Port-0 14:0"]
    assert plain_name(names[0]) == "APC MINI:APC MINI MIDI 1"
    assert wanted(names, ["apc"]) == names[:1]
    assert wanted(names, ["*"]) == names
    assert wanted(names, []) == []
    with pytest.raises(
        NoMidiPort,
        match="no MIDI port is called 'x'; there is: 'APC MINI:APC MINI MIDI 1', 'Midi Through:Midi Through Port-0'",
    ):
        check_port("x", names)
    with pytest.raises(NoMidiPort, match="no MIDI port is called 'x'; there is: none"):
        check_port("x", [])
