"""``segue takes``: what is printed, what is on disk, what is refused; with a session that has the folder open."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner, Result

from bridge.cli import segue
from engine.shelf.index import Index
from tests.host.tiny import make_tiny_model, write_riff
from tests.shelf.shelves import DAY, lines, many

RATE = 44_100


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(segue, ["takes", *(str(argument) for argument in arguments)])


def said(*arguments: object) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


def told(*arguments: object) -> dict:
    return json.loads(said(*arguments, "--json"))


def refused(*arguments: object) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output + repr(result.exception)
    return result.stderr.strip().splitlines()[-1].removeprefix("segue: ")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    many(tmp_path / "takes", 12, style={"genres": {"house": 0.7}, "artists": {"anna": 0.3}}, bpm=120.0)
    return tmp_path / "takes"


def folder(root: Path, number: int) -> Path:
    return root / f"{DAY}_{number:06d}_A{number:02d}"


# -- lists -------------------------------------------------------------------------------------------------------------


def test_a_list_and_its_filters(root: Path) -> None:
    said("rate", 3, 4, "--root", root)
    said("keep", 3, 5, "--root", root)
    said("name", 5, "Strophe 音楽 🎵", "--root", root)
    text = said("list", "--root", root).splitlines()
    assert len(text) == 13 and text[0].split()[:4] == ["id", "name", "rating", "kept"]
    assert text[3].split() == [
        *("3", "A03", "★★★★", "kept", "0.98", "s", "120", "house:0.7+anna:0.3", "full", "3"),
        *text[3].split()[-2:],
    ]
    assert "Strophe 音楽 🎵" in text[5]
    kept = told("list", "--kept", "--root", root)["takes"]
    assert [take["id"] for take in kept] == [3, 5]
    assert [take["id"] for take in told("list", "--rating", 4, "--root", root)["takes"]] == [3]
    assert [take["id"] for take in told("list", "--newest", 2, "--root", root)["takes"]] == [11, 12]
    assert kept[0] == {
        "id": 3,
        "name": "A03",
        "folder": str(folder(root, 3)),
        "wav": str(folder(root, 3) / "continuation.wav"),
        "parent": None,
        "mode": "primed",
        "style": "house:0.7+anna:0.3",
        "bpm": 120.0,
        "bars": None,
        "seconds": 43_008 / 44_100,
        "seed": 3,
        "rating": 4,
        "color": "",
        "kept": True,
        "state": "complete",
        "trashed": False,
        "fidelity": "full",
        "created": kept[0]["created"],
        "model": "starter",
        "model_hash": "hash",
        "metrics": json.loads((folder(root, 3) / "take.json").read_text())["metrics"],
    }


def test_an_empty_folder_and_one_that_is_not_there(tmp_path: Path) -> None:
    assert said("list", "--root", tmp_path) == f"no takes in {tmp_path}\n"
    assert said("list", "--trash", "--root", tmp_path / "x") == f"no takes in the trash of {tmp_path / 'x'}\n"
    assert said("tree", "--root", tmp_path) == f"no takes in {tmp_path}\n"
    assert refused("show", 1, "--root", tmp_path) == "there is no take '1'; there are none"


def test_the_usual_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_TAKES", str(root))
    assert len(told("list")["takes"]) == 12


def test_what_is_broken_or_unfinished_is_told_beside_the_list(root: Path) -> None:
    from tests.take.test_take import grow

    (folder(root, 2) / "take.json").write_text("{")
    writer = grow(root, stop_after=9)
    writer.close()
    result = invoke("list", "--root", root)
    assert result.exit_code == 0 and len(result.stdout.splitlines()) == 12
    broken, unfinished = result.stderr.splitlines()
    assert broken.startswith(f"segue: the take in '{folder(root, 2)}' is left out: take.json in")
    assert unfinished == (
        f"segue: {writer.folder} is being made, or was interrupted; segue serve takes it up"
    )
    assert told("list", "--root", root)["unfinished"] == [str(writer.folder)]


def test_a_thousand_takes_are_listed_at_once(tmp_path: Path) -> None:
    """Work, as the process itself counts it: on a busy machine time passes that is not its own."""
    many(tmp_path / "takes", 1_000)
    code = (
        "import sys, time; from click.testing import CliRunner; from bridge.cli import segue\n"
        "began = time.process_time()\n"
        "result = CliRunner().invoke(segue, sys.argv[1:])\n"
        "worked = time.process_time() - began\n"
        "heavy = {'numpy', 'pydantic', 'torch', 'rich', 'soundfile'} & set(sys.modules)\n"
        "print(result.exit_code, len(result.stdout.splitlines()), sorted(heavy), worked)"
    )
    command = [sys.executable, "-c", code, "takes", "list", "--root", str(tmp_path / "takes")]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(4)]
    first, *others = (run.stdout.split() for run in runs)
    assert first[:2] == ["0", "1001"]  # it builds the index
    assert {tuple(other[:3]) for other in others} == {("0", "1001", "[]")}
    assert min(float(other[3]) for other in others) < 0.2


# -- one take ----------------------------------------------------------------------------------------------------------


def test_show(root: Path) -> None:
    said("name", 4, "Verse", "--root", root)
    text = said("show", "verse", "--root", root)
    rows = dict(line.split(maxsplit=1) for line in text.splitlines() if not line.startswith("goes on"))
    assert rows["take"].split()[:2] == ["4", "Verse"] and rows["folder"] == str(folder(root, 4))
    assert rows["codes"] == "level 2: 536, level 1: 2144, level 0: 8576"
    full = told("show", 4, "--root", root)
    assert full["record"] == json.loads((folder(root, 4) / "take.json").read_text()) | full["record"]
    assert full["files"] == ["marks.json", "take.json"] and full["children"] == []
    assert refused("show", "vrse", "--root", root) == "there is no take 'vrse'; did you mean 'Verse'?"


def test_a_path_leads_to_another_folder(root: Path, tmp_path: Path) -> None:
    said("rate", folder(root, 4), 2, "--root", tmp_path / "elsewhere")
    assert lines(root)[-1]["marks"] == {"rating": 2}
    assert not (tmp_path / "elsewhere").exists()


def test_a_tree(root: Path) -> None:
    for child, parent in ((2, 1), (3, 1), (4, 3), (5, 99), (7, 8), (8, 7)):
        record = json.loads((folder(root, child) / "take.json").read_text())
        record["head"]["parent"] = folder(root, parent).name
        (folder(root, child) / "take.json").write_text(json.dumps(record))
    nested = told("tree", "--root", root)
    shape = {
        take["id"]: {child["id"]: [one["id"] for one in child["children"]] for child in take["children"]}
        for take in nested
    }
    # 5 goes on from one that is not here; 7 and 8, which say of each other that they go on from it, are both there.
    assert shape == {1: {2: [], 3: [4]}, **{number: {} for number in (5, 6, 7, 8, 9, 10, 11, 12)}}
    drawn = said("tree", 1, "--root", root)
    assert [line.split("─")[-1].split()[0] for line in drawn.splitlines()[1:]] == ["1", "2", "3", "4"]


# -- marks, trash, undo ------------------------------------------------------------------------------------------------


def test_marking_and_undoing(root: Path) -> None:
    assert said("rate", 3, 4, "--root", root) == "3  A03 is rated 4\n"
    assert said("name", 3, " Chorus ", "--root", root) == "3  Chorus is called 'Chorus'\n"
    assert said("color", "chorus", "#E0A030", "--root", root) == "3  Chorus has the colour #e0a030\n"
    assert said("keep", 3, 4, "--root", root) == "3  Chorus is kept\n4  A04 is kept\n"
    assert json.loads((folder(root, 3) / "marks.json").read_text()) == {
        "schema_version": 1,
        "name": "Chorus",
        "rating": 4,
        "color": "#e0a030",
        "kept": True,
    }
    assert said("keep", "--no", 4, "--root", root) == "4  A04 is kept no longer\n"
    assert told("color", 3, "none", "--root", root)["color"] == ""
    assert said("trash", 5, 6, "--root", root) == "5  A05 is in the trash\n6  A06 is in the trash\n"
    assert [take["id"] for take in told("list", "--trash", "--root", root)["takes"]] == [5, 6]
    assert said("restore", "A05", "--root", root) == "5  A05 is back\n"
    undone = [said("undo", "--root", root).split(",")[0] for _ in range(4)]
    assert undone == ["undone: restore A05", "undone: trash A06", "undone: trash A05", "undone: color A03"]
    assert told("undo", "--root", root)["undone"] == "keep A04"
    assert told("show", 3, "--root", root)["color"] == "#e0a030"
    for _ in range(5):
        said("undo", "--root", root)
    assert refused("undo", "--root", root) == (
        "there is nothing to undo; the index tells of no change that is not undone already"
    )


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("rate", 3, 9), "the rating is 9; it must be from 0 to 5"),
        (("rate", 99, 1), "there is no take '99'; the nearest is 12"),
        (("name", 3, "17"), "the name '17' would be taken for a number or a tag; begin it with a letter"),
        (("name", 3, "A04"), "the name 'A04' is that of take 4 already; give another one"),
        (("color", 3, "red"), "the colour is 'red'; write it as #rrggbb, such as #e0a030, or as nothing"),
        (("restore", 3), "the take A03 is not in the trash"),
        (("trash", 3, 99), "there is no take '99'; the nearest is 12"),
        (("play", "x1"), "there is no take 'x1'; the takes are A01 to A12"),
        (("recall", "x1"), "there is no take 'x1'; the takes are A01 to A12"),
    ],
)
def test_what_is_refused_changes_nothing(root: Path, command: tuple[object, ...], sentence: str) -> None:
    Index(root).refresh()
    assert refused(*command, "--root", root) == sentence
    assert len(lines(root)) == 12 and folder(root, 3).is_dir()


# -- heard and made again ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def shelf(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A takes folder with a draft of two bars, a second each."""
    riff = write_riff(tmp_path_factory.mktemp("riff") / "plucks_240bpm.wav", 0.6)
    root = tmp_path_factory.mktemp("takes")
    asked = ["--bars", "2", "--seed", "5", "--fidelity", "draft", "--style", "house", "--out", str(root)]
    result = CliRunner().invoke(segue, ["continue", str(riff), "--model", str(tiny), *asked])
    assert result.exit_code == 0, result.output
    riff.unlink()
    return root


