"""Marks of takes, and takes on disk that a session takes up."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from engine.take import Take
from engine.take.marks import Marks, write_marks
from tests.bridge.client import prime
from tests.bridge.conftest import StartSession, wait_idle
from tests.session.taking import SECONDS, generate, record, refused, subscribed, until
from tests.take.test_take import grow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A takes folder with two takes of no engine: as the writer's tests grow them."""
    root = tmp_path_factory.mktemp("made")
    for _ in range(2):
        grow(root).finish()
    return root


@pytest.fixture
def shelf(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "shelf"))


def test_marks_are_told_and_on_disk(start_session: StartSession, riff: Path) -> None:
    client = subscribed(start_session(speed=40.0))
    prime(client, riff)
    folder = record(generate(client, 5)).folder
    client.send("/segue/take/rate", 1, 4)
    assert client.wait("/segue/take", 1)[6] == 4
    client.send("/segue/take/1/name", "  Chorus – naïve ")
    assert client.wait("/segue/take", 1)[1] == "Chorus – naïve"
    client.send("/segue/take/keep", "chorus – NAÏVE", 1)
    assert client.wait("/segue/take/keep", 1) == (1, 1)
    client.send("/segue/take/color", "1", "#E0A030")
    assert client.wait("/segue/take/color", 1) == (1, "#e0a030")
    marks = folder / "marks.json"
    until(lambda: marks.is_file() and json.loads(marks.read_text())["color"])
    assert json.loads(marks.read_text()) == {
        "schema_version": 1,
        "name": "Chorus – naïve",
        "rating": 4,
        "color": "#e0a030",
        "kept": True,
    }
    client.send("/segue/take/name", 1, "")
    assert client.wait("/segue/take", 1, "A01")


@pytest.mark.parametrize(
    ("address", "values", "code", "slug", "message"),
    [
        (
            "/segue/take/name",
            (1, "B\nside"),
            422,
            "out_of_range",
            "a name is one line without spaces around it",
        ),
        (
            "/segue/take/name",
            (1, "17"),
            422,
            "out_of_range",
            "the name '17' would be taken for a number or a tag; begin it with a letter",
        ),
        (
            "/segue/take/name",
            (1, "a02"),
            422,
            "out_of_range",
            "the name 'a02' is that of take 2 already; give another one",
        ),
        (
            "/segue/take/color",
            (1, "red"),
            422,
            "out_of_range",
            "the colour is 'red'; write it as #rrggbb, such as #e0a030, or as nothing",
        ),
        (
            "/segue/take/rate",
            (1, 6),
            422,
            "out_of_range",
            "/segue/take/rate: argument 2 (rating) must be a whole number from 0 to 5, not 6",
        ),
        ("/segue/take/rate", ("B7", 1), 404, "no_take", "there is no take 'B7'; the takes are A01 to A02"),
        ("/segue/take/delete", (3,), 404, "no_take", "there is no take '3'; the takes are A01 to A02"),
        ("/segue/take/recall", ("x",), 404, "no_take", "there is no take 'x'; the takes are A01 to A02"),
    ],
)
def test_marks_that_cannot_be(
    start_session: StartSession,
    shelf: Path,
    address: str,
    values: tuple[object, ...],
    code: int,
    slug: str,
    message: str,
) -> None:
    client = subscribed(start_session(setup={"takes": shelf}))
    until(lambda: client.ask("/segue/takes", reply="/segue/takes.end") == (2,))
    assert refused(client, address, *values) == (code, slug, message)


def test_a_long_name_is_refused_with_its_limit(start_session: StartSession, shelf: Path) -> None:
    client = subscribed(start_session(setup={"takes": shelf}))
    until(lambda: client.ask("/segue/takes", reply="/segue/takes.end") == (2,))
    code, slug, message = refused(client, "/segue/take/name", 1, "n" * 81)
    assert (code, slug) == (422, "out_of_range")
    assert message == f"the name is '{'n' * 40}'; string should have at most 80 characters"


def test_without_takes(start_session: StartSession) -> None:
    client = subscribed(start_session())
    assert client.ask("/segue/takes", reply="/segue/takes.end") == (0,)
    assert client.ask("/segue/take/current") == (0,)
    assert refused(client, "/segue/take/next")[2] == "none has been made yet; generate one first"
    assert refused(client, "/segue/continue", 1)[2] == "there is no take '1'; none has been made yet"


