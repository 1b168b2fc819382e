"""The shipped starter: takes made anew on the same runtime and on another; bars sampled again, as they are heard."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from bridge.cli import segue
from engine.analysis.seams import clicks, spectral_jumps
from presets import default_riff

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

BPM = 120
RATE = 44_100
BAR = 2 * RATE


def said(*arguments: object) -> dict:
    result = CliRunner().invoke(segue, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return json.loads(result.stdout)


def continued(out: Path, *options: object) -> Path:
    return Path(said("continue", default_riff(), "--out", out, *options)["takes"][0]["path"])


@pytest.mark.parametrize(("made", "again"), [("onnx", "torch"), ("torch", "onnx")])
def test_another_runtime_draws_the_same_tokens(tmp_path: Path, made: str, again: str) -> None:
    asked = ("--seconds", 1, "--seed", 4, "--fidelity", "full", "--model", "starter@fp32", "--backend", made)
    continued(tmp_path, *asked)
    same = said("takes", "recall", 1, "--root", tmp_path)
    assert same["identical"] and same["frames"] == RATE and same["notes"] == []
    other = said("takes", "recall", 1, "--root", tmp_path, "--backend", again)
    assert other["other_tokens"] == {"0": 0, "1": 0, "2": 0}
    assert min(other["tokens"].values()) > RATE / 128
    (note,) = other["notes"]
    assert note.startswith(f"it was computed by '{made} ") and f"and now by '{again} " in note


@pytest.mark.parametrize(("fidelity", "lanes"), [("draft", 1), ("fine", 3), ("full", 16)])
def test_the_8_bit_graphs_too(tmp_path: Path, fidelity: str, lanes: int) -> None:
    asked = ("--seconds", 2, "--seed", 4, "--fidelity", fidelity, "--lanes", lanes, "--chunk", 900)
    continued(tmp_path, *asked, "--takes", 2)
    for number in (1, 2):
        assert said("takes", "recall", number, "--root", tmp_path)["identical"]


def test_bars_3_and_4_of_8_sampled_again(tmp_path: Path) -> None:
    """Outside the span nothing changes beyond the codec's reach; where it meets the rest it sounds like any beat."""
    from engine.backends.choose import open_backend

    take = continued(tmp_path, "--bars", 8, "--bpm", BPM, "--seed", 11, "--fidelity", "fine")
    options = ("--from", 3, "--to", 5, "--candidates", 2, "--seed", 5, "--out", tmp_path)
    other = Path(said("infill", take.parent, *options)["takes"][0]["path"])
    before, after = (sf.read(path, dtype="float32")[0] for path in (take, other))
    assert before.size == after.size == 8 * BAR
    reach = open_backend("starter").decode_margin(1) * 32 + 2 * 128
    assert reach < 0.1 * RATE  # (so nearly all of the rest is compared)
    np.testing.assert_array_equal(after[: 2 * BAR - reach], before[: 2 * BAR - reach])
    np.testing.assert_array_equal(after[4 * BAR + reach :], before[4 * BAR + reach :])
    inside = slice(2 * BAR + reach, 4 * BAR - reach)
    assert (before[inside] != after[inside]).mean() > 0.9
    seams, beats = [2 * BAR, 4 * BAR], [beat * BAR // 4 for beat in range(1, 32)]
    assert spectral_jumps(after, RATE, seams).max() <= spectral_jumps(before, RATE, beats).max()
    assert clicks(after, RATE, seams).max() <= max(3.0, clicks(before, RATE, beats).max())
