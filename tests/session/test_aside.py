"""Work beside the event loop: what becomes of its result, and of its failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.session.aside import Aside
from engine.errors import NoFile, SegueError


def outcome(
    work: Callable[[], int], then: Callable[[int], None], failed: Callable[[SegueError], None] | None = None
) -> list[str]:
    """The sentences that are said of it."""
    said: list[str] = []

    async def go() -> None:
        aside = Aside(said.append)
        over = asyncio.Event()
        aside.run(work, then, failed)
        aside.run(lambda: 0, lambda _: over.set())
        await over.wait()
        aside.close()

    asyncio.run(go())
    return said


def refuse(result: int) -> None:
    raise NoFile("it has gone")


def test_a_result_that_can_no_longer_be_used_is_a_failure_of_the_wish() -> None:
    failures: list[SegueError] = []
    assert outcome(lambda: 1, refuse, failures.append) == []
    assert [(type(error), error.message) for error in failures] == [(NoFile, "it has gone")]
    assert outcome(lambda: 1, refuse) == ["it has gone"]


def test_results_come_in_order_and_a_bug_is_told_in_a_line() -> None:
    seen: list[int] = []
    assert outcome(lambda: 7, seen.append) == [] and seen == [7]
    said = outcome(lambda: 1 // 0, seen.append)
    assert said == ["something failed unexpectedly (ZeroDivisionError); see the log"] and seen == [7]
