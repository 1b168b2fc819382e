"""Continuations from the command line: kept over a kill, ranked, drawn, put on a page; changes, long ones, notes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from bridge.cli import segue
from engine.analysis.key import KeyEstimate
from engine.backends.torch_backend import TorchBackend
from engine.evaluation.continuations import Judged, Pair, request_of
from engine.evaluation.continuing import searched_codes
from engine.evaluation.data import Song
from engine.evaluation.kept import Maker
from engine.evaluation.pictures import grid_of
from engine.evaluation.ranking import spread_ranks, weakness
from engine.evaluation.report import EvalReport
from engine.evaluation.summary import summarise, true_tempo
from engine.evaluation.truth import Truth
from engine.lyrics import Words
from engine.request import Fidelity, PrimeRef, Pulse, Request, Sampling
from engine.store import load_model
from engine.training.codes import encoder_key
from tests.evaluation.test_figures import RATE, compare, drum_loop

from . import tiny

STARTER = Path(__file__).resolve().parents[2] / "engine" / "models" / "starter"
QUICK = ["--prime-seconds", "3", "--seconds", "3"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save_loops(tmp_path_factory.mktemp("loops"), 10, seconds=7.5))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save_loops(tmp_path_factory.mktemp("few"), 2, seconds=7.0))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *a, **k: str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(*arguments: str) -> EvalReport:
    result = CliRunner().invoke(segue, ["eval", *QUICK, *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return EvalReport.model_validate_json(result.stdout)


def figures(report: EvalReport) -> dict:
    return report.model_dump(exclude={"provenance"})


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_been(model: str, few: str, tmp_path: Path) -> None:
    arguments = [model, "--on", few, "--split", "all", "--primes", "3", "--no-style", "--backend", "torch"]
    whole = run(*arguments, "--out", str(tmp_path / "whole"))
    code = f"import sys; sys.argv[1:] = {['eval', *arguments, *QUICK, '--out', str(tmp_path / 'cut')]!r}; "
    child = subprocess.Popen(
        [sys.executable, "-c", code + "from bridge.cli import main; main()"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    kept = tmp_path / "cut" / "continuations"
    deadline = time.monotonic() + 120
    while not list(kept.glob("*.npz")) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    child.kill()
    child.wait()
    first = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.npz")}
    assert len(first) >= 1
    again = run(*arguments, "--out", str(tmp_path / "cut"))
    assert figures(again) == figures(whole)
    now = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.npz")}
    assert len(now) == 3 and all(now[name] == time for name, time in first.items())


def test_half_a_file_is_made_again(tmp_path: Path) -> None:
    model = load_model(tiny.save_tiny(tmp_path / "tiny"))
    maker = Maker(TorchBackend(model), tmp_path)
    prime = 0.3 * drum_loop(120, 0.5, tiny.RATE)
    request = Request(model="tiny", prime=PrimeRef(path="x"), frames=4000, fidelity=Fidelity.DRAFT)
    made = maker.make(request, prime)
    assert made.audio.shape == (4000,) and made.prime_codes.size == prime.size // 128
    # Tokens from the prime's last whole one to the continuation's end.
    assert made.codes.size == -(-(prime.size + 4000) // 128) - prime.size // 128
    [file] = (tmp_path / "continuations").iterdir()
    file.write_bytes(file.read_bytes()[:500])
    again = maker.make(request, prime)
    np.testing.assert_array_equal(again.audio, made.audio)
    assert maker.found == 0
    np.testing.assert_array_equal(maker.make(request, prime).codes, made.codes)
    assert maker.found == 1
    other = maker.make(request.model_copy(update={"seed": 1}), prime)
    assert maker.found == 1 and not np.array_equal(other.codes, made.codes)


class Sources(HTMLParser):
    """Everything that the page loads, and its words."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tables = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]
        self.tables += tag == "table"


