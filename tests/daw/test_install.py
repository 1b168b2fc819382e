"""`segue daw install`: the scripts where DAWs look for them, and nothing replaced unasked."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli import segue
from bridge.daw.install import SOURCES, usual_folder
from bridge.daw.places import mail_folder
from tests.bridge.client import OscClient
from tests.bridge.conftest import RunningSession


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name in ("XDG_CONFIG_HOME", "SEGUE_DAW"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def ran(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(segue, ["daw", *words])
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("daw", "folder", "files"),
    [
        (
            "reaper",
            ".config/REAPER/Scripts/Segue",
            [
                "Segue extend selected item as takes.lua",
                "Segue extend selected item.lua",
                "Segue insert takes.lua",
                "segue_lib.lua",
            ],
        ),
        ("ardour", ".config/ardour7/scripts", ["segue_extend.lua", "segue_takes.lua"]),
        (
            "live",
            "Music/Ableton/User Library/Remote Scripts/Segue",
            ["__init__.py", "clips.py", "script.py", "wire.py"],
        ),
    ],
)
def test_the_scripts_are_put_in_place(
    daw: str, folder: str, files: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    (home / ".config" / "ardour7").mkdir(parents=True)
    code, told = ran("install", daw, "--show")
    assert code == 0 and all(str(home / folder / name) in told for name in files)
    assert not (home / folder).exists()
    code, told = ran("install", daw)
    assert code == 0, told
    assert told.count("written: ") == len(files) and "Now in " in told
    assert sorted(os.listdir(home / folder)) == files
    if daw != "live":
        assert (home / ".segue" / "daw" / daw / "to_segue").is_dir()
        assert mail_folder() == home / ".segue" / "daw"
    code, told = ran("install", daw)
    assert code == 0 and told.count("there already: ") == len(files) and "written" not in told


def test_a_script_that_was_changed_is_not_replaced_unasked(tmp_path: Path) -> None:
    target = tmp_path / "mine"
    assert ran("install", "reaper", "--to", str(target))[0] == 0
    changed = target / "segue_lib.lua"
    changed.write_text("-- mine")
    (target / "Segue insert takes.lua").unlink()
    code, told = ran("install", "reaper", "--to", str(target))
    assert code == 2
    assert told == (
        f"segue: '{changed}' is there and differs from Segue's; --force replaces it, and keeps what was there "
        "as 'segue_lib.lua.before'\n"
    )
    assert changed.read_text() == "-- mine" and not (target / "Segue insert takes.lua").exists()
    assert ran("install", "reaper", "--to", str(target), "--force")[0] == 0
    assert changed.read_text() == (SOURCES / "reaper" / "segue_lib.lua").read_text()
    assert (target / "segue_lib.lua.before").read_text() == "-- mine"


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(stat.S_IRUSR | stat.S_IXUSR)
    code, told = ran("install", "reaper", "--to", str(tmp_path / "closed" / "x"))
    assert code == 2 and "may not be written; choose a folder that you may write to" in told


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    code, told = ran("install", "reaper", "--to", str(tmp_path / "file" / "x"))
    assert code == 2 and "its folder is missing or is a file" in told


@pytest.mark.parametrize(
    ("platform", "part"), [("darwin", "Library/Application Support/REAPER"), ("win32", "REAPER")]
)
def test_each_system_has_its_own_place(platform: str, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv("APPDATA", "/appdata")
    assert part in usual_folder("reaper").as_posix()
    assert usual_folder("live").name == "Remote Scripts"


def test_commands_reach_a_running_session(client: OscClient, session: RunningSession) -> None:
    port = str(session.port)
    assert ran("list", "--port", port) == (
        0,
        "no DAW's script is there; segue daw install puts one in place\n",
    )
    live = session.client()
    live.send("/segue/daw/here", "live", "12")
    live.wait("/segue/done", "/segue/daw/here")
    assert ran("list", "--port", port) == (0, "live 12\n")
    assert ran("extend", "--port", port, "live") == (0, "live was asked for what is selected in it\n")
    assert live.wait("/segue/daw/grabbing") == (1,)
    code, told = ran("send", "--port", port, "7", "live")
    assert code == 2 and told.startswith("segue: there is no take '7'")
