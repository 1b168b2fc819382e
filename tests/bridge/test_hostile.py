"""Hostile packets over the real socket: counted, dropped, answered; the session goes on without a pause."""

from __future__ import annotations

import random
import struct
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.osc.addresses import TABLE
from bridge.osc.table import Role
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import StartSession, wait_idle
from tests.bridge.test_wire import built, bundle

SAFE = [entry.address for entry in TABLE if entry.role is not Role.NOTICE and entry.address != "/segue/quit"]


def hostile_packets(count: int, seed: int) -> list[bytes]:
    """Truncated, mutated and made-up packets, from a fixed seed; none that is whole steers what plays."""
    rng = random.Random(seed)
    deep = built("/segue/test")
    for _ in range(1200):
        deep = bundle(deep)
    known = [
        deep,
        bundle(built("/segue/param/seed", ("i", 3)), bundle(built("/segue/lyrics", ("s", "house")))),
        b"#bundle\0" + bytes(8) + struct.pack(">i", -4) + b"/a\0\0",
        b"/" + b"*" * 52 + b"\0\0\0,\0\0\0",
        b"/segue/style\0\0\0\0,s\0\0\xff\xfe\xfd\0",
        b"/segue/style\0\0\0\0,cSi\0\0\0\0\0\0\0Asym\0\0\0\0\7",
        built("/segue/param/temperature", ("f", float("nan"))),
        built("/segue/param/seconds", ("d", 1e300)),
        built("/segue/fail", ("s", "/segue/fail"), ("i", 1)),
        built("/segue/param/{a,b,c}*[!x]?", ("i", 1)),
        bundle(*[built("/segue/param/se*")] * 40),
    ]
    packets = []
    for _ in range(count):
        packet = bytearray(rng.choice(known))
        for _ in range(rng.randrange(4)):
            packet[rng.randrange(len(packet))] = rng.randrange(256)
        if rng.random() < 0.3:
            packet = packet[: rng.randrange(len(packet))]
        if b"quit" not in packet:
            packets.append(bytes(packet[:8000]))
    return packets


def test_a_flood_while_a_take_is_played(start_session: StartSession, riff: Path):
    running = start_session(speed=3.0)
    client, attacker = running.client(), OscClient(running.port)
    wait_idle(client)
    client.send("/segue/notify", 1)
    prime(client, riff)
    client.send("/segue/generate", 6.0)
    client.wait("/segue/sounding", "J1", "start")
    packets = hostile_packets(6_000, seed=5)
    slowest = 0.0
    for index, packet in enumerate(packets):
        attacker.send_raw(packet)
        if index % 60 == 0:  # a producer's request among them is answered, and soon
            began = time.perf_counter()
            assert client.ask("/segue/test") == ("ok",)
            slowest = max(slowest, time.perf_counter() - began)
    assert slowest < 1.0
    client.wait("/segue/job", "J1", "done", timeout=30)
    client.wait("/segue/sounding", "J1", "end", timeout=30)
    endpoint = running.session.endpoint
    assert endpoint.malformed > len(packets) / 4 and endpoint.received >= len(packets)
    attacker.close()


def test_a_packet_full_of_failures_is_cut_short(start_session: StartSession):
    client = start_session().client()
    began = time.perf_counter()
    client.send_raw(bundle(*[built(f"/segue/nothing/{n}") for n in range(250)]))
    assert client.ask("/segue/test") == ("ok",)
    assert time.perf_counter() - began < 2.0
    told = [values for address, values in client.heard if address == "/segue/fail"]
    assert len(told) == 33 and told[-1][1:3] == (413, "too_large")
    assert told[-1][3] == "32 messages of one packet failed; the rest of it was not looked at"


def test_malformed_packets_are_counted_and_get_no_answer(start_session: StartSession):
    running = start_session()
    client = running.client()
    for data in (b"/a\0", b"\0" * 8, b"#bundle\0" + bytes(8) + struct.pack(">i", -4), b"x"):
        client.send_raw(data)
    assert client.ask("/segue/test") == ("ok",)
    assert client.heard == [] and running.session.endpoint.malformed == 4


def test_answers_of_another_bridge_are_not_answered(start_session: StartSession):
    client = start_session().client()
    for notice in ("/segue/fail", "/segue/done", "/segue/job", "/segue/status.reply"):
        client.send(notice, "x")
    assert client.ask("/segue/test") == ("ok",)
    assert client.heard == []


@given(
    address=st.sampled_from(SAFE),
    values=st.lists(
        st.one_of(
            st.tuples(st.just("i"), st.integers(-(2**31), 2**31 - 1)),
            st.tuples(st.just("h"), st.integers(-(2**63), 2**63 - 1)),
            st.tuples(st.just("f"), st.floats(width=32)),
            st.tuples(st.just("d"), st.floats()),
            st.tuples(
                st.just("s"),
                st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=60),
            ),
            st.tuples(st.just("b"), st.binary(min_size=1, max_size=60)),
            st.tuples(st.just("N"), st.none()),
        ),
        max_size=5,
    ),
)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_argument_is_an_internal_error(ready: OscClient, address: str, values: list[tuple[str, object]]):
    ready.send_raw(built(address, *values))
    assert ready.ask("/segue/test") == ("ok",)
    failures = [told for where, told in ready.heard if where == "/segue/fail"]
    ready.heard.clear()
    assert all(told[2] != "internal" for told in failures), failures
