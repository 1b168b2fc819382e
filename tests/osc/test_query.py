"""OSCQuery as a browser and as a program sees it: HTTP by the standard library, WebSocket by ``websockets``' client."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from bridge.cli import segue
from bridge.osc.addresses import TABLE
from bridge.osc.table import Role
from bridge.query.guard import may_ask
from bridge.query.server import MAX_CONNECTIONS
from engine.errors import Busy
from tests.bridge.client import messages_of
from tests.bridge.conftest import RunningSession, StartSession, wait_idle
from tests.bridge.test_wire import built
from tests.osc.test_tcp import poll


@pytest.fixture
def running(start_session: StartSession) -> RunningSession:
    made = start_session(setup={"query_ports": (0,)})
    wait_idle(made.client())
    return made


def query_port(running: RunningSession) -> int:
    address = running.session.query.address
    assert address is not None
    return address[1]


def get(running: RunningSession, path: str, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", query_port(running), timeout=10)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, json.loads(body) if body and response.status == 200 else None


Open = Callable[..., ClientConnection]


@pytest.fixture
def websocket(running: RunningSession) -> Iterator[Open]:
    with contextlib.ExitStack() as opened:

        def connected(**options: Any) -> ClientConnection:
            url = f"ws://127.0.0.1:{query_port(running)}/"
            return opened.enter_context(connect(url, compression=None, **options))

        yield connected


def heard(connection: ClientConnection, address: str) -> tuple[Any, ...]:
    while True:
        for known, values in messages_of(connection.recv(timeout=10)):
            if known == address:
                return values


def test_host_info_tells_where_osc_is(running: RunningSession):
    for path in ("/?HOST_INFO", "/segue?HOST_INFO"):
        status, info = get(running, path)
        assert status == 200
        assert (info["NAME"], info["OSC_TRANSPORT"]) == ("Segue", "UDP")
        assert (info["OSC_IP"], info["OSC_PORT"]) == ("127.0.0.1", running.port)
        assert info["WS_PORT"] == query_port(running)
        assert info["EXTENSIONS"]["LISTEN"] is True and info["EXTENSIONS"]["VALUE"] is True


def test_every_address_of_the_table_is_a_node(running: RunningSession):
    _, tree = get(running, "/")
    assert (tree["FULL_PATH"], tree["ACCESS"]) == ("/", 0)
    for entry in TABLE:
        node = tree
        for part in entry.address.split("/")[1:]:
            node = node["CONTENTS"][part]
        assert node["FULL_PATH"] == entry.address and node["DESCRIPTION"] == entry.doc
        assert node["ACCESS"] == {"property": 3, "verb": 2, "notice": 1, "readout": 1}[entry.role]
        if entry.role in (Role.PROPERTY, Role.READOUT):
            assert len(node["VALUE"]) == len(node["TYPE"]) > 0, entry.address


def test_a_property_with_its_limits_unit_and_present_value(running: RunningSession):
    running.client().ask("/segue/param/seconds", 12.5)
    status, node = get(running, "/segue/param/seconds")
    assert status == 200
    assert (node["TYPE"], node["VALUE"], node["UNIT"]) == ("f", [12.5], ["time.second"])
    assert node["RANGE"] == [{"MIN": 0.0, "MAX": 600.0}]
    assert get(running, "/segue/param/fidelity?RANGE") == (
        200,
        {"RANGE": [{"VALS": ["draft", "fine", "full"]}]},
    )
    assert get(running, "/segue/param/seconds?VALUE") == (200, {"VALUE": [12.5]})
    assert get(running, "/segue/generate?TYPE") == (200, {"TYPE": "I"})


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/segue/nothing", 404),
        ("/segue/param/seed?NONSENSE", 400),
        ("/segue/test?VALUE", 204),
        ("/segue/param?TYPE", 204),
        ("/segue/param/", 200),
        ("/%2e%2e/etc/passwd", 404),
    ],
)
def test_status_codes_are_those_of_the_proposal(running: RunningSession, path: str, status: int):
    assert get(running, path)[0] == status


def test_values_stream_to_who_listens_until_ignored(running: RunningSession, websocket: Open):
    connection, client = websocket(), running.client()
    connection.send(json.dumps({"COMMAND": "LISTEN", "DATA": "/segue/param/seed"}))
    heard(connection, "/segue/param/seed")
    client.send("/segue/param/temperature", 0.5)
    client.send("/segue/param/seed", 4711)
    assert heard(connection, "/segue/param/seed") == (4711,)
    connection.send(json.dumps({"COMMAND": "IGNORE", "DATA": "/segue/param/seed"}))
    assert poll(lambda: not running.session._subscribers.heard("/segue/param/seed"))
    client.ask("/segue/param/seed", 1)
    with pytest.raises(TimeoutError):
        connection.recv(timeout=0.2)


def test_osc_packets_are_taken_and_answered_on_the_websocket(running: RunningSession, websocket: Open):
    connection = websocket()
    connection.send(built("/segue/param/seed", ("i", 12)))
    assert heard(connection, "/segue/param/seed") == (12,)
    connection.send(built("/segue/nothing"))
    assert heard(connection, "/segue/fail")[2] == "unknown_address"
    connection.send(b"not osc")
    connection.send(built("/segue/test"))
    assert heard(connection, "/segue/test") == ("ok",)
    assert running.session.endpoint.malformed == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '{"COMMAND": "LISTEN"}',
        '{"COMMAND": "LISTEN", "DATA": 3}',
        '{"COMMAND": "LISTEN", "DATA": "/x"}',
        "[" * 1000,
        "x" * 5000,
    ],
)
def test_commands_that_are_none_do_no_harm(running: RunningSession, websocket: Open, text: str):
    connection = websocket()
    connection.send(text)
    connection.send(built("/segue/test"))
    assert heard(connection, "/segue/test") == ("ok",)


def test_styles_are_listed_once_the_model_is_there_and_that_is_told(start_session: StartSession):
    running = start_session(setup={"query_ports": (0,)}, load_seconds=4.0)
    url = f"ws://127.0.0.1:{query_port(running)}/"
    with connect(url, compression=None) as connection:
        assert get(running, "/segue/style?RANGE")[0] == 204
        assert json.loads(connection.recv(timeout=20)) == {"COMMAND": "PATH_CHANGED", "DATA": "/segue/style"}
        _, node = get(running, "/segue/style?RANGE")
        assert {"house", "lofi"} <= set(node["RANGE"][0]["VALS"])


def test_a_page_from_elsewhere_is_refused(running: RunningSession, websocket: Open):
    assert get(running, "/", Origin="http://evil.example")[0] == 403
    assert get(running, "/", Host="evil.example")[0] == 403  # a name that was pointed at this machine
    for origin in ("http://evil.example", "null", "https://127.0.0.1.evil.example"):
        with pytest.raises(InvalidStatus) as caught:
            websocket(origin=origin)
        assert caught.value.response.status_code == 403
    assert websocket(origin="http://localhost:3000").recv is not None


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("127.0.0.1:19771", None, True),
        ("localhost:19771", None, True),
        ("[::1]:19771", None, True),
        ("192.168.1.5:19771", None, True),
        ("192.168.1.5:19771", "http://192.168.1.5:19771", True),
        ("192.168.1.5:19771", "http://192.168.1.6:19771", False),
        ("127.0.0.1:19771", "http://127.0.0.1:8080", True),
        ("127.0.0.1:19771", "null", False),
        ("127.0.0.1:19771", "file://", False),
        ("evil.example", "http://evil.example", False),
        ("", None, False),
        (None, None, False),
        ("[bad", None, False),
    ],
)
def test_who_may_ask(host: str | None, origin: str | None, allowed: bool):
    assert may_ask(host, origin, {"localhost"}) is allowed


def test_too_many_are_turned_away(running: RunningSession, websocket: Open):
    for _ in range(MAX_CONNECTIONS):
        websocket()
    with pytest.raises(InvalidStatus) as caught:
        websocket()
    assert caught.value.response.status_code == 503
    assert get(running, "/?HOST_INFO")[0] == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 64,
        b"GET / HTTP/1.1\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_what_is_not_http_does_no_harm(running: RunningSession, data: bytes):
    with socket.create_connection(("127.0.0.1", query_port(running)), timeout=10) as raw:
        raw.sendall(data)
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(65536):
            pass
    assert get(running, "/?HOST_INFO")[0] == 200


def test_a_port_that_is_taken_is_named_with_the_option(start_session: StartSession, running: RunningSession):
    with pytest.raises(Busy, match="is in use; use --query-port with another number, or none"):
        start_session(setup={"query_ports": (query_port(running),)})


def test_a_port_that_is_taken_is_passed_over_when_others_will_do(
    start_session: StartSession, running: RunningSession
):
    other = start_session(setup={"query_ports": (query_port(running), 0)})
    assert query_port(other) != query_port(running)
    assert get(other, "/?HOST_INFO")[1]["OSC_PORT"] == other.port


@pytest.mark.parametrize("asked", ["x", "-1", "65536", ""])
def test_a_port_that_is_none_is_refused(asked: str):
    done = CliRunner().invoke(segue, ["serve", "--query-port", asked])
    assert (done.exit_code, done.output) == (
        2,
        f"segue: the port of OSCQuery is {asked}; it must be from 1 to 65535, 0 for a free one, auto or none\n",
    )
