"""Takes in a session, over a real socket: listed, gone on with, selected, thrown away and recalled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.request import Fidelity, Mode
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import RunningSession, StartSession
from tests.session.taking import SECONDS, generate, record, refused, subscribed, take_told, until


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
    again = generated(client)
    recipe, same = record(first).info.head.request, record(again).info.head.request
    assert same == recipe.model_copy(update={"prime": same.prime})
    assert record(again).wav.read_bytes() == record(first).wav.read_bytes()
    assert client.ask("/segue/undo", reply="/segue/done") == ("/segue/undo", "recall A01")
    assert client.ask("/segue/style")[0] == "lofi"
    assert client.ask("/segue/param/temperature") == (1.5,)
    assert refused(client, "/segue/generate")[1] == "no_prime"


def generated(client: OscClient) -> tuple[object, ...]:
    client.send("/segue/generate")
    _, job = client.wait("/segue/done", "/segue/generate")[:2]
    client.wait("/segue/job", job, "done")
    return take_told(client)


def test_a_take_is_the_prime(client: OscClient) -> None:
    first = generate(client, 5)
    client.send("/segue/prime/take", 1)
    assert client.wait("/segue/done", "/segue/prime/take") == (
        "/segue/prime/take",
        "P2",
        pytest.approx(SECONDS, abs=1e-4),
        44_100,
    )
    assert client.wait("/segue/prime", "P2")[3] == "A01"
    whole = record(generate(client, 6)).info.head.request
    assert (whole.mode, whole.parents[0].frames) == (Mode.CONTINUE, None)
    client.send("/segue/prime/take/A01", 0.25)
    assert client.wait("/segue/done", "/segue/prime/take")[2] == pytest.approx(0.25)
    told = generate(client, 7)
    (parent,) = record(told).info.head.request.parents
    assert (told[2], parent.folder, parent.frames) == ("A01", str(record(first).folder), 11_025)
    assert refused(client, "/segue/prime/take", 1, 9.0)[2] == (
        "the take A01 can be continued from 0 to 0.60 s of it, not from 9.00 s"
    )
    assert refused(client, "/segue/prime/take", 7)[1] == "no_take"


def test_a_take_that_continued_another_is_recalled_to_the_sample(client: OscClient) -> None:
    generate(client, 5)
    child = generate(client, 8, 1, SECONDS, 0.3, ask="/segue/continue")
    client.send("/segue/take/recall/2")
    client.wait("/segue/done", "/segue/take/recall")
    again = record(generated(client))
    assert again.info.head.request == record(child).info.head.request
    assert again.wav.read_bytes() == record(child).wav.read_bytes()
