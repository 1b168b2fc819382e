"""Every address of the table with wrong arguments, over real sockets: one named answer, and nothing has changed.

The cases are made from the table, so an address that is new is in them.
"""

from __future__ import annotations

import math
import socket
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.osc.addresses import TABLE
from bridge.osc.table import Argument, Entry, Kind, Role
from tests.bridge.client import OscClient
from tests.bridge.conftest import StartSession, wait_idle
from tests.bridge.test_session_failures import own_address
from tests.bridge.test_wire import built
from tests.osc.streams import TcpClient

ASKED = [entry for entry in TABLE if entry.role is not Role.NOTICE]
READ = [entry.address for entry in ASKED if entry.role in (Role.PROPERTY, Role.READOUT)]
MOVING = {"/segue/transport/playing", "/segue/audio/xruns"}  # change by themselves
UNANSWERED = {"/segue/beat"}  # what is right there is not answered: it comes on every beat
TALKATIVE = {"/segue/notify", "/segue/listen", "/segue/test"}  # would have us hear other things too
HUGE = 100_000  # bytes
OF_UDP = 60_000
NUMBERS = (
    ("f", math.nan),
    ("f", math.inf),
    ("d", -math.inf),
    ("d", 1e300),
    ("h", 2**62),
    ("h", -(2**63)),
    ("s", "seven"),
    ("s", ""),
    ("b", b"\0\1\2\3"),
    ("N", None),
)
TEXTS = (("b", b"\0\1\2\3"), ("N", None), ("f", math.nan), ("f", 0.5), ("d", math.inf), ("h", 2**62))

Pair = tuple[str, object]
Case = tuple[str, list[Pair]]  # an address and what is sent with it


def right(argument: Argument) -> Pair:
    """A value that the table takes."""
    if argument.kind is Kind.TEXT:
        return "s", argument.choices[0] if argument.choices else "nobody"
    low = argument.low if math.isfinite(argument.low) else 0.0
    return ("i", round(low)) if argument.kind is Kind.WHOLE else ("f", low)


def wrong(argument: Argument, longest: int) -> Iterator[Pair]:
    """Values that it does not."""
    if argument.kind is not Kind.TEXT:
        yield from NUMBERS
        if argument.low > -(2**31) and argument.kind is Kind.WHOLE:
            yield "i", round(argument.low) - 1
        return
    whole = [("h", 2**62)] if argument.number_too else []
    yield from (pair for pair in TEXTS if pair not in whole)
    yield "s", "x" * longest
    if argument.choices:
        yield from (("s", text) for text in ("", "neither") if text not in argument.choices)


def cases(longest: int) -> Iterator[Case]:
    for entry in ASKED:
        least = sum(not argument.optional for argument in entry.arguments)
        good = [right(argument) for argument in entry.arguments]
        yield entry.address, [*good, ("s", "one too many")]
        yield entry.address, [*good, ("f", -0.0), ("N", None)]
        for count in range(1 if entry.role is Role.PROPERTY else 0, least):
            yield entry.address, good[:count]
        for place, argument in enumerate(entry.arguments):
            for pair in wrong(argument, longest):
                yield entry.address, [*good[:place], pair, *good[place + 1 :]]


def is_press(entry: Entry, pairs: list[Pair]) -> bool:
    """Whether a button may send that: a lone value that is read as pressed."""
    return entry.press and len(pairs) == 1 and pairs[0][0] == "N"


def is_long(pairs: list[Pair]) -> bool:
    return any(isinstance(value, str) and len(value) > 50 for _, value in pairs)


def state(client: OscClient) -> dict[str, tuple[object, ...]]:
    """The value of everything that can be read."""
    return {address: client.ask(address) for address in READ if address not in MOVING}


def answers(client: OscClient) -> None:
    """Take in what has come until now; the loop is alive."""
    assert client.ask("/segue/test", timeout=60.0) == ("ok",)


