from __future__ import annotations

import asyncio
import struct
import time

import pytest

from bridge.osc.peer import Peer
from bridge.osc.subscribers import Subscribers
from bridge.osc.table import Argument, Call, Entry, Kind, Role, Table
from bridge.osc.timing import monotonic_ns, time_tag, unix_ns
from bridge.osc.wire import MalformedPacket, Message, encode_message, parse_packet
from bridge.session.dispatch import MOST_SCHEDULED, Dispatcher
from bridge.session.notices import Notices
from tests.bridge.client import messages_of
from tests.bridge.test_wire import built

WHOLE = Argument("n", Kind.WHOLE, 0, 1000)
TABLE = Table(
    [
        Entry("/go", "starts", arguments=(WHOLE,), handler="go", timed=True, starts_job=True),
        Entry("/early", "starts before its time", handler="go", timed=True, lead_ms=200.0),
        Entry("/set", "sets", Role.PROPERTY, (WHOLE,), "set"),
    ]
)
PEER = Peer("127.0.0.1", 4000)


def ahead(seconds: float) -> int:
    return time_tag(time.time_ns() + int(seconds * 1e9))


def tagged(tag: int, *elements: bytes) -> bytes:
    body = b"".join(struct.pack(">i", len(element)) + element for element in elements)
    return b"#bundle\0" + struct.pack(">Q", tag) + body


class Endpoint:
    """Keeps what is sent, as python-osc reads it."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, tuple]] = []

    def send_packet(self, peer: Peer, packet: bytes) -> None:
        self.heard += messages_of(packet)


class Desk:
    """A dispatcher that notes what was called, and when."""

    def __init__(self) -> None:
        self.endpoint = Endpoint()
        subscribers = Subscribers()
        self.calls: list[tuple[str, tuple, int | None, int]] = []
        handlers = {"go": self.note, "set": self.note}
        self.dispatcher = Dispatcher(TABLE, handlers, subscribers, Notices(self.endpoint, subscribers))

    def note(self, call: Call, peer: Peer) -> None:
        self.calls.append((call.entry.address, call.values, call.at_ns, time.monotonic_ns()))

    def take(self, packet: bytes) -> None:
        self.dispatcher.packet(parse_packet(packet), PEER)

    @property
    def addresses(self) -> list[str]:
        return [call[0] for call in self.calls]


def run(work) -> Desk:
    async def main() -> Desk:
        desk = Desk()
        await work(desk)
        desk.dispatcher.close()
        return desk

    return asyncio.run(main())


def test_time_tags_of_known_moments():
    # 2208988800 s lie between 1900 and 1970 (RFC 868); half a second is 2^31 of the fraction
    assert unix_ns((2_208_988_800 << 32) + (1 << 31)) == 500_000_000
    assert time_tag(1_500_000_000) == (2_208_988_801 << 32) + (1 << 31)
    assert monotonic_ns(1) is None and monotonic_ns(0) is None
    now = monotonic_ns(ahead(0))
    assert now is not None and abs(now - time.monotonic_ns()) < 5_000_000


def test_tags_are_kept_and_an_inner_bundle_is_never_earlier_than_the_outer_one():
    early, late = ahead(1), ahead(2)
    packet = tagged(late, built("/a"), tagged(early, built("/b")), tagged(1, built("/c")))
    assert [(m.address, m.due) for m in parse_packet(packet)] == [("/a", late), ("/b", late), ("/c", late)]
    assert [m.due for m in parse_packet(tagged(early, tagged(late, built("/a")), built("/b")))] == [
        late,
        early,
    ]
    assert parse_packet(built("/a"))[0].due == 1


def test_half_a_time_tag_is_malformed():
    with pytest.raises(MalformedPacket):
        parse_packet(b"#bundle\0\0\0\0\0")


def test_a_bundle_waits_for_its_time_as_a_whole_and_starts_jobs_last():
    async def work(desk: Desk) -> None:
        desk.take(tagged(ahead(0.15), built("/go", ("i", 1)), built("/set", ("i", 2))))
        assert desk.calls == []
        await asyncio.sleep(0.4)

    calls = run(work).calls
    assert [(address, values) for address, values, _, _ in calls] == [("/set", (2,)), ("/go", (1,))]
    for _, _, at_ns, called_ns in calls:
        assert at_ns is not None and -2e6 <= called_ns - at_ns < 50e6


def test_what_needs_a_lead_is_handed_over_before_its_time():
    async def work(desk: Desk) -> None:
        desk.take(tagged(ahead(0.35), built("/early")))
        await asyncio.sleep(0.3)

    ((_, _, at_ns, called_ns),) = run(work).calls
    assert at_ns is not None and 120e6 < at_ns - called_ns <= 201e6


def test_a_bundle_without_anything_timed_is_applied_at_once():
    async def work(desk: Desk) -> None:
        desk.take(tagged(ahead(5), built("/set", ("i", 2))))
        assert desk.addresses == ["/set"] and desk.calls[0][2] is None

    assert run(work).endpoint.heard == []


def test_a_tag_in_the_past_is_carried_out_at_once_and_told():
    async def work(desk: Desk) -> None:
        desk.take(tagged(ahead(-0.25), built("/set", ("i", 2)), built("/go", ("i", 1))))
        assert desk.addresses == ["/set", "/go"]

    ((address, (which, late_ms)),) = run(work).endpoint.heard
    assert (address, which) == ("/segue/late", "/go") and 250 <= late_ms < 400


def test_further_ahead_than_half_a_minute_is_refused_as_a_whole():
    async def work(desk: Desk) -> None:
        desk.take(tagged(ahead(31), built("/set", ("i", 2)), built("/go", ("s", "#7"), ("i", 1))))
        desk.take(tagged(2**64 - 1, built("/go", ("i", 1))))
        await asyncio.sleep(0)

    desk = run(work)
    assert desk.calls == []
    (_, values), (_, second) = desk.endpoint.heard
    assert values[:3] == ("/go", 422, "timetag_too_far") and values[4] == "#7"
    assert values[3].startswith("the time tag is 3") and values[3].endswith("s ahead; at most 30 s are kept")
    assert second[2] == "timetag_too_far"


def test_arguments_are_checked_when_the_bundle_comes_not_when_it_is_due():
    async def work(desk: Desk) -> None:
        desk.take(tagged(ahead(10), built("/go", ("i", 5000))))

    assert run(work).endpoint.heard[0][1][2] == "out_of_range"


def test_only_so_many_bundles_wait():
    async def work(desk: Desk) -> None:
        for _ in range(MOST_SCHEDULED + 1):
            desk.take(tagged(ahead(10), built("/go", ("i", 5))))

    ((_, values),) = run(work).endpoint.heard
    assert values[1:3] == (429, "queue_full")


def test_the_tag_of_a_message_that_is_none_is_immediately():
    assert parse_packet(encode_message("/a", 1)) == [Message("/a", "i", (1,))]
