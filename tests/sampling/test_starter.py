"""The shipped starter: a style that changes, an ending, a tree and a span sampled again, by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner
from safetensors.numpy import load_file

from bridge.cli import segue
from presets import default_riff

pytestmark = pytest.mark.slow

BPM = 120
BAR = 2 * 44_100


def made(*arguments: object) -> dict:
    result = CliRunner().invoke(segue, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return json.loads(result.stdout)


def folder_of(report: dict) -> Path:
    return Path(report["takes"][0]["path"]).parent


def codes(folder: Path, level: int) -> np.ndarray:
    return load_file(folder / "codes.safetensors")[f"level_{level}"]


@pytest.mark.timeout(600)
def test_a_new_genre_at_a_bar(tmp_path: Path) -> None:
    asked = ("--bars", 2, "--bpm", BPM, "--seed", 11, "--fidelity", "draft", "--style", "house")
    plain = folder_of(made("continue", default_riff(), *asked, "--out", tmp_path))
    changed = folder_of(made("continue", default_riff(), *asked, "--then", "2:lofi", "--out", tmp_path))
    known = codes(plain, 2).size - -(-2 * BAR // 128)
    at = known + round(BAR / 128)
    np.testing.assert_array_equal(codes(plain, 2)[:at], codes(changed, 2)[:at])
    assert (codes(plain, 2)[at:] != codes(changed, 2)[at:]).mean() > 0.5


@pytest.mark.timeout(600)
def test_an_ending_is_another_take(tmp_path: Path) -> None:
    asked = ("--bars", 0.5, "--bpm", BPM, "--seed", 11, "--fidelity", "draft", "--out", tmp_path)
    middle = codes(folder_of(made("continue", default_riff(), *asked)), 2)
    ending = codes(folder_of(made("continue", default_riff(), *asked, "--ending")), 2)
    assert middle.size == ending.size and (middle != ending).any()


@pytest.mark.timeout(600)
def test_half_a_bar_sampled_again(tmp_path: Path) -> None:
    asked = ("--bars", 1.5, "--bpm", BPM, "--seed", 11, "--fidelity", "fine", "--out", tmp_path)
    before = folder_of(made("continue", default_riff(), *asked))
    after = folder_of(made("infill", before, "--from", 1.5, "--to", 2, "--candidates", 2, "--out", tmp_path))
    one, other = (sf.read(folder / "continuation.wav", dtype="int32")[0] for folder in (before, after))
    reach = (
        80 * 32 + 128
    )  # of the middle level's decoder (facts/jukebox.md §1.2), and rounding to a top token
    np.testing.assert_array_equal(one[: BAR // 2 - reach], other[: BAR // 2 - reach])
    np.testing.assert_array_equal(one[BAR + reach :], other[BAR + reach :])
    assert (one[BAR // 2 : BAR] != other[BAR // 2 : BAR]).mean() > 0.9


@pytest.mark.timeout(600)
def test_a_tree_of_two_levels(tmp_path: Path) -> None:
    asked = ("--branch", 2, "--depth", 2, "--bars", 0.5, "--bpm", BPM, "--fidelity", "draft")
    report = made("tree", default_riff(), *asked, "--out", tmp_path / "tree")
    riff = sf.info(default_riff())
    heard = round(riff.frames * 44_100 / riff.samplerate)
    assert [sf.info(leaf).frames for leaf in report["leaves"]] == [heard + BAR] * 4
    loud = [float(np.abs(sf.read(leaf)[0][heard:]).max()) for leaf in report["leaves"]]
    assert min(loud) > 0.01
