"""What a panic ends: silence is at once, what waited leaves a few at a time, and no ring stays."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

import bridge.session.leaving
from bridge.session.leaving import Leaving
from bridge.session.notices import Notices
from bridge.session.voices import Plan, Voice
from engine.ring import SEGMENTS, Ring, ring_name


class Told:
    """Notes what is published."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def publish(self, address: str, *values: object) -> None:
        self.heard.append((address, *values))


def waiting(count: int, first: int = 0) -> list[Voice]:
    rings = [Ring.create(ring_name(f"leaving{first + n}"), 1 << 18, 44_100) for n in range(count)]
    return [Voice(f"J{n}", f"J{n}", 1000, 44_100, Plan(), ring=ring) for n, ring in enumerate(rings)]


def left() -> int:
    return sum("-leaving" in path.name for path in SEGMENTS.glob("segue-*"))


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """However quick the machine is, a hundred do not leave in one."""
    monkeypatch.setattr(bridge.session.leaving, "TURN_SECONDS", 1e-4)


def test_voices_leave_in_turns_and_others_are_heard_between_them() -> None:
    async def run() -> tuple[list[tuple[Any, ...]], int]:
        told, between = Told(), 0
        leaving = Leaving(cast(Notices, told))
        leaving.stop(waiting(120))
        leaving.stop(waiting(1, 120))  # another panic while the first is not done
        while left():
            between += 1
            await asyncio.sleep(0)
        return told.heard, between

    heard, between = asyncio.run(run())
    assert [values[1] for values in heard] == [f"J{n}" for n in range(120)] + ["J0"]
    assert {(values[0], values[2]) for values in heard} == {("/segue/sounding", "stopped")}
    assert between > 1


def test_what_is_left_when_the_session_ends_is_given_back() -> None:
    async def run() -> int:
        leaving = Leaving(cast(Notices, Told()))
        leaving.stop(waiting(120))
        rest = left()
        leaving.close()
        await asyncio.sleep(0)  # what was to go on finds nothing
        return rest

    assert asyncio.run(run()) > 0
    assert left() == 0
