"""`segue presets`, as a user types it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bridge.cli import segue


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGUE_PRESETS", str(tmp_path / "user"))
    return tmp_path / "user"


def run(*words: str) -> Result:
    return CliRunner().invoke(segue, ["presets", *words])


def test_list(user: Path) -> None:
    done = run("list", "--json")
    told = json.loads(done.stdout)
    assert told["problems"] == []
    assert len(told["presets"]) >= 24
    first = told["presets"][0]
    assert (first["name"], first["bank"], first["program"], first["origin"]) == (
        "Glass Floor",
        0,
        0,
        "factory",
    )
    names = [
        preset["name"] for preset in json.loads(run("list", "--json", "--tag", "acid").stdout)["presets"]
    ]
    assert names == ["Acid Rungs"]
    table = run("list").stdout
    assert all(preset["name"].split()[0] in table for preset in told["presets"])


def test_new_show_and_again(user: Path) -> None:
    done = run(
        "new", "My Night", "--from", "last tram", "--bars", "8", "--program", "5", "--colour", "#123456"
    )
    assert done.exit_code == 0, done.output
    path = user / "my_night.toml"
    assert done.stdout.strip() == str(path)
    table = tomllib.loads(path.read_text())
    assert (table["bars"], table["program"], table["style"]["genres"]) == (8, 5, {"techno": 1})
    shown = run("show", "my night")
    assert shown.stdout.startswith(f"# user: {path}\n# bank 1, program 5\n")
    assert tomllib.loads(shown.stdout) == table
    told = json.loads(run("show", "MY-NIGHT", "--json").stdout)
    assert (told["bank"], told["program"], told["colour"]) == (1, 5, "#123456")
    again = run("new", "My Night", "--style", "house")
    assert again.exit_code == 2
    assert again.stderr.endswith("is there already; choose another name, or replace it with --force\n")
    assert run("new", "My Night", "--style", "my night:2+rock", "--force").exit_code == 0
    assert tomllib.loads(path.read_text())["style"]["genres"] == {"techno": 2, "rock": 1}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("new", "Odd"), "segue: a preset needs a style; give --style, or --from another preset\n"),
        (("new", "Odd", "--style", "hause"), "segue: style 'hause' is unknown; did you mean 'house'?\n"),
        (
            ("new", "Odd", "--style", "house", "--program", "200"),
            "segue: program is 200; input should be less than or equal to 127\n",
        ),
        (("show", "glas floor"), "segue: preset 'glas floor' is unknown; did you mean 'Glass Floor'?\n"),
    ],
)
def test_what_is_wrong_and_what_would_be_right(user: Path, words: tuple[str, ...], sentence: str) -> None:
    done = run(*words)
    assert (done.exit_code, done.stderr) == (2, sentence)
    assert not user.exists()


def test_check(user: Path, tmp_path: Path) -> None:
    done = run("check")
    assert (done.exit_code, done.stdout) == (0, "28 presets in order, 0 problems\n")
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text('name = "Good One"\n[style]\ngenres = { house = 1.0, polka = 1.0 }\n')
    bad.write_text('name = "Bad One"\nbars = "four"\n[style]\ngenres = { house = 1.0 }\n')
    done = run("check", str(good), str(bad), "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "checked": 1,
        "problems": [
            "bad.toml, line 2: bars is 'four'; input should be a valid number, unable to parse string as a number"
        ],
        "notes": ["preset 'Good One': the starter does not know 'polka' and leaves it out"],
    }


def test_check_of_the_project(user: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text('name = "Twin Set"\n[style]\ngenres = { house = 1.0 }\n')
    done = run("check", "--project", str(tmp_path))
    assert done.exit_code == 1
    assert done.stdout == (
        "b.toml: the name 'Twin Set' is that of a.toml already; give it another\n"
        "29 presets in order, 1 problem\n"
    )


def test_a_folder_that_cannot_be_written(user: Path, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    done = run("new", "Odd", "--style", "house", "--user", str(in_the_way / "deeper"))
    assert done.exit_code == 2
    assert done.stderr.endswith("cannot be written (Not a directory); give another folder with --user\n")
