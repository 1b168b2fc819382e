"""Comparing ways of sampling side by side: what is measured, on a tiny random model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from bridge.cli.root import segue
from engine.backends.torch_backend import TorchBackend
from engine.errors import TooShort
from engine.evaluation.data import Song
from engine.evaluation.seams import Bench, Way, compare_ways
from tests.prior.build import tiny_model

RATE = 44100


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("seams") / "tiny"
    tiny_model(place)
    return place


@pytest.fixture(scope="module")
def backend(folder: Path) -> TorchBackend:
    from engine.store import load_model

    return TorchBackend(load_model(folder))


def song(seconds: float) -> Song:
    samples = np.random.default_rng(0).normal(0, 0.2, round(seconds * RATE)).astype(np.float32)
    return Song("noise", "ada", ("dub",), samples)


@pytest.mark.slow
def test_every_way_is_held_against_the_sequential_one(backend: TorchBackend) -> None:
    ways = (Way("sequential"), Way("alone", 1), Way("cut", 1, 0.25, False), Way("faded", 1, 0.25))
    rows, shown = compare_ways(backend, [song(1.0)], 0, prime_seconds=0.2, seconds=0.6, lanes=4, ways=ways)
    assert [row.name for row in rows] == [way.name for way in ways]
    first = rows[0]
    assert first.metric == 1.0 and first.speed == 1.0 and first.jump_db == first.same_places_db
    for row in rows[1:]:
        assert row.metric == pytest.approx(row.jump_db / row.same_places_db)
        assert row.seams > 10 and row.tokens_per_second > 0
    lengths = {made.audio.size for made in shown.values()}
    assert lengths == {round(0.6 * RATE) // 128 * 128}


def test_a_faded_take_is_each_side_away_from_the_seams(backend: TorchBackend) -> None:
    bench = Bench(backend, song(0.5), 0, 4410, 8000, 4)
    made = bench.make(Way("faded", 1, 0.25))
    cut = bench.make(Way("cut", 1, 0.25, False))
    differs = np.flatnonzero(made.audio != cut.audio)
    near = np.abs(differs[:, None] - np.array(made.seams)[None]).min(1)
    reach = 16 // 2 + backend.decode_margin(
        0
    )  # half of the overlap, and what the decoder sees of it afterwards
    assert differs.size and near.max() <= 8 * reach
    assert all(b - a == (64 - 16) * 8 for a, b in zip(made.seams, made.seams[1:], strict=False))


def test_takes_without_a_seam_are_refused(backend: TorchBackend) -> None:
    with pytest.raises(TooShort, match="hold no place where windows of level 1 meet; measure longer ones"):
        compare_ways(backend, [song(0.3)], 1, prime_seconds=0.2, seconds=0.045, ways=(Way("sequential"),))


@pytest.mark.slow
def test_the_command_prints_and_draws(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "loops"
    data.mkdir()
    soundfile.write(data / "loop.wav", song(4.2).samples, RATE)
    arguments = [
        "seams",
        str(folder),
        "--data",
        str(data),
        "--songs",
        "1",
        "--level",
        "1",
        "--seconds",
        "0.2",
    ]
    done = CliRunner().invoke(segue, [*arguments, "--json", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert len(report["rows"]) == 8 and report["rows"][0]["metric"] == 1.0
    assert json.loads((tmp_path / "out" / "seams.json").read_text()) == report
    assert (tmp_path / "out" / "seams_1.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    wrong = CliRunner().invoke(segue, [*arguments[:-4], "--level", "2"])
    assert wrong.exit_code == 2
    assert "level 2 has nothing above it; only levels 0 to 1 are sampled side by side" in wrong.output
