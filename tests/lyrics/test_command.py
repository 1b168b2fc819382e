"""``segue continue --lyrics``: what reaches the take's record, and what the user is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bridge.cli import segue
from tests.host.tiny import make_tiny_model, write_riff


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


def sing(tiny: Path, folder: Path, lyrics: object, *more: str) -> Result:
    riff = write_riff(folder / "riff.wav")
    fixed = ("--model", tiny, "--out", folder / "takes", "--seconds", "0.05", "--fidelity", "draft")
    return CliRunner().invoke(segue, ["continue", *map(str, (riff, *fixed)), "--lyrics", str(lyrics), *more])


def recorded(folder: Path) -> dict[str, object]:
    [record] = (folder / "takes").rglob("request.json")
    text = json.loads(record.read_text())
    return text.get("request", text)


def test_text_is_kept_in_the_record_and_a_model_without_lyrics_says_so(tiny: Path, tmp_path: Path) -> None:
    result = sing(tiny, tmp_path, "la la\\la")
    assert result.exit_code == 0, result.output
    assert "segue: the model 'tiny' reads no lyrics; the take is made without them\n" in result.stderr
    assert recorded(tmp_path)["lyrics"] == "la la\\la"


def test_timed_lines_come_from_an_lrc_file(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "song.lrc").write_text("[00:31.00]hey\n[00:30.00]oh")
    result = sing(tiny, tmp_path, tmp_path / "song.lrc", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["notes"] == [
        "the model 'tiny' reads no lyrics; the take is made without them"
    ]
    assert recorded(tmp_path)["lyric_times"] == [
        {"seconds": 30.0, "text": "oh\n"},
        {"seconds": 31.0, "text": "hey\n"},
    ]


@pytest.mark.parametrize(
    ("lyrics", "message"),
    [
        ("x" * 100_000, "segue: the lyrics have 100000 characters; at most 20000 can be sung in 600 s"),
        ("nowhere.lrc", "segue: 'nowhere.lrc' is not there; give the lyrics as text, or a .txt or .lrc file"),
    ],
)
def test_wrong_lyrics_are_one_sentence(tiny: Path, tmp_path: Path, lyrics: str, message: str) -> None:
    result = sing(tiny, tmp_path, lyrics)
    assert result.exit_code == 2
    assert result.stderr.startswith(message) and result.stderr.count("\n") == 1
    assert not list(tmp_path.rglob("request.json"))
