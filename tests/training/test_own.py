"""A model of one's own, from a folder of loops to a take that it plays: as a user types it, in real processes."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch
from click.testing import CliRunner, Result

from bridge.cli import segue
from engine.store import load_model
from engine.training.data import list_sources
from tests.host.tiny import make_tiny_model, write_riff
from tests.training.sounds import tone

ROOT = Path(__file__).resolve().parents[2]
RATE = 44_100


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """44 s of loops in two genres, one of them by an artist, and a file that is no audio."""
    folder = tmp_path_factory.mktemp("loops")
    places = (
        "deep house/one.wav",
        "deep house/two.wav",
        "Dub/King T/three.flac",
        "Dub/King T/four.wav",
        "five.wav",
    )
    for number, place in enumerate(places):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / place, tone(110 * 2 ** (number / 5), 11.0, RATE), RATE)
    (folder / "broken.wav").write_bytes(b"RIFF and nothing else")
    return folder


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's models: one tiny one, ``small``."""
    monkeypatch.setenv("SEGUE_MODELS", str(tmp_path / "models"))
    make_tiny_model(tmp_path / "models" / "small")
    return tmp_path / "models"


def words(loops: Path, *more: object) -> list[str]:
    usual = ("--name", "mine", "--from", "small", "--batch", 2, "--threads", 1, "--device", "cpu")
    return ["train", "own", *map(str, (loops, *usual, *more))]


def call(loops: Path, *more: object) -> Result:
    return CliRunner().invoke(segue, words(loops, *more))


def start(arguments: list[str], limit: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from bridge.cli import main; main()", *arguments]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )


@pytest.mark.timeout(600)
def test_killed_stopped_and_gone_on_with_until_it_plays(loops: Path, models: Path, tmp_path: Path) -> None:
    work = models / ".training" / "mine"
    asked = words(loops, "--steps", 30, "--no-onnx", "--json")
    first = start(asked)
    end = time.monotonic() + 300
    while not list(work.glob("prior_2/checkpoint-*")):  # the top prior is done, the next one at work
        assert first.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not (models / "mine").exists()
    [kept] = work.glob("prior_2/checkpoint-*")
    done = call(loops, "--steps", 30, "--no-onnx", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout[done.stdout.index("{") :])
    ahead = {stage["name"]: stage["steps"] for stage in told["estimate"]["stages"]}
    assert (ahead["prior 2"], ahead["prior 0"]) == (0, 30)
    titles = [run["title"] for run in told["runs"]]
    assert titles in (["prior level 1", "prior level 0"], ["prior level 0"])
    assert [*work.glob("prior_2/checkpoint-*")] == [kept]
    made = load_model("mine")
    assert made.config.name == "mine"
    # Labels of folders, and those of the model that it began with.
    assert made.config.genres == ("unknown", "deep_house", "dub", "house")
    assert made.config.artists == ("unknown", "anna", "bert", "king_t", "mine")
    assert made.config.training["priors"]["2"]["steps"] == 30
    card = (models / "mine" / "README.md").read_text()
    bits = made.config.training["priors"]["2"]["held_out"]["bits_per_token"]
    assert f"| {bits:.2f} |" in card
    assert re.search(r"\| top \| -?\d+\.\d dB \|", card)
    riff = write_riff(tmp_path / "riff.wav")
    asked = (
        "continue",
        riff,
        "--model",
        "mine",
        "--seconds",
        0.5,
        "--style",
        "deep_house",
        "--fidelity",
        "draft",
    )
    out = tmp_path / "takes"
    played = CliRunner().invoke(segue, [*map(str, asked), "--out", str(out), "--json"])
    assert played.exit_code == 0, played.output
    [take] = out.glob("*/continuation.wav")
    assert soundfile.info(take).duration == pytest.approx(0.5, abs=0.01)
    # More time goes on from there; other arguments do not.
    longer = call(loops, "--steps", 31, "--no-onnx", "--json")
    assert [run["step"] for run in json.loads(longer.stdout[longer.stdout.index("{") :])["runs"]] == [31] * 3
    other = call(loops, "--steps", 31, "--fresh")
    assert other.exit_code == 2
    assert "was trained with other arguments (fresh was False, now True)" in other.stderr


def test_the_estimate_comes_first_and_a_dry_run_ends_there(loops: Path, models: Path) -> None:
    done = call(loops, "--minutes", 3, "--dry-run", "--json", "--codec", "tune")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout[done.stdout.index("{") :])["estimate"]
    names = [stage["name"] for stage in told["stages"]]
    assert names == ["encoding", "codec 0", "codec 1", "codec 2", "prior 2", "prior 1", "prior 0"]
    trained = sum(stage["seconds"] for stage in told["stages"][1:])
    assert trained == pytest.approx(180, rel=0.1)  # three minutes, in whole steps
    for stage in told["stages"][1:]:
        assert stage["seconds"] == pytest.approx(stage["steps"] * stage["step_seconds"])
    assert told["disk"] >= 55 * RATE * 2  # the decoded audio alone
    assert told["memory"] > 50e6
    assert not (models / "mine").exists()
    shown = call(loops, "--steps", 5, "--dry-run")
    assert "'mine' will take about" in shown.stderr
    assert "left out: 'broken.wav' cannot be read as audio" in shown.stderr