@pytest.mark.slow
def test_the_page_is_whole_by_itself_and_plays_what_was_measured(
    model: str, few: str, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    report = run(model, "--on", few, "--split", "all", "--primes", "2", "--no-style", "--out", str(out), "--page",
                 "--examples", "2")  # fmt: skip
    text = (out / "page" / "index.html").read_text("utf-8")
    page = Sources()
    page.feed(text)
    assert page.tables >= 6 and len(page.found) == 3 + 5 + 2  # players of both primes, and two pictures
    assert not re.search(r"https?:", text)
    assert all((out / "page" / name).stat().st_size > 1000 for name in page.found)
    assert report.continuations is not None
    first = report.continuations.primes[0]
    heard, rate = soundfile.read(out / "page" / "audio" / "001-real.flac", dtype="float32")
    song, _ = soundfile.read(Path(few) / first.song, dtype="float32")
    start = round(first.start_seconds * rate)
    np.testing.assert_allclose(heard, song[start : start + heard.size].clip(-1, 1), atol=1e-4)
    assert rate == tiny.RATE and heard.size == pytest.approx(6 * rate, abs=128)
    for row in report.continuations.primes:
        assert row.song in text and f"seed {row.seed}" in text
    names = sorted(path.name for path in (out / "examples").iterdir())
    assert names == ["example-01.png", "example-02.png"]


@pytest.mark.slow
def test_styles_changes_and_long_takes(model: str, loops: str, tmp_path: Path) -> None:
    given = ["--primes", "1", "--seconds", "4", "--then", "--long", "1", "--long-seconds", "20"]
    report = run(model, "--on", loops, *given, "--out", str(tmp_path / "out"))
    assert report.style is not None and report.style.genres == ("house", "rock")
    assert report.style.coded_accuracy is not None
    found = report.continuations
    assert found is not None and len(found.changes) == len(found.long) == 1
    [change], [long] = found.changes, found.long
    assert {change.before, change.after} == {"house", "rock"}
    assert {change.heard_before, change.heard_after} <= {"house", "rock"}
    assert change.at_seconds == pytest.approx(2.0, abs=0.01)
    assert long.seconds == pytest.approx(20.0, abs=0.01) and long.song_drift is None  # 4 s of song are left
    assert set(found.primes[0].styles) == {"model", "codec", "real", "noise"}
    line = {row.system: row for row in found.systems}
    assert line["real"].style in (0.0, 1.0) and line["model"].frechet is not None
    assert found.searched_songs == 8 and found.searched_seconds == pytest.approx(8 * 7.5, rel=0.01)
    assert line["real"].copied_songs is not None


@pytest.mark.slow
def test_bars_are_as_long_as_the_songs_tempo_makes_them(model: str, loops: str, tmp_path: Path) -> None:
    arguments = ["eval", model, "--on", loops, "--split", "all", "--primes", "3", "--no-style", "--json"]
    arguments += ["--prime-seconds", "3", "--bars", "2", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(segue, arguments)
    assert result.exit_code == 0, result.output
    report = EvalReport.model_validate_json(result.stdout)
    assert report.continuations is not None and report.continuations.bars == 2.0
    for row in report.continuations.primes:
        bpm = 90 + 17 * int(re.findall(r"\d+", row.song)[0])  # as the loops were made
        octaves = [480 / bpm * octave for octave in (0.5, 1.0, 2.0)]
        assert min(abs(row.seconds - octave) / octave for octave in octaves) < 0.03  # type: ignore[operator]


def test_what_cannot_be_measured_is_said(model: str, tmp_path: Path) -> None:
    tiny.save_loops(tmp_path / "bare", 2, seconds=7.0)
    (tmp_path / "bare" / "metadata.csv").unlink()
    report = run(
        model, "--on", str(tmp_path / "bare"), "--primes", "1", "--then", "--out", str(tmp_path / "out")
    )
    assert report.notes == (
        "tempo and key are as heard: no file states those of every song, as a corpus does",
        "the songs have no genres, so style is not judged; name them in a metadata.csv with the columns "
        "file, artist and genre",
        "changes of style are not measured, since no style is judged",
    )
    assert report.style is None and report.continuations is not None and not report.continuations.changes


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--codes", "/nowhere"],
            "segue: there are no codes in '/nowhere'; make them with: segue train encode DATA",
        ),
        (["--bars", "0"], "segue: bars is 0.0; input should be greater than 0"),
        (["--bars", "0.5"], " s; hearing their tempo needs at least 3 s, so give more bars"),
        (["--long-seconds", "5"], "segue: long_seconds is 5.0; input should be greater than or equal to 20"),
        (["--out", "FILE"], "segue: 'FILE"),
    ],
)
def test_failures_are_one_sentence(
    model: str, loops: str, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    file = str(tmp_path / "file" / "out")
    given = [file if word == "FILE" else word for word in arguments]
    result = CliRunner().invoke(
        segue,
        [
            "eval",
            model,
            "--on",
            loops,
            "--primes",
            "1",
            *QUICK,
            "--no-style",
            "--out",
            str(tmp_path / "o"),
            *given,
        ],
    )
    assert result.exit_code == 2
    assert sentence.replace("FILE", file) in result.stderr.splitlines()[-1]


def test_codes_of_another_codec_are_refused(model: str, loops: str, tmp_path: Path) -> None:
    index = {"version": 2, "keys": {"2": "0123456789ab-fedcba987654"}, "rate": tiny.RATE, "bins": 32}
    index |= {"hops": [8, 32, 128], "songs": []}
    (tmp_path / "index.json").write_text(json.dumps(index))
    np.save(tmp_path / "level_2.npy", np.zeros(0, np.uint16))
    arguments = [
        "eval",
        model,
        "--on",
        loops,
        "--primes",
        "1",
        *QUICK,
        "--no-style",
        "--codes",
        str(tmp_path),
    ]
    result = CliRunner().invoke(segue, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        f"segue: the codes in '{tmp_path}' are of another codec than that of 'tiny'; "
        "give the folder that its own training kept them in"
    )


def test_copies_are_looked_for_in_the_codes_that_training_kept(model: str, tmp_path: Path) -> None:
    loaded = load_model(model)
    key = f"{encoder_key(loaded.codec, 2)}-fedcba987654"
    index = {"version": 2, "keys": {"2": key}, "rate": tiny.RATE, "bins": 32, "hops": [8, 32, 128]}
    song = {"artist": "ada", "genres": ["house"]}
    index["songs"] = [
        {"name": "a", "split": "train", "start": 0, "tokens": 40, **song},
        {"name": "b", "split": "held-out", "start": 40, "tokens": 10, **song},
        {"name": "c", "split": "train", "start": 50, "tokens": 30, **song},
    ]
    (tmp_path / "index.json").write_text(json.dumps(index))
    np.save(tmp_path / "level_2.npy", np.arange(80, dtype=np.uint16))
    found = searched_codes(loaded, [], tmp_path)
    assert [name for name, _ in found] == ["a", "c"]
    np.testing.assert_array_equal(found[1][1], np.arange(50, 80))


def test_a_request_that_knows_the_pulse_states_bar_and_key(model: str) -> None:
    loaded = load_model(model)
    truth = Truth(120.0, KeyEstimate(6, "minor", 1.0))
    song = Song("a.wav", "ada", ("house",), np.zeros(20 * tiny.RATE, np.float32), truth)
    pair = Pair(song, tiny.RATE, np.zeros(round(5.2 * tiny.RATE), np.float32), song.samples[: 4 * tiny.RATE])
    request = request_of(loaded, pair, 3, Fidelity.DRAFT, Sampling(), "known", Words(lyrics="go on"))
    # A bar is 2 s; the seam lies at 6.2 s, 0.2 s after the last one began.
    assert request.pulse == Pulse(bpm=120.0, downbeat_frame=-round(0.2 * tiny.RATE), key="F# minor")
    assert (request.lyrics, request.seed) == ("go on", 3)
    heard = request_of(loaded, pair, 3, Fidelity.DRAFT, Sampling())
    assert heard.pulse is None and heard.lyrics == ""


def test_the_grid_that_is_drawn_is_that_of_the_song() -> None:
    song = Song(
        "a.wav",
        "ada",
        ("house",),
        np.zeros(20 * RATE, np.float32),
        Truth(120.0, KeyEstimate(0, "major", 1.0)),
    )
    pair = Pair(song, RATE, np.zeros(round(5.2 * RATE), np.float32), song.samples[:RATE])
    grid = grid_of(Judged(pair, {}, {}), RATE)
    assert grid is not None and grid.beat == 0.5
    times, bars = grid.between(-0.8, 1.9)  # bars begin at 6 and 8 s of the song, the seam lies at 6.2 s
    np.testing.assert_allclose(times, [-0.7, -0.2, 0.3, 0.8, 1.3, 1.8], atol=1e-4)
    assert bars.tolist() == [False, True, False, False, False, True]
    silent = Song("b.wav", "ada", ("house",), np.zeros(20 * RATE, np.float32))
    assert (
        grid_of(Judged(Pair(silent, 0, silent.samples[: 6 * RATE], song.samples[:RATE]), {}, {}), RATE)
        is None
    )


def test_reports_of_the_first_schema_are_read() -> None:
    old = EvalReport.model_validate_json((STARTER / "eval.json").read_bytes())
    assert old.continuations is not None and {row.system for row in old.continuations.systems} >= {
        "model",
        "real",
    }


def test_the_weakest_is_always_among_the_examples() -> None:
    weak = [0.3, 0.9, 0.1, 0.5, 0.7]
    assert spread_ranks(weak, 10) == [2, 0, 3, 4, 1]
    assert spread_ranks(weak, 3) == [2, 3, 1]
    assert spread_ranks(weak, 1) == [1]
    assert spread_ranks([], 4) == []


def test_weakness_by_hand() -> None:
    drums = 0.5 * drum_loop(120, 12.0)
    good = compare(drums[: 6 * RATE], drums[6 * RATE :], RATE)
    silent = compare(drums[: 6 * RATE], np.zeros(6 * RATE, np.float32), RATE)
    assert weakness(good) < 0.1 and weakness(silent) == 1.0
    # One thing missed of six; of seven, where the style was judged and is right.
    off = good.model_copy(
        update={
            "tempo_error_percent": 30.0,
            "tempo": "other",
            "beat_offset": 0.0,
            "key": "same",
            "timbre_db": 0.0,
        }
        | {"loudness_difference": 0.0, "silent": 0.0, "frozen": 0.0}
    )
    assert weakness(off) == pytest.approx(1 / 6)
    assert weakness(off, True) == pytest.approx(1 / 7) and weakness(off, False) == pytest.approx(2 / 7)


def test_a_line_of_the_report_by_hand() -> None:
    drums = 0.5 * drum_loop(120, 12.0)
    base = compare(drums[: 6 * RATE], drums[6 * RATE :], RATE)
    rows = [
        base.model_copy(
            update={
                "tempo_error_percent": error,
                "beat_offset": beat,
                "loudness_difference": louder,
                "bpm": bpm,
            }
            | {"true_bpm": 120.0, "key_true": key}
        )
        for error, beat, louder, bpm, key in (
            (1.9, 0.12, -2.0, 120.0, "same"),
            (2.1, -0.2, 2.1, 241.0, "relative"),
            (None, None, None, None, "none"),
            (0.0, 0.0, 0.0, 126.0, "other"),
        )
    ]
    line = summarise("model", rows, [True, True, True, False], frechet=3.0)
    assert (line.tempo_close, line.beat_kept, line.loudness_kept, line.style) == (0.5, 0.5, 0.5, 0.75)
    assert (line.tempo_true, line.key_true, line.frechet) == (0.5, 0.5, 3.0)
    assert line.beat_offset == pytest.approx(0.12)
    assert [true_tempo(row) for row in rows] == [True, True, False, False]
