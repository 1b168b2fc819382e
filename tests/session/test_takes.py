"""Takes in a session, over a real socket: listed, marked, gone on with, thrown away and recalled."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.request import Fidelity, Mode
from engine.take import Take
from engine.take.marks import Marks, write_marks
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import RunningSession, StartSession, riff, wait_idle

__all__ = ["riff"]

SECONDS = 0.6


def until(test: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.01)


def subscribed(running: RunningSession) -> OscClient:
    client = running.client()
    wait_idle(client)
    client.send("/segue/notify", 1)
    client.wait("/segue/done", "/segue/notify")
    return client


@pytest.fixture
def running(start_session: StartSession) -> RunningSession:
    return start_session(speed=40.0)


@pytest.fixture
def client(running: RunningSession, riff: Path) -> Iterator[OscClient]:
    """A subscriber of a session with a prime."""
    client = subscribed(running)
    prime(client, riff)
    yield client
    client.close()


def generate(client: OscClient, seed: int, *more: object, ask: str = "/segue/generate") -> tuple[object, ...]:
    """A take with this seed, by whichever verb; returns what /segue/take said."""
    client.send("/segue/param/seed", seed)
    client.wait("/segue/param/seed", seed)
    client.send(ask, *(more or (SECONDS,)))
    _, job = client.wait("/segue/done", ask)[:2]
    client.wait("/segue/job", job, "done")
    client.wait("/segue/sounding", job, "end")
    return take_told(client)


def take_told(client: OscClient) -> tuple[object, ...]:
    """The last /segue/take that was heard."""
    told = [values for address, values in client.heard if address == "/segue/take"]
    client.heard = [entry for entry in client.heard if entry[0] != "/segue/take"]
    assert told
    return told[-1]


def record(told: tuple[object, ...]) -> Take:
    return Take.load(Path(str(told[8])).parent)


def refused(client: OscClient, address: str, *values: object) -> tuple[object, ...]:
    """(code, slug, message)"""
    return client.ask(address, *values, reply="/segue/fail")[1:4]


def test_takes_are_numbered_named_and_listed_in_pages(client: OscClient) -> None:
    for seed in (5, 6, 7):
        told = generate(client, seed)
    assert told[:7] == (3, "A03", "", pytest.approx(SECONDS, abs=1e-4), 0.0, 7, 0)
    assert told[7] == "done" and Path(str(told[8])).is_file()
    client.drain()
    client.send("/segue/takes", 1, 1)
    assert client.wait("/segue/takes.end") == (3,)
    items = [values for address, values in client.heard if address == "/segue/takes.item"]
    assert [item[:2] for item in items] == [(2, "A02")]
    client.send("/segue/takes")
    client.wait("/segue/takes.end")
    assert [v[0] for a, v in client.drain() if a == "/segue/takes.item"][1:] == [1, 2, 3]


def test_a_take_is_continued_from_its_end_or_from_within(client: OscClient) -> None:
    first = generate(client, 5)
    child = generate(client, 8, 1, SECONDS, ask="/segue/continue")
    assert child[:3] == (2, "A02", "A01") and child[5] == 8
    head = record(child).info.head
    assert head.request.mode is Mode.CONTINUE and head.parent == record(first).folder.name
    assert head.prime_frames == record(first).info.head.prime_frames + record(first).info.frames
    cut = generate(client, 9, "A01", SECONDS, 0.25, ask="/segue/continue")
    (parent,) = record(cut).info.head.request.parents
    assert (cut[2], parent.frames) == ("A01", 11_025)
    client.send("/segue/continue/2", SECONDS)  # the id in the path
    client.wait("/segue/done", "/segue/continue")
    assert client.wait("/segue/take", 4)[2] == "A02"
    assert refused(client, "/segue/continue", 1, SECONDS, 2.0) == (
        422,
        "out_of_range",
        "the take A01 can be continued from 0 to 0.60 s of it, not from 2.00 s",
    )
    assert refused(client, "/segue/continue", 9) == (
        404,
        "no_take",
        "there is no take '9'; the takes are A01 to A04",
    )


def test_a_retry_has_the_same_recipe_and_needs_the_source_no_more(client: OscClient, riff: Path) -> None:
    client.send("/segue/param/temperature", 0.5)
    first = generate(client, 5)
    client.send("/segue/param/temperature", 1.5)
    riff.unlink()
    other = generate(client, 1, 1, 123, ask="/segue/retry")
    same = generate(client, 1, 1, 5, ask="/segue/retry")
    assert other[5] == 123 and other[2] == ""
    recipe, again = record(first).info.head.request, record(same).info.head.request
    assert again == recipe.model_copy(update={"prime": again.prime}) and again.prime is not None
    assert record(same).wav.read_bytes() == record(first).wav.read_bytes()
    assert record(other).wav.read_bytes() != record(first).wav.read_bytes()


def test_a_draft_is_upsampled_and_a_full_take_is_not(client: OscClient) -> None:
    client.send("/segue/param/fidelity", "draft")
    draft = generate(client, 5)
    fine = generate(client, 1, 1, 1, ask="/segue/upsample")
    full = generate(client, 1, 2, ask="/segue/upsample")
    assert (fine[2], full[2]) == ("A01", "A02")
    assert record(full).info.head.request.fidelity is Fidelity.FULL
    assert (record(full).codes()[2] == record(draft).codes()[2]).all()
    assert refused(client, "/segue/upsample", 3) == (
        409,
        "no_codes",
        "the take A03 is full already; it is as fine as takes get",
    )
    assert refused(client, "/segue/upsample", 2, 1) == (
        409,
        "no_codes",
        "the take A02 is fine already; choose a finer level",
    )


def test_what_was_made_of_a_cancelled_job_is_kept_and_gone_on_with(
    start_session: StartSession, riff: Path
) -> None:
    client = subscribed(start_session(speed=2.0))
    prime(client, riff)
    client.send("/segue/param/seed", 5)
    client.send("/segue/generate", 20.0)
    until(lambda: client.ask("/segue/status", reply="/segue/status.reply")[5] > 0.05)
    client.send("/segue/cancel/keep")
    partial = client.wait("/segue/take", 1)
    assert partial[7] == "partial" and 0 < partial[3] < 20.0
    client.wait("/segue/job", "J1", "cancelled")
    take = record(partial)
    assert take.info.state == "partial" and take.info.held >= take.info.frames > 0
    client.send("/segue/continue", 1, SECONDS)
    client.wait("/segue/done", "/segue/continue")
    child = client.wait("/segue/take", 2)
    assert (child[2], child[7]) == ("A01", "done")
    assert record(child).info.head.prime_frames == take.info.head.prime_frames + take.info.frames


def test_a_cancel_without_keep_leaves_nothing(start_session: StartSession, riff: Path) -> None:
    running = start_session(speed=2.0)
    client = subscribed(running)
    prime(client, riff)
    client.send("/segue/generate", 20.0)
    until(lambda: client.ask("/segue/status", reply="/segue/status.reply")[5] > 0.02)
    client.send("/segue/cancel")
    client.wait("/segue/job", "J1", "cancelled")
    assert not [folder for folder in running.session.takes.iterdir() if folder.is_dir()]
    assert refused(client, "/segue/cancel/keep") == (404, "no_job", "no job is queued or running")


# -- marks ---------------------------------------------------------------------------------------------------------


def test_marks_are_told_and_on_disk(client: OscClient) -> None:
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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A takes folder with two takes of no engine: as the writer's tests grow them."""
    from tests.take.test_take import grow

    root = tmp_path_factory.mktemp("made")
    for _ in range(2):
        grow(root).finish()
    return root


