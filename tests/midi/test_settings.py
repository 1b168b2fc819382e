"""The file of settings and learned controls: written, read back by another reader, broken in every way."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bridge.midi.settings import Binding, Keeper, MidiSettings, TakeOver, load, save
from engine.errors import BadFormat

PAD = Binding(action="generate", port='pädel "9"\\', channel=1, kind="note", number=12)
WHEEL = Binding(action="gain", channel=3, kind="cc", number=7, encoding="signed_bit_2")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "midi.toml"
    settings = MidiSettings(channel=0, takeover=TakeOver.JUMP, ports=("APC", "x\x7f"), control=(PAD, WHEEL))
    save(path, settings)
    assert load(path) == settings
    plain = tomllib.loads(path.read_text())
    assert plain["ports"] == ["APC", "x\x7f"]
    assert plain["control"][0] == {
        "action": "generate",
        "port": 'pädel "9"\\',
        "channel": 1,
        "kind": "note",
        "number": 12,
    }
    assert [file.name for file in path.parent.iterdir()] == ["midi.toml"]


def test_no_file_is_the_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path / "midi.toml")
    assert (settings.channel, settings.takeover, settings.ports) == (16, "pickup", ())


BROKEN = [
    ("channel = ", "midi.toml cannot be read as TOML (Invalid value (at end of document))"),
    ("channel = 17", "midi.toml: channel is 17; input should be less than or equal to 16"),
    ("chanel = 3", "midi.toml: there is no setting chanel"),
    ("takeover = 'never'", "midi.toml: takeover is 'never'; input should be 'pickup' or 'jump'"),
    ("[[control]]\naction = 'generate'\nchannel = 1\nkind = 'cc'", "midi.toml: control.0.number is missing"),
    (
        "[[control]]\naction = 'genrate'\nchannel = 1\nkind = 'note'\nnumber = 1",
        "midi.toml: control.0: there is no action 'genrate'; the nearest is 'generate'",
    ),
    (
        "[[control]]\naction = 'mix'\nchannel = 1\nkind = 'note'\nnumber = 1",
        "midi.toml: control.0: 'mix' needs a knob, a fader or an encoder (kind 'cc'), not a note",
    ),
    (
        "[[control]]\naction = 'browse_takes'\nchannel = 1\nkind = 'cc'\nnumber = 1",
        "midi.toml: control.0: 'browse_takes' needs the encoding of its encoder; one of twos_complement, "
        "binary_offset, signed_bit, signed_bit_2",
    ),
    (
        "[[control]]\naction = 'clock'\nchannel = 1\nkind = 'cc'\nnumber = 1",
        "midi.toml: control.0: 'clock' has messages of its own; bind another action",
    ),
    (
        "[[control]]\naction = 'stop'\nchannel = 1\nkind = 'cc'\nnumber = 1\nencoding = 'signed_bit'",
        "midi.toml: control.0: 'stop' on cc 1 has no encoding; leave it out",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), BROKEN)
def test_a_broken_file_is_told_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "midi.toml"
    path.write_text(text)
    with pytest.raises(BadFormat) as caught:
        load(path)
    assert caught.value.message.startswith(sentence)
    assert caught.value.message.endswith("correct it, or remove it to start afresh") or "TOML" in sentence
    keeper = Keeper(path)
    assert keeper.settings == MidiSettings()
    assert keeper.problem == caught.value.message


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "midi.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadFormat, match=r"midi.toml cannot be read as TOML"):
        load(path)


def test_a_broken_file_is_put_aside_and_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "midi.toml"
    path.write_text("channel = 99")
    keeper = Keeper(path)
    keeper.keep(MidiSettings(control=(PAD,)))
    assert (tmp_path / "midi.toml.broken").read_text() == "channel = 99"
    assert Keeper(path).settings.control == (PAD,)
    assert keeper.problem == ""


def test_a_file_that_is_edited_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "midi.toml"
    keeper = Keeper(path)
    assert keeper.reload() is False
    path.write_text("channel = 4")
    assert keeper.reload() is True
    assert keeper.settings.channel == 4
    assert keeper.reload() is False
    path.write_text("channel = 400")
    assert keeper.reload() is True
    assert keeper.settings.channel == 4  # what was in use stays
    assert "channel is 400" in keeper.problem
    path.unlink()
    assert keeper.reload() is True
    assert keeper.settings.channel == 16
    assert keeper.problem == ""


def test_own_writing_is_no_edit(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "midi.toml")
    keeper.keep(MidiSettings(channel=2))
    assert keeper.reload() is False
