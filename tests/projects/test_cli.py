"""``segue export take --to`` a project, from the command line."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bridge.cli import segue
from engine.take.marks import Marks, write_marks
from tests.projects.making import frames_of, make_take, riff


def run(*arguments: str) -> Result:
    return CliRunner().invoke(segue, ["export", "take", *arguments])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Takes A01 to A03, of which the first and the last are kept."""
    for seed in (1, 2, 3):
        marks = {"kept": seed != 2}
        make_take(
            tmp_path / "takes", prime=riff(8, 120), frames=frames_of(8, 120), bpm=120, seed=seed, marks=marks
        )
    return tmp_path / "takes"


def test_all_kept_takes_as_json(root: Path):
    result = run("--kept", "--to", "dawproject", "--takes", str(root), "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    (path,) = told["paths"]
    assert Path(path) == root / "exports" / "session.dawproject"
    assert [track["take"] for track in told["tracks"]] == ["A01", "A03"]
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist())[0].startswith("audio/A01")
        assert len(archive.namelist()) == 2 + 3


def test_named_takes_and_kept_ones_once_each(root: Path):
    result = run("a02", "3", "--kept", "--to", "folder", "--takes", str(root), "--out", str(root / "out"))
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == str(root / "out" / "session")
    assert len(list((root / "out" / "session" / "audio").iterdir())) == 1 + 3


def test_no_kept_takes_and_none_named(root: Path):
    for folder in root.glob("2*"):
        write_marks(folder, Marks())
    kept = run("--kept", "--to", "rpp", "--takes", str(root))
    assert (kept.exit_code, kept.stderr) == (
        2,
        f"segue: no take in '{root}' is kept; keep one first, or name the takes\n",
    )
    none = run("--to", "rpp", "--takes", str(root))
    assert none.exit_code == 2
    assert none.stderr.startswith("segue: no take is named; give its name, number or path, or --kept")


def test_a_kept_take_whose_file_was_deleted_is_left_out_and_told(root: Path):
    folder = sorted(root.glob("2*"))[0]
    (folder / "continuation.wav").unlink()
    result = run("--kept", "--to", "rpp", "--takes", str(root))
    assert result.exit_code == 0
    assert f"segue: the take in '{folder}' is left out: it has no audio" in result.stderr
    named = run("1", "--to", "rpp", "--takes", str(root))
    assert named.exit_code == 2 and "is gone (continuation.wav is missing)" in named.stderr


def test_an_unknown_target_offers_the_nearest(root: Path):
    result = run("1", "--to", "dawprojekt", "--takes", str(root))
    assert result.exit_code == 2 and "the nearest is 'dawproject'" in result.stderr