def test_a_batch_that_does_not_fit_is_named(
    loops: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("tried to allocate")

    monkeypatch.setattr("engine.training.own.estimate._step", full)
    done = call(loops, "--steps", 1)
    assert done.exit_code == 2
    assert "a step with 2 items does not fit into the memory; use a smaller --batch" in done.stderr


def test_what_cannot_be_trained_on_is_said_in_one_sentence(loops: Path, models: Path, tmp_path: Path) -> None:
    empty, short = tmp_path / "empty", tmp_path / "short"
    for folder in (empty, short):
        folder.mkdir()
    soundfile.write(short / "blip.wav", tone(200, 12.0, RATE), RATE)
    cases = {
        (tmp_path / "nowhere", "--steps", 1): "there is no folder",
        (empty, "--steps", 1): "holds no audio; put WAV, FLAC, OGG, MP3 or AIFF files there",
        (short, "--steps", 1): "there are 10.8 s of audio to train on and at least 30 s are needed",
        (loops, "--steps", 1, "--name", "small"): "there is a model 'small' already in",
        (loops, "--steps", 1, "--name", "../up"): "cannot be a model's name",
        (loops, "--steps", 1, "--from", "smal"): "there is no model 'smal'",
    }
    for asked, sentence in cases.items():
        done = call(*asked)
        assert done.exit_code == 2, (asked, done.output)
        assert done.stderr.splitlines()[-1].startswith("segue: ")
        assert sentence in done.stderr, done.stderr
    assert sorted(path.name for path in models.glob("[!.]*")) == ["small"]


@pytest.mark.timeout(300)
def test_a_full_disk_is_named_and_the_training_goes_on_when_there_is_room(loops: Path, models: Path) -> None:
    def limit() -> None:  # files may not grow beyond half a megabyte, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))

    full = start(words(loops, "--steps", 1), limit)
    _, errors = full.communicate(timeout=200)
    assert full.returncode == 2, errors
    assert "is full; free some space and run the same command again" in errors.splitlines()[-1]
    assert call(loops, "--steps", 1, "--dry-run").exit_code == 0


def test_folders_are_labels_where_no_table_says_otherwise(loops: Path) -> None:
    found = {source.name: (source.artist, source.genres) for source in list_sources(loops, "mine")}
    assert found["deep house/one.wav"] == ("mine", ("deep_house",))
    assert found["Dub/King T/three.flac"] == ("king_t", ("dub",))
    assert found["five.wav"] == ("mine", ("unknown",))
    assert {source.artist for source in list_sources(loops)} == {"unknown", "king_t"}
