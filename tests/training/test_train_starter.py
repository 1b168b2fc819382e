"""``scripts/train_starter``: every stage, small, on the processor; what it decides, without training."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.corpus.make import make_corpus
from engine.store import load_model

ROOT = Path(__file__).resolve().parents[2]


def script(*words: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        ["bash", str(ROOT / "scripts" / "train_starter"), *map(str, words)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_rehearsal_goes_through_every_stage_and_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "runs"
    make_corpus(corpus, 3, 5)
    words = (corpus, "--out", out, "--budget-minutes", 60, "--device", "cpu", "--rehearse", "--primes", 1)
    first = script(*words)
    end = time.monotonic() + 1200
    while (
        not (out / "stages.json").is_file()
        or "codec" not in json.loads((out / "stages.json").read_text())["done"]
    ):
        assert first.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    trained = {path: path.stat().st_mtime_ns for path in out.glob("codec/level_*/checkpoint-*")}
    assert len(trained) == 3
    second = script(*words)
    told, _ = second.communicate(timeout=2400)
    assert second.returncode == 0, told
    assert "train codec" not in told  # done before the kill
    state = json.loads((out / "stages.json").read_text())
    assert state["done"] == ["corpus", "codec", "encode", "priors", "lyrics", "export", "graphs", "figures"]
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    model = load_model(out / "model")
    assert model.config.name == "starter"
    assert model.config.priors[2].pulse is not None
    assert [row["level"] for row in json.loads((out / "eval" / "eval.json").read_text())["priors"]] == [
        0,
        1,
        2,
    ]
    third = script(*words)
    told, _ = third.communicate(timeout=120)
    assert (third.returncode, "segue " in told) == (0, False), told


def test_a_budget_that_is_used_up_trains_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "stages.json").write_text(
        json.dumps({"seconds": 600.0, "minutes": {"codec": 3.0}, "done": ["corpus"]})
    )
    spent = script(tmp_path / "corpus", "--out", tmp_path, "--budget-minutes", 10, "--device", "cpu")
    told, _ = spent.communicate(timeout=120)
    assert spent.returncode == 1
    assert "not done: codec, encode, priors, lyrics, export, graphs, figures; 10.0 min used" in told
    assert "segue train" not in told