# -- from disk -----------------------------------------------------------------------------------------------------


def test_takes_on_disk_are_taken_up_and_what_is_broken_is_told(
    start_session: StartSession, shelf: Path, riff: Path
) -> None:
    first, second = sorted(shelf.glob("2*"))
    write_marks(first, Marks(name="Verse", rating=3, kept=True))
    (shelf / "captures").mkdir()
    (shelf / "notes.txt").write_text("mine")
    broken = shelf / "2020-01-01_000000_A01"
    broken.mkdir()
    (broken / "take.json").write_text("{")
    running = start_session(setup={"takes": shelf}, load_seconds=0.5, speed=40.0)
    client = running.client()
    client.send("/segue/notify", 1)
    sentence = str(client.wait("/segue/error")[0])
    assert sentence.startswith(
        f"the take in '{broken}' is left out: take.json in '{broken}' is broken at its start"
    )
    until(lambda: client.ask("/segue/takes", reply="/segue/takes.end") == (2,))
    wait_idle(client)
    client.send("/segue/takes")
    client.wait("/segue/takes.end")
    items = {v[0]: v for a, v in client.heard if a == "/segue/takes.item"}
    assert items[1][:2] == (1, "Verse") and items[1][6] == 3
    assert items[2][8] == str(second / "continuation.wav")
    assert ("/segue/take/keep", (1, 1)) in client.heard
    prime(client, riff)
    client.send("/segue/generate", SECONDS)
    assert client.wait("/segue/take", 3)[1] == "A03"
    assert not (broken / "marks.json").exists() and (shelf / "notes.txt").read_text() == "mine"


def test_broken_marks_cost_the_marks_only(start_session: StartSession, shelf: Path) -> None:
    folder = min(shelf.glob("2*"))
    (folder / "marks.json").write_text('{"rating": 9}')
    running = start_session(setup={"takes": shelf}, load_seconds=0.5)
    client = running.client()
    client.send("/segue/notify", 1)
    assert client.wait("/segue/error")[0] == (
        f"'{folder / 'marks.json'}' holds no marks of a take; its name, rating and colour are left out, and the next "
        "mark replaces the file"
    )
    until(lambda: client.ask("/segue/takes", reply="/segue/takes.end") == (2,))


def test_a_take_that_was_interrupted_is_a_partial_one(start_session: StartSession, shelf: Path) -> None:
    writer = grow(shelf, stop_after=30)
    writer.close()
    client = subscribed(start_session(setup={"takes": shelf}))
    until(lambda: client.ask("/segue/takes", reply="/segue/takes.end") == (3,))
    client.send("/segue/takes", 2)
    client.wait("/segue/takes.end")
    (item,) = [v for a, v in client.heard if a == "/segue/takes.item" and v[0] == 3][-1:]
    assert item[7] == "partial" and Take.load(writer.folder).info.state == "partial"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_take_that_may_not_be_moved_stays(start_session: StartSession, shelf: Path) -> None:
    client = subscribed(start_session(setup={"takes": shelf}))
    until(lambda: client.ask("/segue/takes", reply="/segue/takes.end") == (2,))
    shelf.chmod(0o555)
    try:
        client.send("/segue/take/delete", 1)
        assert "may not be written; choose a folder that you may write to" in str(
            client.wait("/segue/error")[0]
        )
        assert client.wait("/segue/take", 1)
    finally:
        shelf.chmod(0o755)


def test_a_file_in_the_way_of_the_trash_leaves_the_take(start_session: StartSession, shelf: Path) -> None:
    client = subscribed(start_session(setup={"takes": shelf}))
    until(lambda: client.ask("/segue/takes", reply="/segue/takes.end") == (2,))
    (shelf / ".trash").write_text("not a folder")
    client.drain()
    client.send("/segue/take/delete", 1)
    assert client.wait("/segue/take/removed") == (1,)
    assert "cannot be written because its folder is missing or is a file" in str(
        client.wait("/segue/error")[0]
    )
    assert client.wait("/segue/take", 1)[1] == "A01" and len(list(shelf.glob("2*"))) == 2
