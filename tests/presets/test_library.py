"""The library: whose preset is heard, at which program, and what happens when files change."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import NoStyle
from presets import Changes, Library, Origin, factory_presets, user_folder


def preset(name: str, *, genre: str = "house", bars: int = 4, more: str = "") -> str:
    return f'name = "{name}"\nbars = {bars}\n{more}\n[style]\ngenres = {{ {genre} = 1.0 }}\n'


def write(path: Path, text: str) -> None:
    """Another program writes the file, by another way than the library would."""
    code = "import sys; open(sys.argv[1], 'w', encoding='utf-8').write(sys.argv[2])"
    subprocess.run([sys.executable, "-S", "-c", code, str(path), text], check=True)


@pytest.fixture
def user(tmp_path: Path) -> Path:
    folder = tmp_path / "user"
    folder.mkdir()
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def test_the_factory_alone() -> None:
    library = Library()
    assert library.presets == factory_presets()
    assert library.problems == ()
    assert {entry.origin for entry in library.entries.values()} == {Origin.FACTORY}
    entry = library.at(0, 9)
    assert entry is not None
    assert entry.preset.name == "Velvet Tape"
    assert library.at(0, 127) is None
    assert library.at(1, 9) is None


def test_a_folder_that_is_not_there_is_empty_until_it_is(user: Path) -> None:
    library = Library(user / "later")
    count = len(library.entries)
    (user / "later").mkdir()
    write(user / "later" / "mine.toml", preset("Mine Own"))
    assert library.poll() == Changes(added=("mine_own",))
    assert len(library.entries) == count + 1


def test_project_hides_user_hides_factory(user: Path, project: Path) -> None:
    write(user / "a.toml", preset("glass-floor", bars=7))
    write(user / "b.toml", preset("Own Thing", bars=5, more="program = 3"))
    write(project / "a.toml", preset("OWN THING", bars=6))
    library = Library(user, project)
    assert library.problems == ()
    floor = library.find("Glass Floor")
    assert (floor.preset.bars, floor.origin) == (7, Origin.USER)
    assert library.at(0, 0) == floor  # it answers to the place of the one it hides
    own = library.find("own thing")
    assert (own.preset.bars, own.origin, own.bank, own.program) == (6, Origin.PROJECT, 1, 3)
    assert library.at(1, 3) == own
    os.unlink(project / "a.toml")
    assert library.poll() == Changes(changed=("own_thing",))
    assert library.find("own thing").preset.bars == 5


def test_banks_are_those_of_the_folders(user: Path, project: Path) -> None:
    write(user / "a.toml", preset("User Zero", more="program = 0"))
    write(project / "a.toml", preset("Project Zero", more="program = 0"))
    write(project / "b.toml", preset("Far Away", more="program = 0\nbank = 300"))
    library = Library(user, project)
    names = [entry.preset.name for bank in (0, 1, 2, 300) if (entry := library.at(bank, 0))]
    assert names == ["Glass Floor", "User Zero", "Project Zero", "Far Away"]
    assert list(library.entries)[-3:] == ["user_zero", "project_zero", "far_away"]


def test_names_and_programs_are_unique(user: Path) -> None:
    write(user / "a.toml", preset("First One", more="program = 3"))
    write(user / "b.toml", preset("first-one", bars=9))
    write(user / "c.toml", preset("Second One", more="program = 3"))
    library = Library(user, factory=None)
    assert library.problems == (
        "b.toml: the name 'first-one' is that of a.toml already; give it another",
        "c.toml: program 3 of bank 1 is that of 'First One' already; choose another (it is reached by name only)",
    )
    assert library.find("first one").preset.bars == 4
    assert library.find("second one").program is None
    assert library.at(1, 3) == library.find("first one")
    write(user / "c.toml", preset("Second One", more="program = 4"))
    assert library.poll() == Changes(changed=("second_one",))
    assert library.at(1, 4) == library.find("second one")


def test_a_file_that_is_rewritten_while_it_runs(user: Path) -> None:
    path = user / "mine.toml"
    write(path, preset("Mine Own", bars=4))
    library = Library(user)
    assert library.poll() == Changes()
    write(path, preset("Mine Own", bars=8))
    changes = library.poll()
    assert changes == Changes(changed=("mine_own",))
    assert changes
    assert library.find("mine own").preset.bars == 8
    assert not library.poll()


def test_a_broken_file_keeps_its_last_good_version(user: Path) -> None:
    path = user / "mine.toml"
    write(path, preset("Mine Own"))
    write(user / "never.toml", "name = ")
    library = Library(user)
    assert [problem[:28] for problem in library.problems] == ["never.toml is not valid TOML"]
    count = len(library.entries)
    write(path, preset("Mine Own", bars=80))
    sentence = "mine.toml, line 2: bars is 80; input should be less than or equal to 64; its last good version is kept"
    assert library.poll() == Changes(problems=(sentence,))
    assert sentence in library.problems
    assert library.find("mine own").preset.bars == 4
    assert len(library.entries) == count  # the others are there, too
    write(path, preset("Mine Own", bars=16))
    assert library.poll() == Changes(changed=("mine_own",))
    assert library.find("mine own").preset.bars == 16
    assert len(library.problems) == 1


def test_files_come_go_and_are_renamed(user: Path) -> None:
    library = Library(user)
    write(user / "mine.toml", preset("Mine Own"))
    write(user / ".hidden.toml", "nonsense")
    write(user / "notes.txt", "nonsense")
    assert library.poll() == Changes(added=("mine_own",))
    os.rename(user / "mine.toml", user / "yours.toml")
    assert library.poll() == Changes(changed=("mine_own",))  # another path
    write(user / "yours.toml", preset("Your Own"))
    assert library.poll() == Changes(added=("your_own",), removed=("mine_own",))
    os.unlink(user / "yours.toml")
    assert library.poll() == Changes(removed=("your_own",))
    assert library.presets == factory_presets()


def test_an_editor_that_replaces_the_file(user: Path) -> None:
    """Same size, same time stamp: it is another file all the same."""
    path, part = user / "mine.toml", user / "part"
    write(path, preset("Mine Own", bars=4))
    library = Library(user)
    times = path.stat()
    write(part, preset("Mine Own", bars=8))
    os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.replace(part, path)
    assert library.poll() == Changes(changed=("mine_own",))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("glas floor", "preset 'glas floor' is unknown; did you mean 'Glass Floor'?"),
        ("harbr", "preset 'harbr' is unknown; did you mean 'Harbor Lights'?"),
        ("xqzy", "preset 'xqzy' is unknown; see `segue presets list`"),
    ],
)
def test_unknown_presets(name: str, sentence: str) -> None:
    with pytest.raises(NoStyle) as caught:
        Library().find(name)
    assert str(caught.value) == sentence


def test_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SEGUE_PRESETS", raising=False)
    assert user_folder().parts[-2:] == ("segue", "presets")
    monkeypatch.setenv("SEGUE_PRESETS", str(tmp_path))
    assert user_folder() == tmp_path
