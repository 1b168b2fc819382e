"""The commands that sample otherwise than by continuing a file: what is on disk, what is said, what is refused."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner, Result
from safetensors.numpy import load_file

from bridge.cli import segue
from tests.host.tiny import make_tiny_model, write_riff

RATE = 44_100
SCRIPT = Path(sys.executable).with_name("segue")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def riff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """0.6 s; its name says 240 bpm, so a bar lasts a second."""
    return write_riff(tmp_path_factory.mktemp("riff") / "plucks_240bpm.wav", 0.6)


@pytest.fixture(scope="module")
def take(tiny: Path, riff: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bars of draft."""
    out = tmp_path_factory.mktemp("takes")
    asked = ("--bars", 2, "--seed", 5, "--fidelity", "draft", "--style", "house")
    return Path(made("continue", riff, "--model", tiny, "--out", out, *asked)["takes"][0]["path"]).parent


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(segue, [str(argument) for argument in arguments])


def made(*arguments: object) -> dict:
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.output + repr(result.exception)
    return json.loads(result.stdout)


def refused(*arguments: object) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output + repr(result.exception)
    assert result.stderr.startswith("segue: ") and result.stderr.count("\n") == 1
    return result.stderr.removeprefix("segue: ").strip()


def request_of(folder: Path) -> dict:
    return json.loads((folder / "request.json").read_text())["request"]


def top_codes(folder: Path) -> np.ndarray:
    return load_file(folder / "codes.safetensors")["level_2"]


# -- styles that change, and the place in the song ---------------------------------------------------------------


def test_a_style_from_a_bar_on(tiny: Path, riff: Path, tmp_path: Path) -> None:
    asked = ("--bars", 2, "--seed", 5, "--fidelity", "draft", "--style", "house", "--then", "2:dub")
    report = made("continue", riff, "--model", tiny, "--out", tmp_path, *asked, "--then", "1.5s:anna+house:2")
    folder = Path(report["takes"][0]["path"]).parent
    changes = request_of(folder)["style_changes"]
    assert [change["at_frame"] for change in changes] == [44_100, 66_150]
    assert changes[0]["style"]["genres"] == {"dub": 1.0}
    assert changes[1]["style"] == {"artists": {"anna": 1.0}, "genres": {"house": 2.0}}


@pytest.mark.parametrize(
    ("then", "sentence"),
    [
        ("dub", "--then is 'dub'; write a bar or seconds and a style, such as 5:reggae or 8s:reggae"),
        ("x:dub", "--then is 'x'; write a bar such as 5, or seconds such as 2.5s"),
        ("0:dub", "--then is bar 0; the first bar of a continuation is 1"),
        ("3:dub", "--then 3:dub lies at 2.00 s; the continuation ends at 2.00 s"),
        ("2:dup", "style 'dup' is unknown; did you mean 'dub'?"),
    ],
)
def test_changes_that_cannot_be(tiny: Path, riff: Path, tmp_path: Path, then: str, sentence: str) -> None:
    asked = ("--bars", 2, "--model", tiny, "--out", tmp_path, "--then", then)
    assert refused("continue", riff, *asked) == sentence


def test_two_changes_at_one_place(tiny: Path, riff: Path, tmp_path: Path) -> None:
    asked = ("--bars", 2, "--model", tiny, "--out", tmp_path, "--then", "2:dub", "--then", "1s:house")
    assert refused("continue", riff, *asked) == (
        "a style change is at frame 44100; changes come in order of time, before the end at frame 88200"
    )


def test_a_bar_needs_a_tempo(tiny: Path, tmp_path: Path) -> None:
    nameless = write_riff(tmp_path / "riff.wav", 0.6)
    asked = ("--seconds", 1, "--model", tiny, "--out", tmp_path / "t", "--then", "2:dub")
    assert refused("continue", nameless, *asked) == (
        "--then is bar 2 but no tempo is known; give the bpm, or seconds such as 2.5s"
    )


