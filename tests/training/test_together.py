"""Training under ``torchrun``: two real processes on the CPU do what one does with twice the batch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from engine.training.checkpoint import load_checkpoint, newest_checkpoint
from engine.training.metrics import read_metrics
from tests.training.fitting import train as train_line
from tests.training.pair import train_codec, train_top

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 2e-4  # of a loss: sums are taken in another order


def torchrun(kind: str, folder: Path) -> subprocess.Popen[str]:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "tests.training.pair", kind, str(folder),
    ]  # fmt: skip
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def rows_alike(one: Path, other: Path) -> float:
    """Share of codebook rows of two codec runs that are the same, with their counts."""
    found = [load_checkpoint(folder / "run" / "level_1") for folder in (one, other)]
    tables = []
    for checkpoint in found:
        assert checkpoint is not None
        name = "buffers/level.bottleneck."
        tables.append(
            torch.cat((checkpoint[0][f"{name}codebook"], checkpoint[0][f"{name}count"][:, None]), 1)
        )
    return float(torch.isclose(*tables, rtol=1e-2, atol=1e-3).all(1).float().mean())


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_processes_are_one_with_twice_the_batch(tmp_path: Path) -> None:
    pair, alone, half = (tmp_path / name for name in ("pair", "alone", "half"))
    pair.mkdir()
    process = torchrun("both", pair)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    found = [json.loads((pair / f"found{rank}.json").read_text()) for rank in range(2)]
    expected = {"codec": train_codec(alone, 4), "prior": train_top(alone, 4)}
    other = {"codec": train_codec(half, 2), "prior": train_top(half, 2)}
    for kind, summaries in expected.items():
        for place, summary in enumerate(summaries):  # the second call went on where the first had ended
            assert found[0][kind][place]["step"] == summary["step"] == (4, 8)[place]
            loss = summary["loss"]
            assert found[0][kind][place]["loss"] == found[1][kind][place]["loss"]
            assert found[0][kind][place]["loss"] == pytest.approx(loss, rel=TOLERANCE)
        # Half the batch would be noticed by now.
        assert abs(other[kind][-1]["loss"] / summaries[-1]["loss"] - 1) > 5 * TOLERANCE
    # Codebook, counts and restarts: the features of both processes count. (A feature that lies between two codes may
    # go to the other one by rounding, and takes two rows with it.)
    assert rows_alike(pair, alone) >= 0.8
    assert rows_alike(half, alone) < 0.5
    assert found[1]["written"] == []
    rows = read_metrics(pair / "run" / "level_1" / "metrics.jsonl")
    assert [row["step"] for row in rows if "lr" in row] == [4, 8]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_process_ends_the_others_and_the_run_goes_on_later(tmp_path: Path) -> None:
    process = torchrun("line", tmp_path)
    end = time.monotonic() + 120
    while newest_checkpoint(tmp_path / "run") is None or not (tmp_path / "pid1").is_file():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    os.kill(int((tmp_path / "pid1").read_text()), signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert (
        "segue: another of the 2 processes that train together has ended, and this one cannot go on alone; "
        "start the same command again, it goes on from the newest checkpoint" in errors
    )
    found = load_checkpoint(tmp_path / "run")
    assert found is not None
    step = found[1]["step"]
    assert step > 0
    assert train_line(tmp_path / "run", step + 2)["step"] == step + 2
