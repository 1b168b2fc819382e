"""The way from the system's threads into the loop, at its limits."""

from __future__ import annotations

import asyncio
import time

import pytest

from bridge.midi.inbox import Arrival, Inbox


def test_a_message_that_fails_does_not_stop_the_next(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> list[int]:
        taken: list[int] = []

        def take(arrival: Arrival) -> None:
            taken.append(arrival.at_ns)
            if arrival.at_ns == 1:
                raise RuntimeError("boom")

        inbox = Inbox(asyncio.get_running_loop(), take)
        for number in range(3):
            inbox.put(Arrival("Pads", b"", number))
        await asyncio.sleep(0.01)
        inbox.put(Arrival("Pads", b"", 3))
        await asyncio.sleep(0.01)
        return taken

    assert asyncio.run(run()) == [0, 1, 2, 3]
    assert "a message of the MIDI port 'Pads' failed unexpectedly" in caplog.text


def test_what_is_too_much_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.midi.inbox.CAPACITY", 10)

    async def run() -> tuple[int, int]:
        taken: list[Arrival] = []
        inbox = Inbox(asyncio.get_running_loop(), taken.append)
        for number in range(15):
            inbox.put(Arrival("Pads", b"", number))
        await asyncio.sleep(0.01)
        return len(taken), inbox.lost

    assert asyncio.run(run()) == (10, 5)


def test_messages_that_take_long_let_the_loop_do_something_else() -> None:
    """Of 100 that take 2 ms each, a few at a time: every turn is 4 ms and one message long."""

    async def run() -> list[int]:
        taken: list[Arrival] = []

        def take(arrival: Arrival) -> None:
            taken.append(arrival)
            time.sleep(0.002)

        inbox = Inbox(asyncio.get_running_loop(), take)
        for number in range(100):
            inbox.put(Arrival("Pads", b"", number))
        turns = []
        while len(taken) < 100:
            before = len(taken)
            await asyncio.sleep(0)
            turns.append(len(taken) - before)
        assert [arrival.at_ns for arrival in taken] == list(range(100))
        return turns

    assert max(asyncio.run(run())) <= 3


def test_after_the_end_nothing_is_taken() -> None:
    taken: list[Arrival] = []

    async def run() -> Inbox:
        inbox = Inbox(asyncio.get_running_loop(), taken.append)
        inbox.put(Arrival("Pads", b"", 1))
        inbox.close()
        await asyncio.sleep(0.01)
        return inbox

    inbox = asyncio.run(run())
    inbox.put(Arrival("Pads", b"", 2))  # the loop is gone
    assert taken == []