@pytest.fixture
def shelf(made: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(made, tmp_path / "shelf"))


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
    first, second = sorted(shelf.iterdir())
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
    folder = min(shelf.iterdir())
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
    from tests.take.test_take import grow

    writer = grow(shelf, stop_after=30)
    writer.close()
    client = subscribed(start_session(setup={"takes": shelf}))
    until(lambda: client.ask("/segue/takes", reply="/segue/takes.end") == (3,))
    client.send("/segue/takes", 2)
    client.wait("/segue/takes.end")
    (item,) = [v for a, v in client.heard if a == "/segue/takes.item" and v[0] == 3][-1:]
    assert item[7] == "partial" and Take.load(writer.folder).info.state == "partial"


# -- selecting and deleting ----------------------------------------------------------------------------------------


def test_the_current_take_is_the_last_made_or_selected(client: OscClient) -> None:
    for seed in (5, 6, 7):
        generate(client, seed)
    assert client.ask("/segue/take/current") == (3,)
    assert client.ask("/segue/take/prev", reply="/segue/done") == ("/segue/take/prev", 2)
    assert client.ask("/segue/take/current", "A01") == (1,)
    assert client.ask("/segue/take/prev", reply="/segue/done") == ("/segue/take/prev", 1)
    assert client.ask("/segue/take/next", reply="/segue/done") == ("/segue/take/next", 2)
    assert client.ask("/segue/take/current") == (2,)


