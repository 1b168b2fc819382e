"""The root of the command line: quick help, and failures as one sentence with the right exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel, ValidationError, model_validator

from bridge.cli import root, segue
from bridge.cli.version import version
from engine.errors import NoStyle
from engine.request import LevelSampling, PrimeRef, Request

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(sys.executable).with_name("segue")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """A subcommand ``fail`` that raises what the list holds."""
    raised: list[BaseException] = []

    @click.command()
    def fail() -> None:
        raise raised[0]

    module = type(sys)("tests_failing_command")
    module.fail = fail  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tests_failing_command", module)
    monkeypatch.setitem(root.COMMANDS, "fail", root.LazyCommand("tests_failing_command:fail", "Fails."))
    return raised


def test_help_lists_every_command() -> None:
    done = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, check=True)
    listed = re.findall(r"^  (\w+)  +\S", done.stdout.partition("Commands:")[2], re.M)
    sampling = ["sample", "upsample", "infill", "tree", "compose"]
    rest = [
        "takes",
        "train",
        "corpus",
        "eval",
        "ablate",
        "seams",
        "export",
        "models",
        "bench",
        "presets",
        "midi",
        "daw",
        "osc",
        "doctor",
    ]
    assert listed == ["serve", "continue", "align", *sampling, *rest]


@pytest.mark.parametrize("name", sorted(root.COMMANDS))
def test_every_command_can_be_loaded(name: str) -> None:
    result = CliRunner().invoke(segue, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: segue {name}")


def test_version_names_the_commit() -> None:
    number, _, commit = version().partition(" ")
    assert re.fullmatch(r"\d+\.\d+\.\d+", number)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert head.startswith(commit.strip("()+"))
    assert len(commit.strip("()+")) >= 7
    printed = subprocess.run([SCRIPT, "--version"], capture_output=True, text=True, check=True).stdout
    assert printed == f"segue {version()}\n"


def test_a_named_failure_is_one_sentence_and_exit_code_2(failing: list[BaseException]) -> None:
    failing.append(NoStyle("style 'hause' is unknown; did you mean 'house'?"))
    result = CliRunner().invoke(segue, ["fail"])
    assert result.exit_code == 2
    assert result.stderr == "segue: style 'hause' is unknown; did you mean 'house'?\n"
    assert result.stdout == ""


def validation_error(build: object) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        build()  # type: ignore[operator]
    return caught.value


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (
            lambda: Request(prime=PrimeRef(path="a.wav"), frames=1, seed=-3),
            "seed is -3; input should be greater than or equal to 0",
        ),
        (lambda: LevelSampling(top_k=5, top_p=0.5), "top_k and top_p exclude each other; set one of them"),
        (lambda: Request(frames=1), "prime is missing"),
    ],
)
def test_a_broken_rule_is_one_sentence_and_exit_code_2(
    failing: list[BaseException], build: object, sentence: str
) -> None:
    failing.append(validation_error(build))
    result = CliRunner().invoke(segue, ["fail"])
    assert (result.exit_code, result.stderr) == (2, f"segue: {sentence}\n")


def test_only_the_first_complaint_is_shown() -> None:
    class Pair(BaseModel):
        a: int
        b: int

        @model_validator(mode="after")
        def _never(self) -> Pair:
            raise ValueError("not reached")

    error = validation_error(lambda: Pair(a="x", b="y"))  # type: ignore[arg-type]
    sentence = root.sentence_of(error)
    assert sentence is not None
    assert sentence.startswith("a is 'x'; input should be a valid integer")
    assert root.sentence_of(ValueError("other")) is None


def test_a_bug_keeps_its_traceback(failing: list[BaseException]) -> None:
    failing.append(ZeroDivisionError("a bug"))
    result = CliRunner().invoke(segue, ["fail"])
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_unknown_command_is_bad_usage() -> None:
    result = CliRunner().invoke(segue, ["continu"])
    assert result.exit_code == 2
    assert "continu" in result.stderr


def test_interrupt_exits_with_130(tmp_path: Path) -> None:
    """A real SIGINT to a real process, in the middle of a subcommand."""
    (tmp_path / "waiting_command.py").write_text(
        "import click, time\n"
        "@click.command()\n"
        "def wait():\n"
        "    print('waiting', flush=True)\n"
        "    time.sleep(60)\n"
    )
    code = (
        "from bridge.cli import root, segue\n"
        "root.COMMANDS['wait'] = root.LazyCommand('waiting_command:wait', 'Waits.')\n"
        "segue(['wait'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == "segue: interrupted\n"
