"""`segue bench` from the command line to its log, its history and its picture."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli import segue
from engine.backends import choose
from engine.backends.choose import open_backend
from engine.bench.history import default_log
from engine.bench.report import BenchReport
from engine.store.home import SHIPPED
from tests.evaluation.tiny import save_tiny

QUICK = ["--part-seconds", "0.02", "--seconds", "0.3"]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny(tmp_path_factory.mktemp("tiny")))


def run(*arguments: str):
    return CliRunner().invoke(segue, ["bench", *arguments])


def reports_in(log: Path) -> list[BenchReport]:
    return [BenchReport.model_validate_json(line) for line in log.read_text("utf-8").splitlines()]


@pytest.mark.slow
def test_json_log_history_and_picture(model: str, tmp_path: Path) -> None:
    log, plot = tmp_path / "logs" / "bench.jsonl", tmp_path / "speed.png"
    for lanes in ("1,2", "3"):
        result = run(
            "--model", model, *QUICK, "--lanes", lanes, "--log", str(log), "--plot", str(plot), "--json"
        )
        assert result.exit_code == 0, result.output
    lines = reports_in(log)
    assert [[(row.level, row.lanes) for row in line.steps] for line in lines] == [
        [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)],
        [(0, 3), (1, 3), (2, 3)],
    ]
    assert json.loads(result.stdout) == json.loads(log.read_text("utf-8").splitlines()[-1])
    last = lines[-1]
    assert (last.threads, last.model, last.backend, last.precision) == (1, model, "torch", "fp32")
    assert last.model_hash is not None and last.settings.lanes == (3,)
    assert [row.fidelity.value for row in last.pipeline] == ["draft", "fine", "full"]
    assert last.provenance.machine.cores >= 1 and last.memory.peak_resident_bytes > 1e7
    for row in last.steps:
        assert row.bandwidth_share is not None
        assert row.bandwidth_share * last.copy_gb_per_second == pytest.approx(row.weights_gb_per_second)
    assert plot.read_bytes().startswith(b"\x89PNG\r\n")

    shown = run("--history", "1", "--log", str(log), "--json")
    assert json.loads(shown.stdout) == [last.model_dump(mode="json")]
    log.write_text('{"kind": "segue-bench", "schema_version": 1}\n' + log.read_text("utf-8"))
    shown = run("--history", "--log", str(log))
    assert shown.exit_code == 0 and shown.stdout.count("torch fp32 cpu") == 2
    assert "1 lines of bench.jsonl are of another version" in shown.stderr


def test_tables(model: str) -> None:
    result = run("--model", model, *QUICK, "--lanes", "1", "--fidelity", "draft", "--no-log")
    assert result.exit_code == 0, result.output
    for words in (
        "tokens/s",
        "prefill",
        "times real",
        "first audio ms",
        "0 bottom",
        "2 top",
        "draft",
        "MB at most",
    ):
        assert words in result.stdout
    assert "full" not in result.stdout.partition("whole takes")[2]


def test_some_levels_only(model: str) -> None:
    result = run("--model", model, *QUICK, "--lanes", "1", "--level", "2", "--no-log", "--json")
    report = BenchReport.model_validate_json(result.stdout)
    assert [row.level for row in report.steps] == [2]
    assert [row.fidelity.value for row in report.pipeline] == ["draft"]  # the others need what was left out


def test_the_log_is_in_the_users_state_folder(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("SEGUE_BENCH_LOG", raising=False)
    arguments = ["--model", model, *QUICK, "--lanes", "1", "--level", "2"]
    assert run(*arguments, "--no-log").exit_code == 0
    assert not default_log().exists()
    assert run(*arguments).exit_code == 0
    assert tmp_path in default_log().parents and len(reports_in(default_log())) == 1
    monkeypatch.setenv("SEGUE_BENCH_LOG", str(tmp_path / "named.jsonl"))
    assert default_log() == tmp_path / "named.jsonl"


@pytest.mark.slow
def test_long_figures_instead_of_the_usual_ones(model: str) -> None:
    chosen = ["--flat", "--takes", "2", "--level", "2"]
    result = run("--model", model, *QUICK, *chosen, "--no-log", "--json")
    assert result.exit_code == 0, result.output
    report = BenchReport.model_validate_json(result.stdout)
    assert [(row.level, row.early, row.late) for row in report.flat] == [(2, 2, 40)]
    assert report.takes is not None and report.takes.takes == 2
    assert report.takes.ratio == pytest.approx(report.takes.all_seconds / report.takes.one_seconds)
    assert report.steps == () and report.soak is None
    tables = run("--model", model, *QUICK, *chosen, "--no-log")
    assert "window 40" in tables.stdout and "several takes" in tables.stdout


BLOCKED = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'torch':
            raise ModuleNotFoundError('torch is not installed', name='torch')
sys.meta_path.insert(0, NoTorch())
from bridge.cli import segue
segue(sys.argv[1:])
"""


