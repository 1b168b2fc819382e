"""Who is told what: listening by pattern, refresh, twins, heartbeats, sync, and limits of one packet."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from bridge.osc.addresses import TABLE
from bridge.osc.peer import Peer, is_loopback, is_reached
from bridge.osc.subscribers import Subscribers
from bridge.osc.table import Argument, Entry, Kind, Role, Table, bind
from bridge.osc.wire import Message
from engine.errors import BadArguments, UnknownAddress
from tests.bridge.client import OscClient
from tests.bridge.conftest import StartSession, wait_idle
from tests.bridge.test_wire import built, bundle


def test_listening_tells_the_value_at_once_then_every_change_and_nothing_else(start_session: StartSession):
    running = start_session()
    client, other = running.client(), running.client()
    assert client.ask("/segue/listen", "/segue/param/se*", 1, reply="/segue/done") == ("/segue/listen", 3)
    told = {address for address, _ in client.drain() if address.startswith("/segue/param")}
    assert told == {"/segue/param/seconds", "/segue/param/seed", "/segue/param/seed_lock"}
    other.send("/segue/param/temperature", 0.5)
    other.send("/segue/param/seed", 99)
    assert client.wait("/segue/param/seed") == (99,)
    other.wait("/segue/param/seed")
    assert {a for a, _ in client.drain(1.2)} <= {"/segue/param/seed_lock"}  # no temperature, no heartbeat
    client.ask("/segue/listen", "/segue/param/*", 0, reply="/segue/done")
    other.send("/segue/param/seed", 100)
    other.wait("/segue/param/seed", 100)
    assert client.drain() == []


def test_a_pattern_that_reaches_nothing_is_told_with_the_nearest(ready: OscClient):
    ready.send("/segue/listen", "/segue/parm/seed", 1)
    values = ready.wait("/segue/fail")
    assert values[:3] == ("/segue/listen", 404, "no_match")
    assert values[3] == (
        "nothing that is told matches /segue/parm/seed; the nearest address is /segue/param/seed"
    )
    for hopeless in ("/segue/done", "/segue/quit", "/segue/status.reply"):
        ready.send("/segue/listen", hopeless, 1)
        assert ready.wait("/segue/fail")[2] == "no_match"
    ready.send("/segue/listen", "/segue/" + "*" * 9, 1)
    assert ready.wait("/segue/fail")[2:4] == (
        "bad_args",
        "the pattern cannot be used: the address has more than 4 wildcards",
    )


def test_refresh_tells_everything_in_bundles_and_how_much_it_was(ready: OscClient):
    ready.drain()
    ready.packets = 0
    ready.send("/segue/refresh")
    (count,) = ready.wait("/segue/refresh.end")
    properties = {entry.address for entry in TABLE if entry.role in (Role.PROPERTY, Role.READOUT)}
    told = [address for address, _ in ready.heard]
    assert count == len(told) >= len(properties)
    assert properties <= set(told) and "/segue/state" in told and "/segue/prime" in told
    assert ready.packets < count / 4


def test_parameters_have_twins_for_displays(ready: OscClient):
    ready.send("/segue/param/seconds", 4.5)
    assert ready.wait("/segue/param/seconds/str") == ("4.5 s",)
    assert ready.ask("/segue/param/seconds/str") == ("4.5 s",)
    ready.send("/segue/param/seconds/str", "5 s")
    assert ready.wait("/segue/fail")[:3] == ("/segue/param/seconds/str", 400, "bad_args")


def test_the_heart_beats_for_subscribers_only(start_session: StartSession):
    running = start_session()
    client, other = running.client(), running.client()
    client.ask("/segue/notify", 1, reply="/segue/done")
    first, second = client.wait("/segue/heartbeat"), client.wait("/segue/heartbeat", timeout=2.0)
    assert {first, second} == {(0,), (1,)}
    assert not [a for a, _ in other.drain(0.05) if a == "/segue/heartbeat"]


def test_sync_waits_for_what_the_client_asked_before(ready: OscClient, tmp_path: Path, riff: Path):
    slow = riff.rename(tmp_path / "slow_riff.wav")  # the mock engine takes half a second for it
    ready.send("/segue/prime/file", str(slow))
    ready.send("/segue/sync", 7)
    ready.wait("/segue/synced", 7)
    assert ("/segue/done", "/segue/prime/file") in [(a, v[0]) for a, v in ready.heard if v]
    began = time.monotonic()
    assert ready.ask("/segue/sync", 8, reply="/segue/synced") == (8,)
    assert time.monotonic() - began < 0.3


def test_notices_that_come_back_to_the_session_are_not_taken_up(start_session: StartSession):
    running = start_session()
    running.client().ask("/segue/notify", 1, running.port, reply="/segue/done")
    client = running.client()
    client.ask("/segue/param/seed", 5)
    before = running.session.endpoint.received
    assert client.ask("/segue/test") == ("ok",)
    assert running.session.endpoint.received == before + 1


def test_one_packet_cannot_have_everything_sent_again_and_again(ready: OscClient):
    ready.drain()
    ready.send_raw(bundle(*[built("/segue/refresh")] * 200))
    values = ready.wait("/segue/fail")
    assert values[1:3] == (413, "too_large")
    why, _, rest = values[3].partition(";")
    assert why in ("one packet had 400 messages sent", "one packet took 10 ms")
    assert rest == " from /segue/refresh on it was left out"
    assert ready.ask("/segue/test") == ("ok",)


def test_a_bundle_tells_everything_once_and_as_it_is_in_the_end(ready: OscClient):
    ready.ask("/segue/notify", 1, reply="/segue/done")
    ready.drain()
    ready.send_raw(bundle(*[built("/segue/param/seed", ("i", n)) for n in range(100)]))
    assert ready.ask("/segue/sync", 1, reply="/segue/synced") == (1,)
    told = [values for address, values in ready.heard if address == "/segue/param/seed"]
    assert told == [(99,)]


def test_dumps_show_messages_and_bytes(start_session: StartSession, caplog: pytest.LogCaptureFixture):
    client = start_session().client()
    with caplog.at_level(logging.INFO, "segue.osc.dump"):
        client.ask("/segue/debug/dump", 3, reply="/segue/done")
        client.ask("/segue/param/seed", 5)
        client.ask("/segue/debug/dump", 0, reply="/segue/done")
        client.ask("/segue/test")
    shown = [record.getMessage() for record in caplog.records if record.name == "segue.osc.dump"]
    assert any("/segue/param/seed ,i 5; 28 bytes: 2f736567 75652f70" in line for line in shown)
    assert not any("/segue/test" in line for line in shown)


def test_what_must_be_asked_for_is_not_told_to_those_who_hear_everything():
    subscribers = Subscribers(opt_in=["/meter"])
    one, two = Peer("127.0.0.1", 1), Peer("127.0.0.1", 2)
    subscribers.add(one, None, None)
    subscribers.listen(two, ["/meter"], True)
    assert subscribers.targets(address="/meter") == [two]
    assert subscribers.targets(address="/state") == [one]
    subscribers.listen(two, ["/meter"], False)
    assert not subscribers.heard("/meter") and subscribers.heard("/state")


def test_loopback_in_every_writing():
    local = ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"]
    assert all(is_loopback(Peer(host, 1)) for host in local)
    assert not any(is_loopback(Peer(host, 1)) for host in ("10.0.0.1", "::", "fe80::1%eth0"))
    assert not any(is_reached(host) for host in [*local, "localhost"])
    assert all(is_reached(host) for host in ("10.0.0.1", "0.0.0.0", "::", "studio"))


ID = Argument("id", Kind.TEXT, number_too=True)
TAKES = Table(
    [
        Entry("/take/play", "p", arguments=(ID,), handler="x", press=True, id_in_path=True),
        Entry(
            "/take/keep", "k", arguments=(ID, Argument("on", Kind.WHOLE, 0, 1)), handler="x", id_in_path=True
        ),
        Entry("/continue", "c", arguments=(ID,), handler="x", id_in_path=True),
        Entry(
            "/style/select",
            "s",
            arguments=(Argument("i", Kind.WHOLE, 1, 99),),
            handler="x",
            id_in_path=True,
            press=True,
        ),
        Entry("/take/stop", "no id", handler="x"),
    ]
)


@pytest.mark.parametrize(
    ("address", "tags", "values", "bound"),
    [
        ("/take/play", "i", (3,), ("3",)),
        ("/take/play", "s", ("A03",), ("A03",)),
        ("/take/3/play", "", (), ("3",)),
        ("/take/3/play", "i", (1,), ("3",)),
        ("/take/A03/play", "f", (1.0,), ("A03",)),
        ("/take/3/play", "s", ("#r",), ("3",)),
        ("/take/3/keep", "i", (0,), ("3", 0)),
        ("/take/keep", "si", ("A01", 1), ("A01", 1)),
        ("/continue/3", "", (), ("3",)),
        ("/style/7/select", "i", (1,), (7,)),
        ("/style/select", "i", (7,), (7,)),
        ("/style/select", "i", (1,), (1,)),
    ],
)
def test_an_id_may_be_an_argument_or_in_the_path(address: str, tags: str, values: tuple, bound: tuple):
    message = Message(address, tags, values)
    ((entry, path_id),) = TAKES.resolve(message)
    call = bind(entry, message, path_id)
    assert call is not None and call.values == bound


def test_a_released_button_with_the_id_in_its_path_is_ignored():
    message = Message("/take/3/play", "i", (0,))
    ((entry, path_id),) = TAKES.resolve(message)
    assert bind(entry, message, path_id) is None


def test_ids_reach_only_what_takes_them():
    with pytest.raises(UnknownAddress):
        TAKES.resolve(Message("/take/3/stop"))
    message = Message("/style/x/select", "", ())
    ((entry, path_id),) = TAKES.resolve(message)
    with pytest.raises(BadArguments, match="must be a whole number from 1 to 99, not the text 'x'"):
        bind(entry, message, path_id)


def test_wait_idle_is_not_needed_for_presence(start_session: StartSession):
    client = start_session(load_seconds=0.5).client()
    assert client.ask("/segue/test") == ("ok",)
    wait_idle(client)


def test_only_so_many_primes_are_read_at_a_time(ready: OscClient, tmp_path: Path, riff: Path):
    slow = riff.rename(tmp_path / "slow_riff.wav")
    for _ in range(9):
        ready.send("/segue/prime/file", str(slow))
    told = ready.wait("/segue/fail", "/segue/prime/file")
    assert told[1:] == (429, "queue_full", "8 primes are being read; wait until one of them is")
