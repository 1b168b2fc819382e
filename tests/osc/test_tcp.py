from __future__ import annotations

import gc
import socket
import struct
import time
import weakref

import pytest

from bridge.osc import tcp
from tests.bridge.conftest import RunningSession, StartSession, wait_idle
from tests.bridge.test_wire import built, bundle
from tests.osc.streams import TcpClient

STYLES = ["size", "slip", "single"]


def poll(condition, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def connections(running: RunningSession) -> int:
    return len(running.session.endpoint.tcp.connections)


@pytest.mark.parametrize("style", STYLES)
def test_requests_are_answered_on_the_connection_in_its_framing(start_session: StartSession, style: str):
    client = TcpClient(start_session().port, style)
    assert client.ask("/segue/test") == ("ok",)
    assert client.ask("/segue/param/seed", 0xC0DBC0)[0] == 0xC0DBC0  # bytes that SLIP must escape
    client.send("/segue/nothing")
    assert client.wait("/segue/fail")[:3] == ("/segue/nothing", 404, "unknown_address")
    client.close()


@pytest.mark.parametrize("style", STYLES)
def test_subscribers_on_a_connection_hear_until_it_ends(start_session: StartSession, style: str):
    running = start_session()
    other, client = running.client(), TcpClient(running.port, style)
    client.ask("/segue/notify", 1, reply="/segue/done")
    other.send("/segue/param/seed", 77)
    assert client.wait("/segue/param/seed", 77) == (77,)
    assert client.wait("/segue/heartbeat") in ((0,), (1,))
    client.close()
    subscribers = running.session._subscribers
    assert poll(lambda: len(subscribers) == 0)
    assert other.ask("/segue/test") == ("ok",)


def test_a_client_that_is_local_may_use_what_is_for_this_machine(start_session: StartSession):
    client = TcpClient(start_session().port, "slip")
    assert client.ask("/segue/debug/dump", 0, reply="/segue/done") == ("/segue/debug/dump",)


def test_notices_by_udp_outlive_the_connection_that_asked_for_them(start_session: StartSession):
    running = start_session()
    display = running.client()
    asking = TcpClient(running.port, "size")
    asking.ask("/segue/notify", 1, display.port, reply="/segue/done")
    asking.close()
    assert poll(lambda: connections(running) == 0)
    running.client().send("/segue/param/seed", 5)
    display.wait("/segue/param/seed", 5)


def test_a_packet_may_come_byte_by_byte_and_two_at_once(start_session: StartSession):
    client = TcpClient(start_session().port, "size")
    whole = client.frame(built("/segue/param/seed", ("i", 3))) + client.frame(built("/segue/test"))
    for at in range(len(whole)):
        client.socket.sendall(whole[at : at + 1])
    assert client.wait("/segue/test") == ("ok",)
    client.socket.sendall(client.frame(built("/segue/param/seed", ("i", 4))) * 50)
    for _ in range(51):
        client.wait("/segue/param/seed")


def test_what_was_sent_before_the_end_is_carried_out_and_answered(start_session: StartSession):
    client = TcpClient(start_session().port, "slip")
    for number in range(200):
        client.send("/segue/param/seed", number)
    client.socket.shutdown(socket.SHUT_WR)
    answers = [client.wait("/segue/param/seed")[0] for _ in range(200)]
    assert answers == list(range(200))
    assert client.is_closed()


def test_a_megabyte_is_taken_and_more_is_refused(start_session: StartSession):
    running = start_session()
    client = TcpClient(running.port, "size")
    blob = built("/segue/test", ("b", bytes((1 << 20) - 40)))
    client.send_raw(blob)
    assert client.wait("/segue/fail")[2] == "bad_args"
    client.socket.sendall(struct.pack(">i", (1 << 20) + 4))
    assert client.is_closed()
    assert running.session.endpoint.malformed == 1


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 9, struct.pack(">i", 0), b"\xc0/a\xdb!\xc0"]
)
def test_a_stream_that_is_not_osc_is_closed(start_session: StartSession, data: bytes):
    running = start_session()
    client = TcpClient(running.port, "size")
    client.socket.sendall(data)
    assert client.is_closed()
    assert running.session.endpoint.malformed == 1
    assert running.client().ask("/segue/test") == ("ok",)


