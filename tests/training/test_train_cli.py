"""``segue train`` as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save

from bridge.cli import segue
from engine.codec.config import CodecConfig
from engine.codec.vqvae import Codec
from engine.training.checkpoint import load_checkpoint
from engine.training.files import write_bytes, write_json
from tests.training.sounds import tone

ROOT = Path(__file__).resolve().parents[2]


def call(*words: object) -> Result:
    return CliRunner().invoke(segue, ["train", *map(str, words)])


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loops")
    for number in range(3):
        soundfile.write(folder / f"loop{number}.wav", tone(150 + 90 * number, 1.0, 44100), 44100)
    (folder / "metadata.csv").write_text(
        "file,artist,genre\n" + "".join(f"loop{n}.wav,me,dub\n" for n in range(3))
    )
    return folder


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_from_a_folder_of_loops_to_a_model_folder(loops: Path, tmp_path: Path) -> None:
    run = tmp_path / "codec"
    small = ("--steps", 2, "--batch", 1, "--device", "cpu", "--threads", 1, "--json")
    done = call("codec", loops, "--out", run, "--levels", "0,2", "--crop", 4096, *small)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert [summary["title"] for summary in report["runs"]] == ["codec level 0", "codec level 2"]
    assert all(summary["finished"] and summary["step"] == 2 for summary in report["runs"])
    assert report["codec"] is None  # level 1 is not there yet
    for picture in ("curves.png", "reconstruction.png"):
        assert (run / "level_0" / picture).read_bytes().startswith(b"\x89PNG")
    done = call("codec", loops, "--out", run, "--levels", 1, "--crop", 4096, "--no-plots", *small)
    assert Path(json.loads(done.stdout)["codec"]).is_file()
    done = call("encode", loops, "--codec", run, "--device", "cpu", "--json")
    assert json.loads(done.stdout)["tokens"] == {
        "0": 3 * 5504,
        "1": 3 * 1376,
        "2": 3 * 344,
    }  # 44,100 = 344.5 x 128
    for level in range(3):
        out = tmp_path / f"prior{level}"
        words = ("--level", level, "--codec", run, "--out", out, "--width", 24, "--depth", 3, "--no-plots")
        done = call("prior", *words, *small)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["runs"][0]["hardware"].startswith("1 x 1 thread(s)")
    priors = [word for level in range(3) for word in ("--prior", tmp_path / f"prior{level}")]
    done = call("export", "--codec", run, *priors, "--out", tmp_path / "mine", "--json")
    assert done.exit_code == 0, done.output
    model = json.loads((tmp_path / "mine" / "model.json").read_text())
    assert (model["name"], model["artists"], model["genres"]) == (
        "mine",
        ["unknown", "me"],
        ["unknown", "dub"],
    )
    assert str(tmp_path) not in json.dumps(model)


@pytest.mark.timeout(200)
def test_a_prior_is_taught_to_sing_and_where_its_attention_belongs(tmp_path: Path) -> None:
    songs, run = tmp_path / "songs", tmp_path / "codec"
    songs.mkdir()
    for number in range(3):
        soundfile.write(songs / f"song{number}.wav", tone(150 + 90 * number, 1.0, 44100), 44100)
        (songs / f"song{number}.txt").write_text("la la")
    codec = Codec(CodecConfig(width=8, depth=2, embed_width=8, bins=16))
    write_json(run / "codec.json", codec.config.model_dump(mode="json"))
    write_bytes(run / "codec.safetensors", save(codec.state_dict()))
    words = (
        "prior",
        songs,
        "--level",
        2,
        "--codec",
        run,
        "--out",
        tmp_path / "sung",
        "--steps",
        2,
        "--batch",
        1,
    )
    words += (
        "--width",
        24,
        "--depth",
        3,
        "--threads",
        1,
        "--device",
        "cpu",
        "--no-plots",
        "--json",
        "--guided",
        0.5,
    )
    done = call(*words)
    assert (done.exit_code, "--guided leads a prior that reads lyrics; add --lyrics 64" in done.output) == (
        2,
        True,
    )
    done = call(*words, "--lyrics", 16)
    assert done.exit_code == 2
    assert (
        "no song here has lyrics with times; put song.lrc next to song.wav, or leave --guided out"
        in done.output
    )
    for number in range(3):
        (songs / f"song{number}.lrc").write_text("[00:00.10]<00:00.10>la <00:00.50>la<00:00.90>\n")
    done = call(*words, "--lyrics", 16)
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in (tmp_path / "sung" / "metrics.jsonl").read_text().splitlines()]
    found = [row["held_out_astray_bits"] for row in rows if "held_out_astray_bits" in row]
    assert found and all(0.0 < bits < 8.0 for bits in found)


def test_mistakes_get_one_sentence_and_exit_code_2(loops: Path, tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.mkdir()
    soundfile.write(short / "blip.wav", np.full(3000, 0.1), 44100)
    top = ("--level", 2, "--codec", tmp_path / "r", "--out", tmp_path / "p", "--steps", 1)
    cases = {
        ("codec", tmp_path / "nowhere", "--out", tmp_path / "r", "--steps", 1): "there is no folder",
        (
            "codec",
            short,
            "--out",
            tmp_path / "r",
            "--steps",
            1,
        ): "use longer audio or a crop of at most 2700 samples",
        ("codec", loops, "--out", tmp_path / "r"): "the run has no end; give --minutes, --steps or both",
        ("codec", "--assemble", "--out", tmp_path / "r"): "has no checkpoint of level 0, 1, 2",
        ("prior", loops, *top): "there is no codec in",
        ("prior", *top): "there are no codes in",
    }
    for words, sentence in cases.items():
        done = call(*words)
        assert done.exit_code == 2, (words, done.output)
        assert done.stderr.splitlines()[-1].startswith("segue: "), done.stderr
        assert sentence in done.stderr
    done = call("codec", loops, "--out", tmp_path / "r", "--levels", "0,3")
    assert done.exit_code == 2
    assert "'0,3' names no levels; use numbers from 0 to 2, as in 0,1,2" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_train_one_level_together(loops: Path, tmp_path: Path) -> None:
    words = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "engine.training.cli", "codec", loops, "--out", tmp_path / "run", "--levels", "2", "--crop", "4096",
        "--steps", "3", "--batch", "1", "--device", "cpu", "--threads", "1", "--no-plots", "--json",
    ]  # fmt: skip
    done = subprocess.run(
        list(map(str, words)),
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)["runs"][0]
    assert summary["hardware"].startswith("2 x ")
    assert summary["step"] == 3
    found = load_checkpoint(tmp_path / "run" / "level_2")
    assert found is not None
    # Both processes count into one codebook: 2 crops of 4,096 samples are 64 tokens a step.
    assert all(bool(torch.isfinite(tensor).all()) for tensor in found[0].values())
    assert summary["used_in_batch"] <= 64