@pytest.mark.parametrize(
    ("options", "song"),
    [
        (
            ("--song-length", 40, "--song-at", 3),
            {"total_seconds": 40, "prime_at_seconds": 3, "ending": False},
        ),
        (
            ("--ending", "--song-length", 40),
            {"total_seconds": 40, "prime_at_seconds": 0, "ending": True},
        ),
        (("--ending",), {"total_seconds": 90, "prime_at_seconds": 0, "ending": True}),
        (("--song-at", 80), {"total_seconds": 90, "prime_at_seconds": 80, "ending": False}),
        (("--song-length", 30), {"total_seconds": 30, "prime_at_seconds": 10, "ending": False}),
    ],
)
def test_the_place_in_the_song(
    tiny: Path, riff: Path, tmp_path: Path, options: tuple[object, ...], song: dict[str, object]
) -> None:
    asked = ("--seconds", 0.1, "--model", tiny, "--out", tmp_path, "--fidelity", "draft")
    report = made("continue", riff, *asked, *options)
    assert request_of(Path(report["takes"][0]["path"]).parent)["song"] == song


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--song-length", 300), "the song is 300 s long; this model knows songs from 16 to 144 s"),
        (("--song-length", 8, "--ending"), "the song is 8 s long; this model knows songs from 16 to 144 s"),
        (("--song-length", 0), "--song-length is 0; it must be above 0"),
        (("--song-at", -1), "--song-at is -1; it must be 0 or more"),
        (("--song-at", 1, "--ending"), "--ending and --song-at exclude each other; give one of them"),
        (
            ("--song-length", 20, "--song-at", 19.8),
            "the continuation would begin at 20.4 s of a song of 20 s; it must begin before the song ends",
        ),
        (
            ("--song-length", 20, "--song-at", 21),
            "the prime starts at 21.0 s, at or after the end of the song (20.0 s); it must start before it",
        ),
    ],
)
def test_places_outside_the_song(
    tiny: Path, riff: Path, tmp_path: Path, options: tuple[object, ...], sentence: str
) -> None:
    asked = ("--seconds", 0.1, "--model", tiny, "--out", tmp_path / "t")
    assert refused("continue", riff, *asked, *options) == sentence
    assert not (tmp_path / "t").exists()


# -- from nothing, from takes ------------------------------------------------------------------------------------


def test_from_nothing(tiny: Path, tmp_path: Path) -> None:
    asked = ("--seconds", 0.3, "--seed", 3, "--takes", 2, "--style", "dub", "--fidelity", "fine")
    report = made("sample", "--model", tiny, "--out", tmp_path, *asked)
    assert [entry["seed"] for entry in report["takes"]] == [3, 4]
    assert {entry["mode"] for entry in report["takes"]} == {"ancestral"}
    for entry in report["takes"]:
        assert sf.info(entry["path"]).frames == 13_230


def test_a_take_goes_on_with_what_it_was(tiny: Path, take: Path, tmp_path: Path) -> None:
    """Model, tempo and style are the parent's."""
    report = made("continue", take, "--bars", 1, "--fidelity", "draft", "--out", tmp_path)
    folder = Path(report["takes"][0]["path"]).parent
    request = request_of(folder)
    assert (request["mode"], request["bpm"], request["model"]) == ("continue", 240.0, str(tiny))
    assert request["style"]["genres"] == {"house": 1.0}
    assert report["takes"][0]["parent"] == take.name
    np.testing.assert_array_equal(top_codes(folder)[:48], top_codes(take)[-48:])
    kept = made("continue", take, "--bars", 1, "--fidelity", "draft", "--out", tmp_path, "--length", 0.5)
    heard = sf.info(Path(kept["takes"][0]["path"]).parent / "prime.wav").frames
    assert heard == round(0.6 * RATE) + RATE // 2