def test_a_packet_in_a_stream_that_is_not_osc_is_dropped_and_the_next_is_read(start_session: StartSession):
    client = TcpClient(start_session().port, "slip")
    client.send_raw(b"/a\0x")
    assert client.ask("/segue/test") == ("ok",)


def test_half_a_packet_and_silence_are_not_waited_for_without_end(
    start_session: StartSession, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tcp, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(tcp, "SWEEP_SECONDS", 0.05)
    running = start_session()
    silent, half, idle = (TcpClient(running.port, "size") for _ in range(3))
    half.socket.sendall(half.frame(built("/segue/test")) + b"\0\0")
    assert idle.ask("/segue/test") == ("ok",)
    assert silent.is_closed(5) and half.is_closed(5)
    assert idle.ask("/segue/test") == ("ok",)  # who has sent whole packets may be silent


def test_who_does_not_read_is_dropped(start_session: StartSession):
    running = start_session()
    client = TcpClient(running.port, "size")
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    ask = client.frame(built("/segue/refresh")) * 100
    client.socket.settimeout(2)
    with pytest.raises(OSError):
        for _ in range(2_000):
            client.socket.sendall(ask)
    assert poll(lambda: connections(running) == 0)
    assert running.session.endpoint.tcp.dropped == 1


def test_the_sixty_fifth_connection_costs_the_one_that_was_silent_for_longest(start_session: StartSession):
    running = start_session()
    clients = [TcpClient(running.port, "size") for _ in range(tcp.MAX_CONNECTIONS)]
    for client in clients:
        assert client.ask("/segue/test") == ("ok",)
    assert clients[0].ask("/segue/test") == ("ok",)
    late = TcpClient(running.port, "slip")
    assert late.ask("/segue/test") == ("ok",)
    assert clients[1].is_closed()
    assert clients[0].ask("/segue/test") == ("ok",)
    for client in [*clients, late]:
        client.close()


def test_a_flood_on_many_connections_keeps_nobody_waiting(start_session: StartSession):
    running = start_session()
    watcher = running.client()
    wait_idle(watcher)
    flooders = [TcpClient(running.port, style) for style in STYLES * 8]
    packet = bundle(*[built("/segue/param/se*")] * 8)
    watcher.ask("/segue/debug/pauses", 1, reply="/segue/debug/pauses.reply")
    for client in flooders:
        client.socket.setblocking(False)
    until = time.monotonic() + 3.0
    slowest = 0.0
    while time.monotonic() < until:
        for client in flooders:
            try:
                client.socket.send(client.frame(packet) * 20)
                client.socket.recv(1 << 20)
            except BlockingIOError:
                pass
            except OSError:
                client.close()
                flooders.remove(client)
                break
        began = time.monotonic()
        assert watcher.ask("/segue/test") == ("ok",)
        slowest = max(slowest, time.monotonic() - began)
    own_ms = watcher.ask("/segue/debug/pauses", reply="/segue/debug/pauses.reply")[1]
    assert 0.0 < own_ms < 50.0
    assert slowest < 1.0
    for client in flooders:
        client.close()


def test_connections_that_ended_leave_nothing_to_search_for(start_session: StartSession):
    """Reference counts alone free them, buffers of 64 KB included: whole searches are rare, and keep what survives."""
    running = start_session()
    gc.collect()
    gc.disable()
    try:
        gone = []
        for style in STYLES * 3:
            client = TcpClient(running.port, style)
            assert client.ask("/segue/test") == ("ok",)
            gone += [weakref.ref(one) for one in running.session.endpoint.tcp.connections]
            client.socket.sendall(b"\0\0\0\3")  # and a count that cannot be
            client.close()
            assert poll(lambda: connections(running) == 0)
        assert len(gone) == 9
        assert poll(lambda: all(one() is None for one in gone)), sum(one() is not None for one in gone)
    finally:
        gc.enable()
