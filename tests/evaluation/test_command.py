"""`segue eval` from the command line to the files it writes, with a tiny random model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from bridge.cli import segue
from engine.evaluation import default_corpus as defaults
from engine.evaluation.report import EvalReport
from engine.request import Sampling

from . import tiny

QUICK = ["--primes", "2", "--prime-seconds", "3", "--seconds", "3"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save_loops(tmp_path_factory.mktemp("loops")))


def run(*arguments: str):
    return CliRunner().invoke(segue, ["eval", *arguments])


def test_report_files_tables_and_pictures(model: str, loops: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = run(model, "--data", loops, "--split", "all", *QUICK, "--out", str(tmp_path), "--plots")
    assert result.exit_code == 0, result.output
    report = EvalReport.model_validate_json((tmp_path / "eval.json").read_bytes())
    assert [row.level for row in report.codec] == [row.level for row in report.priors] == [0, 1, 2]
    assert all(row.unigram is not None and row.uniform == 5.0 for row in report.priors)
    assert report.model.name == "tiny" and len(report.model.hash) == 64
    assert report.data.songs == 3 and report.data.training_seconds > 0
    assert report.continuations is not None and len(report.continuations.primes) == 2
    assert report.continuations.sampling == Sampling()  # what `segue continue` uses unless told otherwise
    systems = {line.system: line for line in report.continuations.systems}
    assert set(systems) == {"model", "codec", "real", "shuffled", "noise"}
    # The loops go on as they began; a random model and noise do not, and noise sounds least like them.
    assert systems["real"].tempo_same == 1.0 and systems["real"].timbre_db < systems["noise"].timbre_db / 3
    for name in ("continuation-best", "continuation-median", "continuation-worst", "continuations"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    for words in ("spectral convergence", "bits per token", "continuations", "wrote"):
        assert words in result.output


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figures_and_another_gives_others(
    model: str, loops: str, tmp_path: Path
) -> None:
    def figures(seed: str, folder: str) -> dict:
        arguments = (model, "--data", loops, "--split", "all", *QUICK, "--seed", seed, "--json")
        result = run(*arguments, "--out", str(tmp_path / folder))
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert found == json.loads((tmp_path / folder / "eval.json").read_text("utf-8"))
        return {key: found[key] for key in ("codec", "priors", "continuations")}

    first = figures("0", "a")
    assert figures("0", "b") == first
    assert figures("5", "c") != first


def test_without_primes_only_codec_and_priors_are_measured(model: str, loops: str, tmp_path: Path) -> None:
    result = run(model, "--data", loops, "--primes", "0", "--out", str(tmp_path), "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["continuations"] is None
    assert report["data"]["split"] == "held-out" and report["data"]["songs"] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "segue: there is no model 'nowhere'; give one that is here"),
        (["MODEL", "--data", "/nowhere"], "segue: there is no folder '/nowhere'; name a corpus folder"),
        (["MODEL", "--seconds", "1"], "segue: seconds is 1.0; input should be greater than or equal to 3"),
        (
            ["MODEL", "--temperature", "9"],
            "segue: temperature is 9.0; input should be less than or equal to 2",
        ),
        (
            ["MODEL", "--data", "LOOPS", "--seconds", "500"],
            "segue: no file is as long as a prime and its continuation together (",
        ),
    ],
)
def test_failures_are_one_sentence(
    model: str, loops: str, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    given = [{"MODEL": model, "LOOPS": loops}.get(word, word) for word in arguments]
    result = run(*given, "--out", str(tmp_path))
    assert result.exit_code == 2
    assert sentence in result.stderr.splitlines()[-1]


def test_songs_that_are_all_too_short(model: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "blip.wav", 0.1 * np.ones(tiny.RATE), tiny.RATE)
    result = run(model, "--data", str(tmp_path), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "segue: the longest readable file has 1.0 s; measuring needs at least 3.0 s in one file"
    )


def test_the_default_corpus_is_made_once_and_then_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.progress import Progress

    calls: list[tuple[int, int]] = []

    def quick_corpus(folder: Path, songs: int, seed: int, *, jobs: int, progress: Callable) -> None:
        calls.append((songs, seed))
        folder.mkdir(parents=True, exist_ok=True)
        complete = len(calls) > 1  # the first time it is interrupted
        progress(songs if complete else 3, songs, 60.0)
        (folder / "corpus.json").write_text(
            json.dumps({"version": 1, "complete": complete}), encoding="utf-8"
        )

    monkeypatch.setattr(defaults, "make_corpus", quick_corpus)
    monkeypatch.setattr(defaults.platformdirs, "user_cache_dir", lambda *a, **k: str(tmp_path / "cache"))
    folder = defaults.default_corpus(Progress(disable=True))
    assert folder.is_relative_to(tmp_path / "cache")
    for _ in range(3):
        assert defaults.default_corpus(Progress(disable=True)) == folder
    assert calls == [(defaults.SONGS, defaults.SEED)] * 2
