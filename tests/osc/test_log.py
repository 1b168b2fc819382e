from __future__ import annotations

import logging
import threading
import time

from bridge.log import MOST_CHARACTERS, MOST_PER_SECOND, write_aside


class Keeping(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.more = threading.Event()
        self.thread = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.thread = threading.current_thread().name
        self.more.set()


def logger(handler: logging.Handler) -> logging.Logger:
    made = logging.Logger(f"test{id(handler)}")
    made.addHandler(write_aside(handler))
    return made


def lines(kept: Keeping, count: int) -> list[str]:
    deadline = time.monotonic() + 5
    while len(kept.lines) < count and time.monotonic() < deadline:
        kept.more.wait(0.05)
    return kept.lines


def test_lines_are_written_in_a_thread_of_their_own():
    kept = Keeping()
    logger(kept).warning("%d of %s", 3, "them")
    assert lines(kept, 1) == ["3 of them"] and kept.thread == "segue-log"


def test_a_flood_is_cut_counted_and_errors_come_through():
    kept = Keeping()
    log = logger(kept)
    while time.time() % 1 > 0.5:  # begin early in a second
        time.sleep(0.01)
    for number in range(10_000):
        log.warning("line %d", number)
    log.error("this matters")
    told, deadline = kept.lines, time.monotonic() + 10
    while not any("this matters" in line for line in told) and time.monotonic() < deadline:
        kept.more.wait(0.05)  # (a busy machine takes more than a second, and more lines come through)
    assert len(told) < 5 * MOST_PER_SECOND
    assert any("this matters (" in line and "lines before this were left out)" in line for line in told)


def test_long_lines_are_cut():
    kept = Keeping()
    logger(kept).warning("x" * 10_000)
    assert len(lines(kept, 1)[0]) == MOST_CHARACTERS + 2


def test_a_terminal_that_nobody_reads_keeps_nobody_waiting():
    class Stuck(Keeping):
        def emit(self, record: logging.LogRecord) -> None:
            released.wait(10)
            super().emit(record)

    released, kept = threading.Event(), Stuck()
    log = logger(kept)
    began = time.monotonic()
    for number in range(3_000):  # more than are kept
        log.error("%d", number)
    assert time.monotonic() - began < 2.0 and kept.lines == []
    released.set()
    assert lines(kept, 900)[:2] == ["0", "1"]