def made(*arguments: object) -> Path:
    result = CliRunner().invoke(segue, [*(str(argument) for argument in arguments), "--json"])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return Path(json.loads(result.stdout)["takes"][0]["path"]).parent


def request_of(take: Path) -> dict:
    return json.loads((take / "request.json").read_text())["request"]


def test_playing(shelf: Path, tmp_path: Path) -> None:
    heard = told("play", 1, "--device", f"file:{tmp_path / 'heard.wav'}", "--root", shelf)
    assert heard["played"]["id"] == 1 and heard["frames"] == 2 * RATE
    samples, rate = sf.read(tmp_path / "heard.wav", dtype="float32")
    take = sf.read(heard["played"]["wav"], dtype="float32")[0]
    mono = samples if samples.ndim == 1 else samples[:, 0]
    begin = int(np.flatnonzero(mono)[0]) - int(np.flatnonzero(take)[0])
    assert rate == RATE
    np.testing.assert_allclose(mono[begin + 500 : begin + take.size - 500], take[500:-500], atol=2e-4)


def test_a_take_without_sound(root: Path) -> None:
    wav = folder(root, 3) / "continuation.wav"
    assert refused("play", 3, "--root", root) == f"the take A03 has no sound: '{wav}' is missing"


def test_recalling(shelf: Path, tmp_path: Path) -> None:
    text = said("recall", 1, "--root", shelf)
    wav = next(shelf.glob("2*_A01")) / "continuation.wav"
    # 48 top-level tokens of the prime are of use; two seconds are 690 more.
    assert text == f"1  A01: identical, all 88200 samples, to '{wav}'; {48 + 690} codes are the same\n"
    report = told("recall", 1, "--root", shelf, "--out", tmp_path / "again", "--lanes", 1)
    assert report["identical"] and report["compared_with"] == str(wav) and report["differing"] == 0
    again = Path(report["made"]["path"])
    assert again.parent.parent == tmp_path / "again"
    assert sf.read(again, dtype="int32")[0].tobytes() == sf.read(wav, dtype="int32")[0].tobytes()
    assert len(told("list", "--root", shelf)["takes"]) == 1