@pytest.mark.slow
def test_graphs_are_benched_where_torch_is_not_installed(tmp_path: Path) -> None:
    """A real process without torch, on the starter that is shipped with its graphs."""
    open_backend("starter", "onnx")  # fails here if it is not so
    quick = ["--part-seconds", "0.01", "--seconds", "0.1", "--fidelity", "draft", "--json", "--no-log"]
    parts = ["--lanes", "1", "--level", "2"]
    for chosen in (["--takes", "2"], parts):
        arguments = ["bench", "--backend", "onnx", *quick, *chosen]
        done = subprocess.run(
            [sys.executable, "-c", BLOCKED, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=280
        )
        assert done.returncode == 0, done.stderr
        report = BenchReport.model_validate_json(done.stdout)
        assert (report.backend, report.device) == ("onnx", "cpu")
        assert all(row.copied_bytes for row in report.steps)
    assert [row.fidelity.value for row in report.pipeline] == ["draft"]
    assert (SHIPPED / "starter" / "onnx.json").is_file()


@pytest.mark.slow
def test_random_weights_in_the_starters_shapes() -> None:
    shapes = ["--shapes", "starter", "--random", "--layers", "1"]
    result = run(*shapes, *QUICK, "--lanes", "1", "--fidelity", "draft", "--no-log", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["model_hash"] is None and report["model"] == "starter"
    assert (
        report["shortened"] == "1 of 4 layers at level 0, 1 of 6 layers at level 1, 1 of 10 layers at level 2"
    )
    assert [row["needed_tokens_per_second"] for row in report["steps"]] == [5512.5, 1378.125, 344.53125]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "nowhere"], "segue: there is no model 'nowhere'; give one that is here"),
        (["--lanes", "1,x"], "segue: lanes is '1,x'; give whole numbers separated by commas, such as 1,4"),
        (["--lanes", "0"], "segue: lanes.0 is 0; input should be greater than or equal to 1"),
        (["--threads", "0"], "segue: threads is 0; input should be greater than or equal to 1"),
        (["--seconds", "0"], "segue: seconds is 0.0; input should be greater than or equal to 0.1"),
        (["--level", "7"], "segue: levels.0 is 7; input should be less than or equal to 2"),
        (
            ["--shapes", "6b"],
            "segue: there are no shapes '6b'; choose from starter, 5b, 5b_lyrics, 1b_lyrics",
        ),
        (
            ["--shapes", "5b", "--model", "m"],
            "segue: --model names weights and --shapes or --random make random",
        ),
        (
            ["--random", "--backend", "onnx"],
            "segue: random weights have no graphs; bench them by --backend torch",
        ),
        (
            ["--layers", "2"],
            "segue: --layers is for random weights; give --shapes, or a model with its precision",
        ),
        (["--precision", "int8"], "segue: --precision is for random weights; give --shapes, or a model with"),
        (
            ["--backend", "onnx", "--threads", "2"],
            "segue: graphs compute with 1 thread and 2 were asked for; leave",
        ),
        (
            ["--backend", "onnx", "--device", "cuda"],
            "segue: this build of ONNX Runtime has no CUDAExecutionProvider, so graphs are benched on the processor",
        ),
        (
            ["--soak", "1"],
            "segue: a soak of 1 minutes is asked for; memory is compared with that after 1 minute",
        ),
        (["--takes", "1"], "segue: 1 takes cannot be compared with one; give at least 2"),
        (["--plot", "speed.jpg"], "segue: the plot 'speed.jpg' is no PNG; give a name that ends in .png"),
        (
            ["--vs", "hf", "--model", "m"],
            "segue: --vs compares random weights, one lane, one thread; leave --model",
        ),
        (
            ["--vs", "hf", "--shapes", "5b"],
            "segue: there are no shapes '5b' to compare in; choose from tiny, small,",
        ),
        (
            ["--history", "--log", "none.jsonl"],
            "segue: there is no log 'none.jsonl' (No such file or directory);",
        ),
    ],
)
def test_failures_are_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGUE_BENCH_LOG", str(tmp_path / "log.jsonl"))
    monkeypatch.setattr(choose, "runtime_providers", lambda: ("CPUExecutionProvider",))
    result = run(*arguments, "--part-seconds", "0.01")
    assert result.exit_code == 2, result.output
    last = result.stderr.splitlines()[-1]
    assert last.startswith(sentence)
    assert not (tmp_path / "log.jsonl").exists() or (tmp_path / "log.jsonl").read_text() == ""


def test_a_log_that_cannot_be_written_is_refused_before_measuring(model: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = tmp_path / "file" / "bench.jsonl"
    result = run("--model", model, "--log", str(log))
    assert result.exit_code == 2
    assert f"segue: the log '{log}' cannot be written (" in result.stderr
    assert "give a file you may write to with --log, or --no-log" in result.stderr
    assert "parts" not in result.stderr


def test_a_picture_that_cannot_be_written(model: str, tmp_path: Path) -> None:
    plot = tmp_path / "missing" / "speed.png"
    result = run("--model", model, *QUICK, "--lanes", "1", "--level", "2", "--no-log", "--plot", str(plot))
    assert result.exit_code == 2
    assert f"segue: the plot '{plot}' cannot be written (No such file or directory)" in result.stderr