def test_a_draft_made_full_is_the_take_made_at_once(
    tiny: Path, riff: Path, take: Path, tmp_path: Path
) -> None:
    asked = ("--model", tiny, "--out", tmp_path, "--bars", 0.25, "--seed", 5)
    at_once = made("continue", riff, *asked)
    draft = Path(made("continue", riff, *asked, "--fidelity", "draft")["takes"][0]["path"]).parent
    later = made("upsample", draft, "--out", tmp_path)
    one, other = (Path(report["takes"][0]["path"]) for report in (at_once, later))
    assert sf.read(one, dtype="int32")[0].tobytes() == sf.read(other, dtype="int32")[0].tobytes()
    full = other.parent
    assert refused("upsample", full, "--out", tmp_path) == (
        f"the take '{full}' is full already; it is as fine as takes get"
    )
    assert refused("upsample", take, "--fidelity", "draft", "--out", tmp_path) == (
        f"the take '{take}' is draft already; choose a finer one"
    )


def test_a_span_is_sampled_again(take: Path, tmp_path: Path) -> None:
    asked = ("--from", 1.5, "--to", "1.75s", "--candidates", 2, "--seed", 9)
    report = made("infill", take, *asked, "--out", tmp_path)
    folder = Path(report["takes"][0]["path"]).parent
    assert request_of(folder)["span"] == {"start_frame": 22_050, "stop_frame": 77_175, "candidates": 2}
    assert report["takes"][0]["parent"] == take.name
    changed = np.flatnonzero(top_codes(folder) != top_codes(take))
    assert changed[0] >= 48 + 22_050 / 128 and changed[-1] < 48 + 77_175 / 128


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--from", 2, "--to", 2), "the span from 2 to 2 is empty; --to must lie after --from"),
        (
            ("--from", 2, "--to", 4),
            "the span ends at 3.00 s, outside the take; it is 2.00 s long (2 bars)",
        ),
        (("--from", "two", "--to", 4), "--from is 'two'; write a bar such as 5, or seconds such as 2.5s"),
        (("--from", 1, "--to", 2, "--candidates", 0), "--candidates is 0; it must be from 1 to 64"),
    ],
)
def test_spans_that_cannot_be(take: Path, options: tuple[object, ...], sentence: str) -> None:
    assert refused("infill", take, *options) == sentence


def test_takes_that_are_not_there(tmp_path: Path, riff: Path) -> None:
    gone, empty = tmp_path / "gone", tmp_path / "empty"
    empty.mkdir()
    for command in (("infill", "--from", "1", "--to", "2"), ("upsample",)):
        assert refused(*command, gone) == f"there is no file '{gone}'; check the path"
        assert refused(*command, empty) == (
            f"'{empty}' is not a take's folder: it holds no readable take.json"
        )
    assert refused("continue", empty) == f"'{empty}' is not a take's folder: it holds no readable take.json"


def test_a_take_has_no_start(take: Path) -> None:
    assert refused("continue", take, "--start", 1) == (
        "--start is for audio files; a take is continued from its end, or from --length of it"
    )


# -- trees -------------------------------------------------------------------------------------------------------


