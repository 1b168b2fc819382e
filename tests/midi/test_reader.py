"""Queues: nothing is lost or read out of turn, and arrival times are those of arrival, not of reading."""

from __future__ import annotations

import random

from bridge.midi.reader import Queue, Reader, pause
from tests.rig.jack import wait_until

MS = 1_000_000


class Port:
    def __init__(self, *messages: tuple[list[int], float]) -> None:
        self.messages = list(messages)
        self.fails = False

    def get_message(self) -> tuple[list[int], float] | None:
        if self.fails:
            raise OSError("pulled out")
        return self.messages.pop(0) if self.messages else None


def test_a_clock_read_late_and_unevenly_keeps_its_distances() -> None:
    """24 clocks a beat at 120 BPM: 20.833 ms. They are seen up to 4 ms late."""
    queue, chance = Queue(None, lambda _data, _at: None), random.Random(3)
    arrived = [1_000 * MS + round(n * 20_833_333) for n in range(480)]
    told = []
    for number, at in enumerate(arrived):
        distance = (at - arrived[number - 1]) / 1e9 if number else 0.0
        told.append(queue.arrival(distance, at + int(chance.uniform(0, 4) * MS)))
    late = [one - true for one, true in zip(told, arrived, strict=True)]
    assert all(0 <= x <= 4 * MS for x in late)
    assert late == sorted(late, reverse=True)  # only ever corrected towards the truth
    assert late[100] < 0.2 * MS


def test_a_reader_that_is_held_up_does_not_make_messages_late() -> None:
    """Of a clock at 120 BPM every third tick is seen 20 to 60 ms late, as on a machine that is busy."""
    queue, chance = Queue(None, lambda _data, _at: None), random.Random(5)
    arrived = [1_000 * MS + round(n * 20_833_333) for n in range(480)]
    late = []
    for number, at in enumerate(arrived):
        distance = 20_833_333 / 1e9 if number else 0.0
        seen = at + round(chance.uniform(20, 60) if number % 3 == 0 else chance.uniform(0, 1)) * MS
        late.append(queue.arrival(distance, seen) - at)
    assert all(0 <= x <= 0.1 * MS for x in late[48:])


def test_a_wrong_distance_does_not_last() -> None:
    queue = Queue(None, lambda _data, _at: None)
    queue.arrival(0.0, 100 * MS)
    assert queue.arrival(5.0, 200 * MS) == 200 * MS  # it cannot have come after it was seen
    assert queue.arrival(0.0, 2_500 * MS) == 2_500 * MS  # nor have waited for so long
    assert queue.arrival(0.010, 2_512 * MS) == 2_510 * MS
    told = [queue.arrival(0.010, (2_600 + 10 * n) * MS) for n in range(200)]  # 80 ms were lost
    assert told[0] == 2_520 * MS
    assert told[150:] == [(2_600 + 10 * n) * MS for n in range(150, 200)]


def test_active_sensing_is_counted_and_not_handed_on() -> None:
    """It does not keep the reader looking often, and the time that it takes up is not lost."""
    heard = list[bytes]()
    queue = Queue(Port(([0xFE], 0.3)), lambda data, _at: heard.append(data))
    assert not queue.read()
    queue = Queue(Port(([0xFE], 0.3), ([0xF8], 0.1)), lambda data, _at: heard.append(data))
    assert queue.read()
    assert heard == [b"\xf8"]


def test_all_ports_are_read_and_a_failing_one_harms_no_other() -> None:
    reader, heard = Reader(), list[tuple[str, int]]()
    bad, good = Port(), Port(*[([0xB0, 1, n], 0.0) for n in range(100)])
    bad.fails = True
    reader.add(Queue(bad, lambda data, _at: heard.append(("bad", data[2]))))
    reader.add(Queue(good, lambda data, _at: heard.append(("good", data[2]))))
    wait_until(lambda: len(heard) == 100)
    assert heard == [("good", n) for n in range(100)]
    reader.remove(bad)
    reader.remove(good)
    wait_until(lambda: reader._thread is None)
    good.messages = [([0xB0, 1, 7], 0.0)]
    reader.add(Queue(good, lambda data, _at: heard.append(("again", data[2]))))
    wait_until(lambda: heard[-1] == ("again", 7))
    reader.remove(good)


def test_a_reader_that_has_heard_nothing_for_long_looks_seldom():
    waits = [pause(round(seconds * 1e9)) for seconds in (0.0, 0.9, 1.1, 19.0, 21.0, 3600.0)]
    assert waits == [0.001, 0.001, 0.004, 0.004, 0.025, 0.025]
