"""Sound devices over OSC: a session in a thread of its own, a sound server without hardware, a UDP client."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile as sf

from bridge.session.sound import SoundSetup
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import StartSession, wait_idle
from tests.rig.jack import JackServer, jack_server

__all__ = ["jack_server"]


@pytest.fixture
def silent(start_session: StartSession) -> OscClient:
    """A subscribed client of a session that plays into nothing."""
    client = start_session().client()
    wait_idle(client)
    client.send("/segue/notify", 1)
    client.drain()
    return client


def test_what_plays_is_told_and_can_be_changed_while_it_plays(silent: OscClient, riff: Path, tmp_path: Path):
    assert silent.ask("/segue/audio/device") == ("none", 1)
    prime(silent, riff)
    silent.send("/segue/generate", 3.0)
    silent.wait("/segue/sounding", "J1", "start")
    target = tmp_path / "heard.wav"
    silent.send("/segue/audio/device", "#7", f"file:{target}")
    name, rate, latency, tag = silent.wait("/segue/done", "/segue/audio/device")[1:]
    assert (name, rate, tag) == (f"file:{target}", 44_100, "#7") and latency > 0
    assert silent.wait("/segue/audio/open")[:2] == (f"file:{target}", 44_100)
    assert silent.ask("/segue/audio/device") == (f"file:{target}", 1)
    assert silent.ask("/segue/audio/latency") == (pytest.approx(latency),)
    assert silent.wait("/segue/sounding", "J1", "end", timeout=20)[2] == pytest.approx(3.0, abs=0.01)
    silent.ask("/segue/audio/device", "none", reply="/segue/done")
    assert 0.5 < sf.info(target).duration <= 3.0


def test_a_device_that_is_not_there_is_refused_and_what_plays_goes_on(silent: OscClient):
    silent.send("/segue/audio/device", "#1", "Lautsprecher")
    _, code, slug, message, tag = silent.wait("/segue/fail", "/segue/audio/device")
    assert (code, slug, tag) == (404, "no_device", "#1") and "Lautsprecher" in message
    assert silent.ask("/segue/audio/device") == ("none", 1)
    code, slug, message = silent.ask("/segue/audio/device", "file:", reply="/segue/fail")[1:4]
    assert (code, slug) == (404, "no_device") and "names no file" in message


def test_of_many_wishes_for_an_output_one_is_carried_out_at_a_time(silent: OscClient):
    for _ in range(20):
        silent.send("/segue/audio/device", "none")
    silent.wait("/segue/done", "/segue/audio/device")
    _, code, slug, message = silent.wait("/segue/fail", "/segue/audio/device")
    assert (code, slug) == (409, "busy") and "another output is being opened" in message
    assert silent.ask("/segue/audio/device", "none", reply="/segue/done")[0] == "/segue/audio/device"


def test_devices_are_listed_and_a_sound_server_that_comes_later_is_found(
    silent: OscClient, jack_server: JackServer
):
    silent.send("/segue/audio/devices")
    (total,) = silent.wait("/segue/audio/devices.end")
    items = [silent.wait("/segue/audio/devices.item", number) for number in range(1, total + 1)]
    assert ("system", "JACK Audio Connection Kit", 2, 2, 44_100) in [item[1:] for item in items]
    name = silent.ask("/segue/audio/device", "system", 1, reply="/segue/done")[1]
    assert name == "system, JACK Audio Connection Kit"
    assert silent.ask("/segue/audio/device") == ("system", 1)


@pytest.mark.slow
def test_meters_come_to_those_who_listen_to_them_only(silent: OscClient, riff: Path):
    prime(silent, riff)
    silent.send("/segue/generate", 4.0)
    silent.wait("/segue/sounding", "J1", "start")
    assert not [address for address, _ in silent.drain(0.4) if address.startswith("/segue/meter")]
    silent.send("/segue/listen", "/segue/meter/*", 1)
    left, right = silent.wait("/segue/meter/out")
    while left == 0.0:
        left, right = silent.wait("/segue/meter/out")
    assert 0.0 < left <= 1.0 and left == right
    assert silent.wait("/segue/meter/in") == (0.0, 0.0)
    silent.send("/segue/listen", "/segue/meter/*", 0)
    silent.drain(0.4)
    assert not [address for address, _ in silent.drain(0.4) if address.startswith("/segue/meter")]


def test_the_loss_of_the_sound_server_is_told(start_session: StartSession, jack_server: JackServer):
    client = start_session(setup={"sound": SoundSetup("system")}).client()
    wait_idle(client)
    client.send("/segue/notify", 1)
    client.wait("/segue/state", "idle")
    assert client.ask("/segue/audio/xruns")[0] == 0
    jack_server.kill()
    (reason,) = client.wait("/segue/audio/lost", timeout=15)
    assert "system" in reason or "sound" in reason
    assert client.ask("/segue/audio/rate") == (0,)
