"""Undo and redo over a real socket, and the arithmetic of steps."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.session.history import MOST_STEPS, History, NothingToUndo
from bridge.session.properties import Properties
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import StartSession
from tests.often import often
from tests.session.taking import refused, subscribed, until


@pytest.fixture
def client(start_session: StartSession) -> Iterator[OscClient]:
    client = subscribed(start_session(speed=40.0))
    client.drain()
    yield client
    client.close()


def undone(client: OscClient, verb: str = "/segue/undo") -> str:
    return str(client.ask(verb, reply="/segue/done")[1])


def test_choices_are_taken_back_one_by_one_and_told(client: OscClient) -> None:
    client.ask("/segue/param/temperature", 0.5)
    client.ask("/segue/style", "lofi")
    client.ask("/segue/lyrics", "la la")
    assert client.ask("/segue/history") == (3, 0, "lyrics")
    client.drain()
    assert undone(client) == "lyrics"
    assert client.wait("/segue/lyrics") == ("",) and client.wait("/segue/history") == (2, 1, "style")
    assert undone(client) == "style"
    assert client.wait("/segue/style") == ("unknown", 0)
    assert undone(client) == "temperature"
    assert client.wait("/segue/param/temperature")[0] == pytest.approx(0.98)
    assert client.ask("/segue/history") == (0, 3, "")
    assert [undone(client, "/segue/redo") for _ in range(3)] == ["temperature", "style", "lyrics"]
    assert client.ask("/segue/style")[0] == "lofi" and client.ask("/segue/lyrics") == ("la la",)


def test_there_is_nothing_to_undo_or_redo(client: OscClient) -> None:
    assert refused(client, "/segue/undo") == (
        409,
        "nothing_to_undo",
        "there is nothing to undo; what was changed since the start is undone already",
    )
    assert refused(client, "/segue/redo") == (
        409,
        "nothing_to_undo",
        "there is nothing to redo; only what was undone just before can be done again",
    )


def test_a_knob_that_is_turned_is_one_step(client: OscClient) -> None:
    for value in range(20):
        client.send("/segue/param/temperature", 0.5 + value / 20)
    client.wait("/segue/param/temperature", pytest.approx(1.45))
    client.send("/segue/param/top_k", 30)
    client.wait("/segue/param/top_k", 30)
    assert client.ask("/segue/history") == (2, 0, "top_k")
    undone(client)
    undone(client)
    assert client.ask("/segue/param/temperature")[0] == pytest.approx(0.98)
    undone(client, "/segue/redo")
    assert client.ask("/segue/param/temperature")[0] == pytest.approx(1.45)


def test_a_new_step_ends_what_could_be_redone(client: OscClient) -> None:
    client.ask("/segue/param/temperature", 0.5)
    undone(client)
    client.ask("/segue/param/top_k", 9)
    assert client.ask("/segue/history") == (1, 0, "top_k")
    assert refused(client, "/segue/redo")[1] == "nothing_to_undo"


def test_a_preset_is_one_step_and_the_seed_of_a_job_is_none(client: OscClient, riff: Path) -> None:
    before = client.ask("/segue/param/bars"), client.ask("/segue/param/temperature")
    name = client.ask("/segue/style", "cedar_dub")[0]
    assert client.ask("/segue/history") == (1, 0, "style")
    prime(client, riff)
    client.send("/segue/generate", 0.3)
    client.wait("/segue/job", "J1", "done")
    assert client.ask("/segue/history") == (1, 0, "style")
    seed = client.ask("/segue/param/seed")
    assert undone(client) == "style" and name
    assert (client.ask("/segue/param/bars"), client.ask("/segue/param/temperature")) == before
    assert client.ask("/segue/style") == ("unknown", 0)
    assert client.ask("/segue/param/seed") == seed  # the preset has none of its own


def test_what_was_set_before_stays_when_something_else_is_undone(client: OscClient) -> None:
    """A step knows what it changed, not how everything was."""
    client.ask("/segue/param/seed_lock", 0)
    client.ask("/segue/param/top_k", 7)
    client.ask("/segue/take/rate", 1, 5, reply="/segue/fail")
    client.ask("/segue/param/bars", 2)
    assert undone(client) == "bars"
    assert client.ask("/segue/param/top_k") == (7,)


class Silent:
    """Notices that nobody hears."""

    def publish(self, *values: object, **more: object) -> None:
        pass


def steps(now: list[float]) -> tuple[History, list[int]]:
    value = [0]
    history = History(Properties(Silent()), lambda: now[0])  # type: ignore[arg-type]
    return history, value


def put(history: History, value: list[int], new: int, kind: str = "") -> None:
    old = value[0]
    value[0] = new
    history.add(f"to {new}", lambda: value.__setitem__(0, old), lambda: value.__setitem__(0, new), kind=kind)


def test_the_last_two_hundred_steps_are_kept() -> None:
    history, value = steps([0.0])
    for new in range(1, 251):
        put(history, value, new)
    assert history.counts() == (MOST_STEPS, 0, "to 250")
    for _ in range(MOST_STEPS):
        history.undo()
    assert value == [50] and history.counts()[:2] == (0, MOST_STEPS)
    with pytest.raises(NothingToUndo):
        history.undo()
    for _ in range(MOST_STEPS):
        history.redo()
    assert value == [250]


def test_a_pause_begins_a_new_step() -> None:
    now = [0.0]
    history, value = steps(now)
    for new, at in ((1, 0.0), (2, 0.9), (3, 1.8), (4, 2.9)):
        now[0] = at
        put(history, value, new, kind="knob")
    assert history.counts() == (2, 0, "to 4")
    history.undo()
    assert value == [3]
    history.undo()
    assert value == [0]


Listing = dict[int, tuple[object, ...]]


def listing(client: OscClient) -> Listing:
    client.drain(0.02)
    client.send("/segue/takes", 0, 250)
    client.wait("/segue/takes.end")
    return {int(v[0]): v[1:] for address, v in client.heard if address == "/segue/takes.item"}


@pytest.mark.parametrize("seed", often(tuple(range(4)), but=(2, 3)))
def test_any_row_of_marks_and_deletes_can_be_undone_and_redone(
    start_session: StartSession, tmp_path: Path, seed: int
) -> None:
    """A hundred random changes of five takes; back to the beginning, forth to the end; a new session agrees."""
    from tests.take.test_take import grow

    dice = random.Random(seed)
    shelf = tmp_path / "shelf"
    for _ in range(5):
        grow(shelf).finish()
    running = start_session(setup={"takes": shelf})
    client = subscribed(running)
    until(lambda: client.ask("/segue/takes", reply="/segue/takes.end") == (5,))
    begin = listing(client)
    for number in range(100):
        change = dice.choice(("rate", "keep", "name", "color", "delete", "undo", "redo"))
        take = dice.randint(1, 5)
        values: dict[str, tuple[object, ...]] = {
            "rate": (take, dice.randint(0, 5)),
            "keep": (take, dice.randint(0, 1)),
            "name": (take, f"n{number}"),
            "color": (take, f"#{dice.randint(0, 0xFFFFFF):06x}"),
            "delete": (take,),
            "undo": (),
            "redo": (),
        }
        where = "/segue/" if change in ("undo", "redo") else "/segue/take/"
        client.send(where + change, *values[change])
        if change == "delete" and dice.random() < 0.7:
            client.send("/segue/undo")
    client.ask("/segue/sync", 1, reply="/segue/synced")
    end, (steps, _, _) = listing(client), client.ask("/segue/history")
    assert steps > 10
    for _ in range(steps):
        undone(client)
    assert listing(client) == begin
    for _ in range(steps):
        undone(client, "/segue/redo")
    assert listing(client) == end
    running.stop()
    again = subscribed(start_session(setup={"takes": shelf}))
    until(lambda: again.ask("/segue/takes", reply="/segue/takes.end") == (len(end),))
    named = {item[7]: (item[0], item[5]) for item in listing(again).values()}
    for item in end.values():
        name, rating = named[item[7]]
        assert rating == item[5] and (name == item[0] or str(item[0]).startswith("A0"))
