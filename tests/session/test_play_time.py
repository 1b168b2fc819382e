"""Musical time over OSC: sources, tempo, beats in and out, the grid."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.bridge.client import OscClient
from tests.bridge.conftest import StartSession, wait_idle


@pytest.fixture
def client(start_session: StartSession) -> Iterator[OscClient]:
    client = start_session().client()
    wait_idle(client)
    client.send("/segue/notify", 1)
    client.wait("/segue/done", "/segue/notify")
    yield client
    client.close()


def test_nothing_is_followed_and_no_tempo_known_at_first(client: OscClient) -> None:
    assert client.ask("/segue/sync/source") == ("none",)
    assert client.ask("/segue/tempo") == (0.0,)
    assert client.ask("/segue/signature") == (4, 4)
    assert client.ask("/segue/quantum") == (4.0,)
    assert client.ask("/segue/sync/locked") == (0,)
    assert client.ask("/segue/tempo", 87.5) == (87.5,)


def test_the_internal_clock_tells_every_beat_in_time(client: OscClient) -> None:
    client.send("/segue/sync/source", "internal")
    client.send("/segue/tempo", 240)
    client.send("/segue/transport/start")
    client.wait("/segue/done", "/segue/transport/start")
    heard = []
    for number in range(4, 17):
        client.wait("/segue/beat", number)
        heard.append(time.monotonic())
    assert heard[-1] - heard[0] == pytest.approx(12 * 0.25, abs=0.2)
    assert client.ask("/segue/transport/playing") == (1,)
    assert client.ask("/segue/sync/locked") == (1,)
    client.send("/segue/transport/stop")
    client.wait("/segue/transport/playing", 0)
    client.send("/segue/transport/locate", 64)
    client.send("/segue/transport/start")
    client.wait("/segue/beat", 64)


def test_beats_of_a_daw_tell_a_tempo_and_are_told_on(client: OscClient) -> None:
    other = OscClient(client.target[1])
    client.send("/segue/sync/source", "osc")
    begin = time.monotonic()
    for beat in range(8):
        while time.monotonic() < begin + beat * 0.3:
            time.sleep(0.001)
        other.send("/segue/beat", beat)
    (bpm,) = client.ask("/segue/tempo")
    assert bpm == pytest.approx(200.0, abs=4.0)
    client.wait("/segue/beat", 7)
    client.wait("/segue/beat", 8)  # goes on by itself
    other.send("/segue/beat", 100)
    assert "jumped from bar" in client.wait("/segue/error")[0]
    client.wait("/segue/beat", 101)
    assert client.ask("/segue/test") == ("ok",)
    other.close()


def test_the_grid_in_beats_and_bars(client: OscClient) -> None:
    client.send("/segue/signature", 7, 8)
    assert client.wait("/segue/signature", 7) == (7, 8)
    assert client.ask("/segue/quantum") == (3.5,)
    assert client.ask("/segue/quantum", 2) == (2.0,)
    assert client.ask("/segue/quantum/bars") == (pytest.approx(2 / 3.5),)
    assert client.ask("/segue/quantum/bars", 2) == (2.0,)
    assert client.ask("/segue/quantum") == (7.0,)
    assert client.ask("/segue/key", "F# minor") == ("F# minor",)


@pytest.mark.parametrize(
    ("address", "values", "slug", "words"),
    [
        ("/segue/sync/source", ("midy",), "out_of_range", "one of none, internal, midi, osc, link"),
        ("/segue/tempo", (500,), "out_of_range", "from 20 to 400"),
        ("/segue/signature", (4, 3), "out_of_range", "it must be 1, 2, 4, 8, 16 or 32"),
        ("/segue/key", ("H major",), "out_of_range", "C major"),
        ("/segue/transport/start", (), "follows", "send /segue/sync/source internal first"),
        ("/segue/beat", (-1,), "out_of_range", "from 0"),
        ("/segue/sync/locked", (1,), "bad_args", "/segue/sync/locked"),
    ],
)
def test_what_is_refused(
    client: OscClient, address: str, values: tuple[object, ...], slug: str, words: str
) -> None:
    client.send(address, *values)
    failed = client.wait("/segue/fail", address)
    assert failed[2] == slug
    assert words in failed[3]