def test_a_deleted_take_comes_back(running: RunningSession, client: OscClient) -> None:
    for seed in (5, 6):
        told = generate(client, seed)
    folder = record(told).folder
    client.send("/segue/take/2/delete")
    assert client.wait("/segue/take/removed") == (2,)
    client.wait("/segue/done", "/segue/take/delete")
    assert client.wait("/segue/take/current", 1)
    until(lambda: (folder.parent / ".trash" / folder.name / "take.json").is_file())
    assert not folder.exists()
    assert refused(client, "/segue/take/rate", 2, 1)[1] == "no_take"
    assert client.ask("/segue/undo", reply="/segue/done") == ("/segue/undo", "delete A02")
    assert client.wait("/segue/take", 2) == told
    until(folder.is_dir)
    assert record(told).info.state == "complete"
    client.send("/segue/redo")
    assert client.wait("/segue/take/removed") == (2,)
    until(lambda: not folder.exists())


def test_a_take_whose_folder_has_gone_cannot_be_thrown_away(
    running: RunningSession, client: OscClient
) -> None:
    folder = record(generate(client, 5)).folder
    away = folder.rename(folder.parent / ".elsewhere")
    client.send("/segue/take/delete", 1)
    assert client.wait("/segue/error")[0] == (
        f"'{folder}' is not there any more; somebody has moved or removed it"
    )
    assert away.is_dir()


# -- recall --------------------------------------------------------------------------------------------------------


def test_recall_sets_what_made_a_take_and_undo_takes_it_back(client: OscClient, riff: Path) -> None:
    for address, value in (("temperature", 0.5), ("top_k", 40), ("fidelity", "fine"), ("overlap", 0.6)):
        client.ask(f"/segue/param/{address}", value)
    client.ask("/segue/style", "house:0.7+lofi:0.3")
    client.ask("/segue/lyrics", "one\ntwo")
    first = generate(client, 5)
    for address, value in (("temperature", 1.5), ("top_p", 0.9), ("fidelity", "draft"), ("overlap", 0.8)):
        client.ask(f"/segue/param/{address}", value)
    client.ask("/segue/style", "lofi")
    client.ask("/segue/lyrics/clear", reply="/segue/lyrics")
    client.ask("/segue/prime/clear", reply="/segue/done")
    client.drain()
    client.send("/segue/take/recall", 1)
    client.wait("/segue/done", "/segue/take/recall")
    client.wait("/segue/prime")
    told = dict(client.drain(0.3)) | dict(client.heard)
    assert told["/segue/style"][0] == "house:0.7+lofi:0.3" and told["/segue/lyrics"] == ("one\ntwo",)
    assert told["/segue/param/temperature"] == (0.5,) and told["/segue/param/top_k"] == (40,)
    assert told["/segue/param/overlap"] == (pytest.approx(0.6),)
    assert client.ask("/segue/param/seed") == (5,)
    again = _again(client)
    recipe, same = record(first).info.head.request, record(again).info.head.request
    assert same == recipe.model_copy(update={"prime": same.prime})
    assert record(again).wav.read_bytes() == record(first).wav.read_bytes()
    assert client.ask("/segue/undo", reply="/segue/done") == ("/segue/undo", "recall A01")
    assert client.ask("/segue/style")[0] == "lofi"
    assert client.ask("/segue/param/temperature") == (1.5,)
    assert refused(client, "/segue/generate")[1] == "no_prime"


def _again(client: OscClient) -> tuple[object, ...]:
    client.send("/segue/generate")
    _, job = client.wait("/segue/done", "/segue/generate")[:2]
    client.wait("/segue/job", job, "done")
    return take_told(client)


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