def test_a_tree(tiny: Path, riff: Path, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    asked = (
        "--branch",
        2,
        "--depth",
        2,
        "--bars",
        0.25,
        "--fidelity",
        "draft",
        "--model",
        tiny,
        "--out",
        root,
    )
    report = made("tree", riff, *asked)
    assert list(report["takes"]) == ["1", "1/1", "1/2", "2", "2/1", "2/2"]
    assert report["leaves"] == [str(root / leaf / "path.wav") for leaf in ("1/1", "1/2", "2/1", "2/2")]
    for leaf in report["leaves"]:
        assert sf.info(leaf).frames == round(0.6 * RATE) + 2 * RATE // 4
    assert report["seed"] == json.loads((root / "tree.json").read_text())["seed"]
    again = made("tree", riff, *asked)  # a seed that nobody gave is the one it was begun with
    assert again == report
    assert refused("tree", riff, "--branch", 4, "--depth", 6) == (
        "branch 4 and depth 6 make 5460 takes; at most 400 are made in one tree"
    )


# -- composing ---------------------------------------------------------------------------------------------------


def compose(tiny: Path, riff: Path, session: Path) -> list[object]:
    asked = ("--step", "0.25bars", "--candidates", 2, "--fidelity", "draft", "--model", tiny)
    return ["compose", riff, *asked, "--session", session]


def test_composing_by_script(tiny: Path, riff: Path, tmp_path: Path) -> None:
    report = made(*compose(tiny, riff, tmp_path / "s"), "--choose", "2,1,1", "--finish", "fine")
    assert report["chosen"] == [2, 1, 1]
    assert sf.info(report["whole"]["path"]).frames == 3 * RATE // 4
    assert sf.info(report["path"]).frames == round(0.6 * RATE) + 3 * RATE // 4
    again = made(*compose(tiny, riff, tmp_path / "s"), "--choose", "2,2")
    assert again["chosen"] == [2, 2]
    assert refused(*compose(tiny, riff, tmp_path / "s"), "--choose", "2,3") == (
        "candidate 3 was chosen at step 2; choose from 1 to 2"
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ("--choose", "2,x"),
            "--choose is '2,x'; write the numbers of the candidates to keep, such as 2,1,3",
        ),
        (
            (),
            "segue compose asks which candidate to keep; run it in a terminal, or give --choose such as 2,1,3",
        ),
        (("--choose", "1", "--finish", "best"), "--finish is 'best'; it must be draft, fine or full"),
        (
            ("--choose", "1", "--step", "long"),
            "--step is 'long'; write a length such as 4bars, or seconds such as 8",
        ),
    ],
)
def test_sessions_that_cannot_be(
    tiny: Path, riff: Path, tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    assert refused(*compose(tiny, riff, tmp_path / "s"), *options) == sentence


class Terminal:
    """``segue compose`` in a terminal of its own."""

    def __init__(self, arguments: list[object]) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [SCRIPT, *map(str, arguments)], stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.seen = ""

    def wait_for(self, pattern: str, seconds: float = 60.0) -> str:
        """Reads until ``pattern`` is there; returns and forgets what came before its end."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen, re.DOTALL)):
            assert time.monotonic() < deadline, self.seen
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.master, 65_536).decode(errors="replace")
                except OSError as error:
                    raise AssertionError(f"it ended: {self.seen}") from error
        text, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return text

    def answer(self, text: str) -> None:
        os.write(self.master, f"{text}\n".encode())


@pytest.mark.slow
def test_composing_in_a_terminal_and_after_a_kill(tiny: Path, riff: Path, tmp_path: Path) -> None:
    asking = r"step (\d+).*q finish:"
    terminal = Terminal([*compose(tiny, riff, tmp_path / "s"), "--seed", 4])
    terminal.wait_for(asking)
    terminal.answer("7")
    terminal.wait_for(r"candidate 7 was chosen at step 1; choose from 1 to 2")
    terminal.answer("r")
    assert re.search(r"  3  .*  4  ", terminal.wait_for(r"step 1.*  4  .*q finish:"), re.DOTALL)
    terminal.answer("3")
    terminal.wait_for(r"step 2.*q finish:")
    terminal.process.send_signal(signal.SIGKILL)
    terminal.process.wait()

    terminal = Terminal([*compose(tiny, riff, tmp_path / "s"), "--seed", 4])
    terminal.wait_for(r"step 2.*q finish:")
    terminal.answer("2")
    terminal.wait_for(r"step 3.*q finish:")
    terminal.answer("b")
    terminal.wait_for(r"step 2.*q finish:")
    terminal.answer("1")
    terminal.wait_for(r"step 3.*q finish:")
    terminal.answer("q")
    terminal.wait_for(r"path\.wav")
    assert terminal.process.wait(20) == 0
    assert json.loads((tmp_path / "s" / "chosen.json").read_text()) == [3, 1]
    assert sf.info(tmp_path / "s" / "whole_3.1_draft" / "path.wav").frames == round(0.6 * RATE) + RATE // 2
