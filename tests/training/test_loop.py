"""The loop: schedule, averages, resume after a kill, clean stops, and the failures that it names."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from engine.errors import Busy, DiskFull, OutOfRange, TrainingError
from engine.prior.labels import Labels
from engine.training.checkpoint import load_checkpoint, newest_checkpoint
from engine.training.ema import Ema, decay_at
from engine.training.feeding import Feed
from engine.training.metrics import MetricsFile, read_metrics
from engine.training.schedule import fraction_used, learning_rate
from tests.training.fitting import LineTask, train

ROOT = Path(__file__).resolve().parents[2]


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(0.01)


@contextmanager
def trainer(run: Path, steps: int, pause: float) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.training.fitting", str(run), str(steps), str(pause)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def saved_step(run: Path) -> int:
    folder = newest_checkpoint(run)
    return int(folder.name.split("-")[1]) if folder else 0


def test_warm_up_and_decay() -> None:
    assert learning_rate(1.0, 0, 0.0, 10, "linear") == pytest.approx(0.1)
    assert learning_rate(1.0, 9, 0.25, 10, "linear") == pytest.approx(0.75)
    assert learning_rate(2.0, 500, 0.5, 10, "cosine") == pytest.approx(1.0)
    assert learning_rate(2.0, 500, 0.25, 0, "cosine") == pytest.approx(1 + math.sqrt(0.5))
    assert learning_rate(1.0, 500, 1.0, 10, "cosine") == pytest.approx(0.0, abs=1e-12)


def test_the_nearer_budget_counts() -> None:
    assert fraction_used(50, 30.0, 100, 2.0) == pytest.approx(0.5)
    assert fraction_used(10, 90.0, 100, 2.0) == pytest.approx(0.75)
    assert fraction_used(10, 999.0, None, 2.0) == 1.0


def test_the_average_of_weights_is_what_the_formula_says() -> None:
    module = nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(1.0)
    ema = Ema(module)
    expected = 1.0
    for step, value in enumerate((2.0, 4.0, -1.0)):
        module.weight.data.fill_(value)
        ema.update(step)
        decay = (1 + step) / (10 + step)
        expected = decay * expected + (1 - decay) * value
    with ema.applied():
        assert module.weight.item() == pytest.approx(expected, rel=1e-6)
    assert module.weight.item() == -1.0
    assert decay_at(1_000_000) == 0.999


def test_killed_and_resumed_is_the_same_as_undisturbed(tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    train(undisturbed, 20)
    with trainer(killed, 20, 0.1) as process:
        wait_for(lambda: saved_step(killed) >= 10)
        process.send_signal(signal.SIGKILL)
        process.wait()
    at = saved_step(killed)
    assert 10 <= at < 20
    train(killed, 20)
    first, second = load_checkpoint(undisturbed), load_checkpoint(killed)
    assert first is not None and second is not None
    assert first[1]["step"] == second[1]["step"] == 20
    assert first[0].keys() == second[0].keys()
    assert any(name.startswith("optimizer/") for name in first[0])
    for name, tensor in first[0].items():
        assert torch.equal(tensor, second[0][name]), name
    assert float(first[0]["buffers/seen"]) == 20
    steps = [row["step"] for row in read_metrics(killed / "metrics.jsonl") if "lr" in row]
    assert steps == [10, 20]


@pytest.mark.slow
def test_a_live_run_keeps_its_folder_and_saves_when_it_is_stopped(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with trainer(run, 10_000, 0.05) as process:
        wait_for(lambda: saved_step(run) >= 3)
        with pytest.raises(
            Busy, match=r"another process is training in '.*run'; wait for it or choose another --out"
        ):
            train(run, 5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    found = load_checkpoint(run)
    assert found is not None
    assert found[1]["finished"] is False
    assert found[1]["step"] >= 3


def test_a_batch_made_early_is_the_same_batch() -> None:
    early, late = (Feed(LineTask(), torch.device("cpu"), 0, 1, ahead) for ahead in (True, False))
    with early, late:
        for step in (3, 4, 5, 9, 10, 2):  # in order, and after a resume at another place
            for one, other in zip(early.inputs(step), late.inputs(step), strict=True):
                assert torch.equal(one, other)


def test_labels_reach_the_device_with_their_batch() -> None:
    class Labelled(LineTask):
        def batch(self, step: int, rank: int, world: int) -> tuple[Any, ...]:
            parts = torch.ones(2, 3), torch.ones(2, 4), torch.tensor([5, 6]), torch.tensor([7, 8])
            return torch.zeros(2), Labels(*parts), None

    with Feed(Labelled(), torch.device("meta"), 0, 1, ahead=True) as feed:
        codes, labels, upper = feed.inputs(0)
    assert {codes.device.type, labels.artists.device.type, labels.offset.device.type} == {"meta"}
    assert labels.phase is None and upper is None


def test_a_time_budget_counts_over_resumes(tmp_path: Path) -> None:
    first = train(tmp_path, None, minutes=0.005)
    assert first["step"] > 0
    assert first["finished"]
    again = train(tmp_path, None, minutes=0.005)
    assert again["step"] == first["step"]
    further = train(tmp_path, None, minutes=0.02)
    assert further["step"] > first["step"]


def test_other_arguments_are_named(tmp_path: Path) -> None:
    train(tmp_path, 5)
    with pytest.raises(
        TrainingError, match=r"lr was 0\.05, now 0\.01\); repeat the old ones.*--resume always"
    ):
        train(tmp_path, 10, lr=0.01)
    assert train(tmp_path, 10, lr=0.01, resume="always")["step"] == 10
    assert train(tmp_path, 3, lr=0.01, resume="never")["step"] == 3


def test_a_loss_that_is_no_number_stops_at_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError,
        match=r"stopped being a number at or before step 8; the last good checkpoint is '.*checkpoint-00000007-0'",
    ):
        train(tmp_path, 20, LineTask(poison=7))
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found[1]["step"] == 7
    assert all(bool(torch.isfinite(tensor).all()) for tensor in found[0].values())


def test_a_first_step_without_a_number_says_that_nothing_is_saved(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there is no checkpoint yet"):
        train(tmp_path, 20, LineTask(poison=0))


def test_it_learns_and_writes_its_figures(tmp_path: Path) -> None:
    summary = train(tmp_path, 300, checkpoint_minutes=3)
    assert summary["held_out_error"] < 0.05  # the target's variance is about 14
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    logged = [row for row in rows if "lr" in row]
    assert [row["step"] for row in logged] == list(range(10, 301, 10))
    assert {"seconds", "loss", "grad_norm", "samples_per_second"} <= set(logged[-1])
    assert logged[-1]["loss"] < logged[0]["loss"] / 50


@pytest.mark.parametrize("precision", ["bf16", "no"])
def test_precision_is_a_choice(tmp_path: Path, precision: str) -> None:
    assert train(tmp_path, 60, precision=precision, checkpoint_minutes=3)["loss"] < 10


def test_a_run_needs_an_end(tmp_path: Path) -> None:
    from engine.training.options import loop_settings

    with pytest.raises(OutOfRange, match="the run has no end; give --minutes, --steps or both"):
        loop_settings({}, batch=4, lr=1e-3)


def test_no_gpu_is_named() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(
        TrainingError, match="there is no CUDA device here; use --device cpu or --device auto"
    ):
        train(Path("unused"), 1, device="cuda")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_named_while_writing_figures(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path / "metrics.jsonl", 0)
    metrics.path.unlink()
    metrics.path.symlink_to("/dev/full")
    with pytest.raises(DiskFull, match=r"the disk that holds '.*metrics\.jsonl' is full; free some space"):
        metrics.append({"step": 1})
