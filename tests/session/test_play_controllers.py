"""Controllers in a session: what they do is what OSC does, and they show what is true."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mido
import pytest

from bridge.midi.actions import ACTIONS, Kind
from bridge.osc.addresses import TABLE
from bridge.session.controllers import ADDRESSES, MidiSetup
from bridge.session.stage import StageSetup
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import StartSession, wait_idle
from tests.midi.fakes import FakeSystem, cc, note, program

PADS = "Pads 24:0"


def until(condition: Callable[[], object], client: OscClient, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        client.listen(0.005)
        assert time.monotonic() < end


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem(PADS)


@pytest.fixture
def client(start_session: StartSession, system: FakeSystem, tmp_path: Path) -> Iterator[OscClient]:
    stage = StageSetup(midi=MidiSetup(ports=("*",), path=tmp_path / "midi.toml", system=system))
    client = start_session(setup={"stage": stage}).client()
    wait_idle(client)
    client.send("/segue/notify", 1)
    client.wait("/segue/done", "/segue/notify")
    until(lambda: PADS in system.receivers, client)
    client.drain()
    yield client
    client.close()


def play(system: FakeSystem, *messages: mido.Message) -> None:
    system.arrive(PADS, *messages, at_ns=time.monotonic_ns())


def test_every_action_has_an_address_of_the_table() -> None:
    acting = {action.name for action in ACTIONS if action.kind is not Kind.CLOCK}
    assert acting == set(ADDRESSES)
    assert set(ADDRESSES.values()) <= {entry.address for entry in TABLE}


def test_programs_choose_presets_and_light_their_pads(client: OscClient, system: FakeSystem) -> None:
    play(system, program(2))
    name, place = client.wait("/segue/style")
    assert place == 3
    until(lambda: (0x9F, 38, 127) in system.sent(PADS), client)
    play(system, note(36))
    assert client.wait("/segue/style")[1] == 1
    until(lambda: (0x9F, 36, 127) in system.sent(PADS), client)
    play(system, cc(28, 2))  # two steps to the right
    assert client.wait("/segue/style")[0] == name
    play(system, cc(0, 2), program(9))
    assert client.wait("/segue/error") == (
        "there is no preset at program 9 of bank 2; `segue presets list` shows them",
    )


def test_knobs_set_parameters_and_show_those_that_others_set(client: OscClient, system: FakeSystem) -> None:
    client.send("/segue/param/temperature", 2.0)
    until(lambda: (0xBF, 20, 127) in system.sent(PADS), client)
    play(system, cc(20, 120), cc(20, 127), cc(20, 0))
    until(lambda: client.ask("/segue/param/temperature") == (pytest.approx(0.05),), client)
    client.send("/segue/param/bars", 8)
    client.wait("/segue/param/bars", 8.0)
    play(system, cc(31, 0))
    client.send("/segue/param/gain_db", -6.0)
    assert client.wait("/segue/param/gain_db") == (-6.0,)
    until(lambda: (0xBF, 26, round(127 * 54 / 66)) in system.sent(PADS), client)


def test_a_take_from_the_pads(client: OscClient, system: FakeSystem, riff: Path) -> None:
    play(system, note(45))
    assert "there is no prime yet" in client.wait("/segue/error")[0]
    prime(client, riff)
    client.send("/segue/param/seconds", 0.5)
    play(system, note(45, channel=16))
    client.wait("/segue/job", "J1", "done")
    client.wait("/segue/sounding", "J1", "end")
    sent = system.sent(PADS)
    assert (0x9F, 52, 127) in sent  # the first slot is filled
    play(system, note(52))
    client.wait("/segue/sounding", "1", "start")
    client.wait("/segue/sounding", "1", "end")
    play(system, note(55))
    assert "there is no take '4'; the only take is A01" in client.wait("/segue/error")[0]
    play(system, note(52))
    client.wait("/segue/sounding", "1", "start")
    play(system, cc(123, 0))
    client.wait("/segue/sounding", "1", "stopped")


def test_learning_over_osc(client: OscClient, system: FakeSystem) -> None:
    client.send("/segue/midi/learn", "#l", "panic")
    time.sleep(0)
    client.ask("/segue/test")
    play(system, note(99, channel=3))
    assert client.wait("/segue/done", "/segue/midi/learn") == (
        "/segue/midi/learn",
        "panic",
        "note 99 on channel 3 of Pads",
        "#l",
    )
    assert client.ask("/segue/midi/forget", "panic", reply="/segue/done")[1] == 1
    client.send("/segue/midi/ports")
    assert client.wait("/segue/midi/ports.item") == ("Pads",)
    client.send("/segue/midi/learn", "panik")
    failed = client.wait("/segue/fail", "/segue/midi/learn")
    assert failed[2:4] == ("no_action", "there is no action 'panik'; the nearest is 'panic'")


def test_midi_clock_is_followed(client: OscClient, system: FakeSystem) -> None:
    client.send("/segue/sync/source", "midi")
    begin = time.monotonic_ns()
    receive = system.receivers[PADS]
    receive(b"\xfa", begin)
    for tick in range(60):  # at 150 bpm
        at = begin + round(tick * 60e9 / 150 / 24)
        while time.monotonic_ns() < at:
            time.sleep(0.001)
        receive(b"\xf8", at)
    assert client.ask("/segue/tempo")[0] == pytest.approx(150.0, abs=0.05)
    client.wait("/segue/sync/locked", 1)
    client.send("/segue/tempo", 99)
    assert client.wait("/segue/fail", "/segue/tempo")[2] == "follows"
    client.wait("/segue/beat", 2)
    sentence = client.wait("/segue/error")[0]  # no tick any more
    assert sentence == "the MIDI clock has stopped coming; start it again in the DAW"
    client.wait("/segue/transport/playing", 0)
    assert client.ask("/segue/test") == ("ok",)


def test_a_session_without_midi_says_so(start_session: StartSession) -> None:
    client = start_session().client()
    wait_idle(client)
    client.send("/segue/midi/ports")
    assert client.wait("/segue/fail", "/segue/midi/ports")[1:4] == (
        503,
        "no_midi",
        "this session runs without MIDI; start it without --no-midi",
    )
    client.close()
