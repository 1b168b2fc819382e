"""``segue ablate``: what varies between cells, what the variants do, and runs that go on where they were."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
import torch
from click.testing import CliRunner, Result

from bridge.cli import segue
from engine.ablation.experiments import CELLS, EXPERIMENTS, cells_for
from engine.ablation.run import Scale, config_of
from engine.ablation.variants import SingleAutoencoder, UnquantisedLevel
from engine.codec.config import CodecConfig
from engine.training.metrics import read_metrics
from tests.training.sounds import tone

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "--width",
    4,
    "--depth",
    1,
    "--batch",
    1,
    "--crops",
    "2048,2048,2048",
    "--threads",
    1,
    "--device",
    "cpu",
)
TINY = CodecConfig(downs=(1, 1, 1), embed_width=8, bins=16, width=8, depth=1)


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tones")
    for number in range(3):
        soundfile.write(folder / f"tone{number}.wav", tone(150 + 90 * number, 0.6, 44100), 44100)
    return folder


def words(data: Path, out: Path, *more: object) -> list[str]:
    return ["ablate", *map(str, (data, "--out", out, *SMALL, *more))]


def call(data: Path, out: Path, *more: object) -> Result:
    return CliRunner().invoke(segue, words(data, out, *more))


def test_cells_differ_from_the_usual_training_in_one_thing() -> None:
    scale = Scale(steps=1)
    usual = config_of(CELLS["top"], scale)
    assert usual == CodecConfig()  # the starter's own
    for cell in CELLS.values():
        config = config_of(cell, scale)
        changed = {name for name in CodecConfig.model_fields if getattr(config, name) != getattr(usual, name)}
        assert len(changed) + (not cell.restarts) + (cell.variant != "plain") <= 1
    assert config_of(CELLS["top-no-spectral-loss"], scale).multispectral == 0.0
    assert [cell.name for cell in cells_for(["bins"])] == ["bottom", "bottom-256-codes", "bottom-unquantised"]
    assert {row.cell for experiment in EXPERIMENTS.values() for row in experiment.rows} == set(CELLS)


def test_a_level_without_quantiser_passes_features_through() -> None:
    torch.manual_seed(0)
    level = UnquantisedLevel(TINY, 1)
    x = torch.randn(2, 64)
    made = level(x)
    assert torch.equal(made.reconstruction, level.decoder(level.encoder(x[:, None]))[:, 0])
    assert float(made.commit) == 0.0
    assert level.reconstruct(x)[1].shape == (2, 0)


def test_a_single_autoencoder_trains_the_whole_and_is_heard_from_its_top_codes_alone() -> None:
    torch.manual_seed(0)
    module = SingleAutoencoder(TINY, 2).train()
    x = torch.randn(2, 64)
    made = module(x)
    assert made.reconstruction.shape == x.shape
    (made.reconstruction.square().mean() + made.commit).backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    module.eval()
    heard, codes = module.reconstruct(x)
    whole = module(x).reconstruction
    assert codes.shape == (2, 64 // 8)
    for lower in module.bottlenecks[1:]:
        lower.codebook.add_(1.0)
    assert torch.equal(module.reconstruct(x)[0], heard)
    assert not torch.allclose(module(x).reconstruction, whole)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_all_cells_are_run_once_and_told_beside_the_paper(tones: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = call(tones, out, "--steps", 2, "--json")
    assert done.exit_code == 0, done.output
    results = json.loads(done.stdout)
    assert {found["cell"] for found in results["cells"]} == set(CELLS)
    assert all(found["steps"] == 2 and found["finished"] for found in results["cells"])
    told = (out / "results" / "README.md").read_text()
    found = {one["cell"]: one for one in results["cells"]}
    assert f"| bottom | 8 | yes | {found['bottom']['sc_db']:.2f} | -23.0 |" in told
    assert f"| not quantised | {found['bottom-unquantised']['sc_db']:.2f} | -40.5 |  | 2 |" in told
    for name in EXPERIMENTS:
        assert (out / "results" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    saved = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/seed-0/level_*/checkpoint-*")}
    assert len(saved) == len(CELLS)
    again = call(tones, out, "--steps", 2, "--only", "bins", "--seeds", "0,1", "--json")
    assert {path: path.stat().st_mtime_ns for path in saved} == saved  # what was done is not touched
    results = json.loads(again.stdout)
    assert [(one["cell"], one["seed"]) for one in results["cells"]][:2] == [("bottom", 0), ("bottom", 1)]
    mean = sum(one["sc_db"] for one in results["cells"][:2]) / 2
    half = abs(results["cells"][0]["sc_db"] - results["cells"][1]["sc_db"]) / 2
    assert f"| 2048 | {mean:.2f} ± {half:.2f} |" in (out / "results" / "README.md").read_text()
    other = call(tones, out, "--steps", 3)
    assert other.exit_code == 2
    assert "was trained with other arguments (steps was 2, now 3)" in other.stderr


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_stopped_cell_goes_on(tones: Path, tmp_path: Path) -> None:
    asked = words(tones, tmp_path, "--steps", 60, "--only", "loss")
    command = [sys.executable, "-c", "from bridge.cli import main; main()", *asked]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    metrics = tmp_path / "cells" / "top" / "seed-0" / "level_2" / "metrics.jsonl"
    end = time.monotonic() + 200
    while not read_metrics(metrics):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(100) == 128 + signal.SIGTERM
    report = call(tones, tmp_path, "--steps", 60, "--only", "loss", "--report", "--json")
    [begun] = json.loads(report.stdout)["cells"]
    assert 10 <= begun["steps"] < 60 and not begun["finished"]
    assert "not done" in (tmp_path / "results" / "README.md").read_text()
    done = call(tones, tmp_path, "--steps", 60, "--only", "loss", "--json")
    assert done.exit_code == 0, done.output
    assert all(one["finished"] and one["steps"] == 60 for one in json.loads(done.stdout)["cells"])
    steps = [row["step"] for row in read_metrics(metrics) if "lr" in row]
    assert steps == sorted(set(steps))


def test_mistakes_are_said_in_one_sentence(tones: Path, tmp_path: Path) -> None:
    cases = {
        (tones, tmp_path): "the cells have no end; give --steps, --minutes or both",
        (tones, tmp_path, "--steps", 1, "--crops", "2048,4096"): "--crops wants three numbers",
        (tmp_path / "none", tmp_path, "--steps", 1): "there is no folder",
    }
    for asked, sentence in cases.items():
        done = call(*asked)
        assert done.exit_code == 2, done.output
        assert sentence in done.stderr
