"""What hypothesis makes of OSC, at a dispatcher with the real table: packets are carried out, answered or dropped."""

from __future__ import annotations

import contextlib
import gc
import struct
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.osc.addresses import TABLE
from bridge.osc.framing import detect
from bridge.osc.intake import Intake
from bridge.osc.peer import Peer
from bridge.osc.subscribers import Subscribers
from bridge.osc.table import Call, Kind, Role
from bridge.osc.wire import MalformedPacket
from bridge.session.dispatch import MOST_ANSWERS, MOST_FAILURES, Dispatcher
from bridge.session.notices import Notices
from tests.bridge.client import messages_of

PEER = Peer("192.0.2.9", 4000)  # not local
ASKED = [entry for entry in TABLE if entry.role is not Role.NOTICE]


def padded(raw: bytes) -> bytes:
    return raw + bytes(4 - len(raw) % 4)


numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans())
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
arguments = st.one_of(
    st.tuples(st.just("i"), st.integers(0, 2**32 - 1).map(lambda n: struct.pack(">I", n))),
    st.tuples(st.just("h"), st.integers(0, 2**64 - 1).map(lambda n: struct.pack(">Q", n))),
    st.tuples(st.just("f"), st.floats(width=32).map(lambda x: struct.pack(">f", x))),
    st.tuples(st.just("d"), st.floats().map(lambda x: struct.pack(">d", x))),
    st.tuples(st.sampled_from("sS"), texts.map(lambda text: padded(text.encode().split(b"\0")[0]))),
    st.tuples(
        st.just("b"), st.binary(max_size=20).map(lambda b: struct.pack(">i", len(b)) + b + bytes(-len(b) % 4))
    ),
    st.tuples(st.sampled_from("TFNI[]"), st.just(b"")),
    st.tuples(st.sampled_from("crmx9"), st.just(bytes(4))),
)
addresses = st.one_of(
    st.sampled_from([entry.address for entry in TABLE]),
    st.sampled_from([entry.address for entry in ASKED]).map(lambda a: a.replace("/take/", "/take/A01/")),
    st.text("/segue*?[]{},!-pram", min_size=1, max_size=40).map(lambda tail: "/" + tail),
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    pairs = draw(st.lists(arguments, max_size=5))
    tags = "," + "".join(tag for tag, _ in pairs)
    return padded(draw(addresses).encode()) + padded(tags.encode()) + b"".join(body for _, body in pairs)


def bundled(elements: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    tags = st.sampled_from([0, 1, 2**64 - 1, 0xEE00000000000000])
    return st.builds(
        lambda tag, parts: (
            b"#bundle\0"
            + struct.pack(">Q", tag)
            + b"".join(struct.pack(">i", len(part)) + part for part in parts)
        ),
        tags,
        st.lists(elements, max_size=5),
    )


packets = st.recursive(messages(), bundled, max_leaves=12)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(packets))
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(1, len(data)))])


class Endpoint:
    def __init__(self) -> None:
        self.sent: list[tuple[Peer, bytes]] = []

    def send_packet(self, peer: Peer, packet: bytes) -> None:
        self.sent.append((peer, packet))


class Bench:
    """The way of a packet from the socket to the handlers, which check what they are given."""

    def __init__(self) -> None:
        self.endpoint, subscribers = Endpoint(), Subscribers()
        self.calls: list[Call] = []
        handlers = {entry.handler: self.check for entry in ASKED}
        self.dispatcher = Dispatcher(TABLE, handlers, subscribers, Notices(self.endpoint, subscribers))
        self.intake = Intake(self.dispatcher.packet)

    def check(self, call: Call, peer: Peer) -> None:
        self.calls.append(call)
        assert peer == PEER and not call.entry.local_only
        for wanted, value in zip(call.entry.arguments, call.values, strict=False):
            assert type(value) is {Kind.WHOLE: int, Kind.NUMBER: float, Kind.TEXT: str}[wanted.kind]
            if wanted.kind is not Kind.TEXT:
                assert wanted.low <= value <= wanted.high
            elif wanted.choices:
                assert value in wanted.choices

    def take(self, data: bytes) -> None:
        began = time.thread_time()
        with contextlib.suppress(RuntimeError):  # (what is due later needs an event loop, which is not here)
            self.intake.take(data, PEER)
        assert time.thread_time() - began < 0.05
        assert len(self.endpoint.sent) <= MOST_ANSWERS + MOST_FAILURES + 1
        for peer, packet in self.endpoint.sent:
            assert peer == PEER and len(packet) < 1_500
            for address, values in messages_of(packet):
                assert address in ("/segue/fail", "/segue/late")
                assert "internal" not in values[1:3]


@pytest.fixture(autouse=True, scope="module")
def _no_garbage_is_collected() -> Iterator[None]:
    """Of all that the tests before this one have loaded: that takes a second, and is not the packet's time."""
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


@given(packets)
@settings(max_examples=400, deadline=None)
def test_whatever_is_well_formed_is_carried_out_or_answered(data: bytes):
    bench = Bench()
    bench.take(data)
    assert bench.intake.received == 1


@given(mutated())
@settings(max_examples=400, deadline=None)
def test_whatever_is_not_does_no_harm(data: bytes):
    Bench().take(data)


@given(
    st.lists(st.one_of(packets, mutated()), min_size=1, max_size=8),
    st.sampled_from([b"\0", b"\xc0", b"/", b"#"]),
)
@settings(max_examples=200, deadline=None)
def test_whatever_comes_on_a_stream_is_cut_into_packets_or_refused(parts: list[bytes], first: bytes):
    framing = detect(first[0])
    received = bytearray(first + b"".join(parts))
    total = len(received)
    with contextlib.suppress(MalformedPacket):
        while (packet := framing.next(received)) is not None:
            assert 0 < len(packet) <= total
    assert len(received) <= total