@pytest.mark.parametrize("style", ["udp", pytest.param("size", marks=pytest.mark.slow), "slip"])
def test_every_address_refuses_what_is_wrong_once_and_by_name(
    start_session: StartSession, style: str
) -> None:
    running = start_session()
    client = running.client()
    wait_idle(client)
    sender = client if style == "udp" else TcpClient(running.port, style)
    before = state(client)
    asked: dict[str, Case] = {}
    for number, (address, pairs) in enumerate(cases(OF_UDP if style == "udp" else HUGE)):
        if is_press(TABLE.get(address), pairs) or (style == "slip" and not is_long(pairs)):  # type: ignore[arg-type]
            continue
        tag = f"#{number}"
        asked[tag] = (address, pairs)
        sender.send_raw(built(address, ("s", tag), *pairs))
        if number % 20 == 0:
            answers(sender)
    answers(sender)
    failures = [values for where, values in sender.heard if where == "/segue/fail"]
    told = Counter(str(values[-1]) for values in failures)
    silent = {tag: case for tag, case in asked.items() if told[tag] != 1}
    assert not silent, {
        tag: (told[tag], address, str(pairs)[:80]) for tag, (address, pairs) in silent.items()
    }
    assert len(failures) == len(asked)
    for address, code, slug, sentence, tag in failures:
        assert address == asked[tag][0]
        assert code in (400, 416, 422), (address, code, slug, sentence)
        assert slug != "internal" and len(sentence) < 400 and sentence.startswith(address), sentence
    assert {where for where, _ in sender.heard} <= {"/segue/fail", "/segue/test"}
    assert state(client) == before
    for one in {client, sender}:
        one.close()


def test_other_hosts_are_refused_what_is_for_this_machine(start_session: StartSession) -> None:
    """Every address of the table that says so, outputs that are files, and models by their folders."""
    own = own_address()
    client = start_session(setup={"host": own}).client()
    client.socket.close()
    client.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.socket.bind((own, 0))
    client.target = (own, client.target[1])
    wait_idle(client)
    local = [entry for entry in ASKED if entry.local_only]
    assert "/segue/quit" in {entry.address for entry in local}
    for entry in local:
        client.send_raw(built(entry.address, *map(right, entry.arguments)))
        sentence = f"{entry.address} is for this machine only; send it from there"
        assert client.wait("/segue/fail", entry.address)[1:4] == (403, "not_local", sentence)
    client.send("/segue/audio/device", "file:/tmp/out.wav")
    sentence = "/segue/audio/device file:... is for this machine only; name a device"
    assert client.wait("/segue/fail", "/segue/audio/device")[1:4] == (403, "not_local", sentence)
    client.send("/segue/model", "/etc")
    code, slug, sentence = client.wait("/segue/fail", "/segue/model")[1:4]
    assert (code, slug) == (403, "path_not_allowed")
    assert sentence.startswith("'/etc' is no model's name; other hosts may load mock, ")
    assert client.ask("/segue/audio/device") == ("none", 1)
    client.close()


odd = st.one_of(
    st.tuples(st.just("f"), st.sampled_from([-0.0, 0.0, 1.0, 0.5, 1e-30])),
    st.tuples(st.just("i"), st.sampled_from([0, 1, -1, 2, 127, 2**31 - 1])),
    st.tuples(
        st.just("s"),
        st.sampled_from(["", " ", "A01", "nobody", "/", "..", "%s{}", "x" * 4_096, "\u202e", "é" * 9]),
    ),
)
ENDING = {"/segue/quit", "/segue/model"}  # the session, or the model


@pytest.fixture
def quiet(start_session: StartSession) -> Iterator[OscClient]:
    client = start_session().client()
    wait_idle(client)
    yield client
    client.close()


@given(
    entry=st.sampled_from([entry for entry in ASKED if entry.address not in ENDING | UNANSWERED | TALKATIVE]),
    pairs=st.lists(odd, max_size=4),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_odd_is_answered_too(quiet: OscClient, entry: Entry, pairs: list[Pair]) -> None:
    """A value, done, the list that was asked for, or one failure; never nothing, but for the release of a button."""
    released = entry.press and [pair[1] for pair in pairs] == [0]
    quiet.send_raw(built(entry.address, ("s", "#odd"), *pairs))
    answers(quiet)
    if not released and not quiet.heard:
        quiet.listen(5.0)  # some things take a moment
    heard, quiet.heard = quiet.heard, []
    failures = [values for where, values in heard if where == "/segue/fail" and values[-1] == "#odd"]
    assert released or heard, "silence"
    assert len(failures) <= 1
    assert all(values[2] != "internal" for values in failures), failures
