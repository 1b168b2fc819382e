"""A session and the command line on one takes folder: each sees what the other does, and nothing is overwritten."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.shelf.changing import change_marks
from engine.shelf.index import Index
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import StartSession
from tests.session.taking import generate, record, refused, subscribed, until
from tests.shelf.shelves import DAY, lines, many
from tests.take.test_take import grow

CLI = [sys.executable, "-c", "from bridge.cli import main; main()", "takes"]


def takes(root: Path, *arguments: object) -> None:
    """``segue takes`` in a process of its own."""
    command = [*CLI, *(str(argument) for argument in arguments), "--root", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def root(tmp_path: Path) -> Path:
    many(tmp_path / "shelf", 5)
    return tmp_path / "shelf"


def opened(start_session: StartSession, root: Path, count: int = 5) -> OscClient:
    client = subscribed(start_session(setup={"takes": root}, speed=40.0))
    until(lambda: client.ask("/segue/takes", reply="/segue/takes.end") == (count,))
    client.drain()
    client.heard.clear()
    return client


def marks(root: Path, number: int) -> dict[str, object]:
    return json.loads((root / f"{DAY}_{number:06d}_A{number:02d}" / "marks.json").read_text())


def test_marks_from_the_command_line_are_noticed_and_not_overwritten(
    start_session: StartSession, root: Path
) -> None:
    client = opened(start_session, root)
    takes(root, "name", 2, "Strophe é")
    assert client.wait("/segue/take", 2, timeout=20)[1] == "Strophe é"
    takes(root, "keep", 2)
    client.send("/segue/take/rate", 2, 4)  # whether or not it has been noticed yet
    assert client.wait("/segue/take/keep", 2, timeout=20) == (2, 1)
    until(lambda: marks(root, 2)["rating"] == 4)
    assert marks(root, 2) == {
        "schema_version": 1,
        "name": "Strophe é",
        "rating": 4,
        "color": "",
        "kept": True,
    }
    assert refused(client, "/segue/take/name", 3, "strophe É")[2] == (
        "the name 'strophe É' is that of take 2 already; give another one"
    )


def test_trash_restore_and_undo_go_both_ways(start_session: StartSession, root: Path) -> None:
    client = opened(start_session, root)
    takes(root, "trash", 3)
    assert client.wait("/segue/take/removed", timeout=20) == (3,)
    assert refused(client, "/segue/take/rate", 3, 1)[2] == "there is no take '3'; the takes are A01 to A05"
    takes(root, "undo")
    assert client.wait("/segue/take", 3, timeout=20)[1] == "A03"
    client.send("/segue/take/delete", 4)
    client.wait("/segue/take/removed", 4)
    until(lambda: lines(root)[-1]["do"] == "trash")
    takes(root, "restore", 4)
    assert client.wait("/segue/take", 4, timeout=20)[1] == "A04"
    client.send("/segue/take/rate", 5, 2)
    until(lambda: lines(root)[-1].get("marks") == {"rating": 2})
    takes(root, "undo")  # what the session did
    until(lambda: marks(root, 5)["rating"] == 0)
    until(lambda: client.ask("/segue/history")[0] >= 1)
    client.send("/segue/take/rate", 5, 3)
    until(lambda: marks(root, 5)["rating"] == 3)
    client.send("/segue/undo")
    until(lambda: marks(root, 5)["rating"] == 0)
    until(lambda: lines(root)[-1]["undoes"] and lines(root)[-1]["marks"] == {"rating": 0})


def test_undo_brings_back_what_another_process_had_set(start_session: StartSession, root: Path) -> None:
    client = opened(start_session, root)
    folder = f"{DAY}_{5:06d}_A05"
    change_marks(Index(root), folder, rating=4)
    client.send("/segue/take/rate", 5, 1)  # (most often before the other's four is noticed)
    until(lambda: lines(root)[-1].get("marks") == {"rating": 1})
    client.send("/segue/undo")
    until(lambda: marks(root, 5)["rating"] == 4)
    client.send("/segue/redo")
    until(lambda: marks(root, 5)["rating"] == 1)
    client.drain()
    client.heard.clear()
    client.send("/segue/undo")
    until(lambda: marks(root, 5)["rating"] == 4)
    until(lambda: client.wait("/segue/take", 5)[6] == 4)


def test_takes_made_by_others_get_their_numbers(start_session: StartSession, root: Path, riff: Path) -> None:
    client = opened(start_session, root)
    made = grow(root).finish()  # by this process, as the command line does
    told = client.wait("/segue/take", 6, timeout=20)
    assert told[1] == "A06" and Path(str(told[8])).parent == made.folder
    prime(client, riff)
    client.heard.clear()
    own = generate(client, 5)
    assert own[0] == 7 and record(own).folder.name.endswith("_A07")
    until(lambda: lines(root)[-1]["folder"] == record(own).folder.name)
    assert lines(root)[-1]["number"] == 7
    shutil.rmtree(made.folder)
    client.send("/segue/take/recall", 6)
    assert refused(client, "/segue/take/recall", 6)[1] == "no_file"


def test_more_takes_than_anybody_lists_are_all_there(start_session: StartSession, tmp_path: Path) -> None:
    many(tmp_path / "lot", 1_200)
    client = opened(start_session, tmp_path / "lot", 1_200)
    client.send("/segue/takes", 1_190, 20)
    assert client.wait("/segue/takes.end") == (1_200,)
    items = [values[0] for address, values in client.heard if address == "/segue/takes.item"]
    assert items == [*range(1_191, 1_201)]
    client.send("/segue/take/rate", 3, 5)
    until(lambda: (tmp_path / "lot" / f"{DAY}_000003_A03" / "marks.json").is_file())
