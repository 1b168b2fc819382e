"""`segue bench` from the command line to its log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli import segue
from engine.bench.report import BenchReport
from tests.evaluation.tiny import save_tiny

QUICK = ["--part-seconds", "0.02", "--seconds", "0.3"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny(tmp_path_factory.mktemp("tiny")))


def run(*arguments: str):
    return CliRunner().invoke(segue, ["bench", *arguments])


def test_json_and_log(model: str, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "bench.jsonl"
    for lanes in ("1,2", "3"):
        result = run(
            "--model", model, *QUICK, "--lanes", lanes, "--threads", "1", "--log", str(log), "--json"
        )
        assert result.exit_code == 0, result.output
    lines = [BenchReport.model_validate_json(line) for line in log.read_text("utf-8").splitlines()]
    assert [[(row.level, row.lanes) for row in line.steps] for line in lines] == [
        [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)],
        [(0, 3), (1, 3), (2, 3)],
    ]
    assert json.loads(result.stdout) == json.loads(log.read_text("utf-8").splitlines()[-1])
    last = lines[-1]
    assert last.threads == 1 and last.model == "tiny" and last.model_hash is not None
    assert [row.fidelity.value for row in last.pipeline] == ["draft", "fine", "full"]
    assert last.provenance.machine.cores >= 1


def test_tables(model: str) -> None:
    result = run("--model", model, *QUICK, "--lanes", "1", "--fidelity", "draft")
    assert result.exit_code == 0, result.output
    for words in ("tokens/s", "prefill", "times real time", "first audio ms", "0 bottom", "2 top", "draft"):
        assert words in result.stdout
    assert "full" not in result.stdout.partition("whole takes")[2]


@pytest.mark.slow
def test_random_weights_in_the_starters_shapes() -> None:
    result = run("--random", *QUICK, "--lanes", "1", "--fidelity", "draft", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["model_hash"] is None
    assert [row["needed_tokens_per_second"] for row in report["steps"]] == [5512.5, 1378.125, 344.53125]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "nowhere"], "segue: there is no model 'nowhere'; give one that is here"),
        (["--lanes", "1,x"], "segue: lanes is '1,x'; give whole numbers separated by commas, such as 1,4"),
        (["--lanes", "0"], "segue: lanes.0 is 0; input should be greater than or equal to 1"),
        (["--threads", "0"], "segue: threads is 0; input should be greater than or equal to 1"),
        (["--seconds", "0"], "segue: seconds is 0.0; input should be greater than or equal to 0.1"),
    ],
)
def test_failures_are_one_sentence(arguments: list[str], sentence: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(sentence) and result.stderr.count("\n") == 1


def test_a_log_that_cannot_be_written(model: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = tmp_path / "file" / "bench.jsonl"
    result = run("--model", model, *QUICK, "--lanes", "1", "--fidelity", "draft", "--log", str(log))
    assert result.exit_code == 2
    assert f"segue: the log '{log}' cannot be written (" in result.stderr
    assert "give a file you may write to" in result.stderr