def test_the_model_is_gone(shelf: Path, tiny: Path, tmp_path: Path) -> None:
    hidden = tiny.rename(tiny.with_name("hidden"))
    try:
        sentence = refused("recall", 1, "--root", shelf)
        assert sentence.startswith(f"the take A01 was made by the model '{tiny}' with the hash ")
        assert sentence.endswith(", which is not here; import it again, or say where it is with --model")
        assert len(told("list", "--root", shelf)["takes"]) == 1
        assert told("show", 1, "--root", shelf)["model"] == str(tiny)
        device = f"file:{tmp_path / 'heard.wav'}"
        assert told("play", 1, "--device", device, "--root", shelf)["frames"] == 2 * RATE
        exported = CliRunner().invoke(
            segue, ["export", "take", "1", "--takes", str(shelf), "--out", str(tmp_path / "out")]
        )
        assert exported.exit_code == 0, exported.output
        assert told("recall", 1, "--root", shelf, "--model", hidden)["identical"]
    finally:
        hidden.rename(tiny)


@pytest.mark.slow
def test_again_and_on_by_number(shelf: Path, tmp_path: Path) -> None:
    first = next(shelf.glob("2*_A01"))
    other = made("takes", "retry", 1, "--seed", 9, "--root", shelf, "--out", tmp_path)
    before, after = request_of(first), request_of(other)
    assert after["seed"] == 9 and after["prime"]["path"] == str(first / "prime.wav")
    assert {**after, "seed": 5, "prime": before["prime"]} == before
    environment = pytest.MonkeyPatch()
    environment.setenv("SEGUE_TAKES", str(shelf))
    try:
        asked = ("--bars", 1, "--fidelity", "draft", "--out", shelf)
        on = made("continue", "A01", "--from-bar", 2, *asked)
        assert request_of(on)["parents"] == [{"folder": str(first), "frames": RATE}]
        assert sf.info(on / "prime.wav").frames == round(0.6 * RATE) + RATE
        again = made("infill", 1, "--from", 1.5, "--to", "1.75s", "--candidates", 1, "--out", shelf)
        assert request_of(again)["span"]["start_frame"] == 22_050
        finer = made("upsample", 1, "--fidelity", "fine", "--out", shelf)
        assert request_of(finer)["parents"][0]["folder"] == str(first)
        tree = told("tree", "--root", shelf)
        assert [child["mode"] for child in tree[0]["children"]] == ["continue", "infill", "upsample"]
        for child in (2, 3, 4):
            assert told("recall", child, "--root", shelf)["identical"]
        said("trash", 2, 3, 4, "--root", shelf)
    finally:
        environment.undo()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ("--from-bar", 1),
            "--from-bar is 1, where the take itself begins; segue takes retry makes all of it again, from bar 2 on it "
            "can be gone on from",
        ),
        (("--from-bar", 4), "--from-bar 4 lies at 3.00 s; the take is 2.00 s long, 2 bars"),
        (("--from-bar", 0.5), "--from-bar is bar 0.5; the first bar of a continuation is 1"),
        (("--from-bar", 2, "--length", 1), "--from-bar and --length exclude each other; give one of them"),
    ],
)
def test_bars_that_cannot_be_gone_on_from(shelf: Path, options: tuple[object, ...], sentence: str) -> None:
    asked = ["continue", str(next(shelf.glob("2*_A01"))), *map(str, options)]
    result = CliRunner().invoke(segue, asked)
    assert (result.exit_code, result.stderr) == (2, f"segue: {sentence}\n")


def test_a_take_that_is_not_there_and_a_file_that_is_not(shelf: Path, tmp_path: Path) -> None:
    for text, sentence in (
        ("77", "there is no take '77'; the nearest is 1"),
        (
            "nothing.wav",
            f"there is no file '{Path.cwd() / 'nothing.wav'}' and no take of that name; check the path",
        ),
    ):
        result = CliRunner().invoke(segue, ["continue", text, "--out", str(shelf)])
        assert (result.exit_code, result.stderr) == (2, f"segue: {sentence}\n")
