"""The last bars of a live input become the prime: a real sound server, a client that plays into it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from bridge.session.capturing import InputSetup
from bridge.session.controllers import MidiSetup
from bridge.session.sound import SoundSetup
from bridge.session.stage import StageSetup
from bridge.supervision.engine_client import EngineSetup
from presets import default_riff
from tests.bridge.client import OscClient
from tests.bridge.conftest import StartSession, wait_idle
from tests.midi.fakes import FakeSystem, note
from tests.rig.jack import Feeder, JackServer, Recorder, feeder, jack_server, wait_until

__all__ = ["feeder", "jack_server"]  # fixtures are found by name
PADS = "Pads 24:0"
RATE = 44_100


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem(PADS)


@pytest.fixture
def client(
    start_session: StartSession, jack_server: JackServer, feeder: Feeder, system: FakeSystem, tmp_path: Path
) -> Iterator[OscClient]:
    stage = StageSetup(
        midi=MidiSetup(ports=("*",), path=tmp_path / "midi.toml", system=system),
        input=InputSetup("feeder"),
    )
    client = start_session(setup={"stage": stage, "sound": SoundSetup()}).client()
    wait_idle(client)
    wait_until(lambda: PADS in system.receivers)
    client.send("/segue/notify", 1)
    client.wait("/segue/done", "/segue/notify")
    wait_until(lambda: client.ask("/segue/input/device") == ("feeder", 1))
    yield client
    client.close()


def captured(takes: Path) -> np.ndarray:
    (path,) = (takes / "captures").glob("2*.wav")
    assert sf.info(path).subtype == "FLOAT"
    return sf.read(path, dtype="float32")[0]


def test_bars_end_at_the_downbeat(
    client: OscClient, feeder: Feeder, system: FakeSystem, tmp_path: Path
) -> None:
    """A count of seconds is played in: what is captured says when it was recorded."""
    client.send("/segue/sync/source", "internal")
    client.send("/segue/tempo", 240)
    client.send("/segue/transport/start")
    ramp = (np.arange(1, 8 * RATE + 1) / (10 * RATE)).astype(np.float32)
    feeder.feed(ramp)
    client.wait("/segue/beat", 22)
    system.arrive(PADS, note(44), at_ns=time.monotonic_ns())
    client.send("/segue/param/capture_bars", 2)
    client.wait("/segue/prime/capturing", 1)
    done = client.wait("/segue/prime", "P1")
    assert done[1] == pytest.approx(4.0, abs=0.01)  # four bars of a second: the pad came before the two
    assert done[2] == 240.0
    samples = captured(tmp_path / "takes")
    assert len(samples) == pytest.approx(4 * RATE, abs=3)
    seconds = samples[samples > 0].astype(float) * 10
    assert np.diff(seconds) == pytest.approx(1 / RATE, abs=2e-6)  # in one piece


@pytest.mark.slow
def test_seconds_without_a_tempo(client: OscClient, feeder: Feeder, tmp_path: Path) -> None:
    feeder.feed(np.full(2 * RATE, 0.25, np.float32))
    client.send("/segue/prime/capture", "#b", 2.0)
    failed = client.wait("/segue/fail", "/segue/prime/capture")
    assert failed[1:3] == (409, "no_tempo")
    assert "set /segue/tempo" in failed[3]
    client.send("/segue/prime/capture/seconds", 80)
    failed = client.wait("/segue/fail", "/segue/prime/capture/seconds")
    assert failed[1:3] == (422, "ring_too_short")
    client.send("/segue/prime/capture/seconds", "#s", 0.5)
    done = client.wait("/segue/done", "/segue/prime/capture/seconds")
    assert done[2:] == (0.5, RATE, "#s")
    assert len(captured(tmp_path / "takes")) == RATE // 2


@pytest.mark.slow
def test_an_input_that_quits_is_told_and_recorded_again_when_it_is_back(
    client: OscClient, feeder: Feeder, jack_server: JackServer, tmp_path: Path
) -> None:
    assert client.ask("/segue/input/latency")[0] >= 0.0
    feeder.close()
    assert client.wait("/segue/input/lost", timeout=60) == ("'feeder' has left the sound server",)
    assert client.ask("/segue/input/device") == ("", 1)
    client.send("/segue/prime/capture/seconds", 0.5)
    assert client.wait("/segue/fail", "/segue/prime/capture/seconds")[2] == "no_input"
    again = Feeder(jack_server, tmp_path)
    assert client.wait("/segue/input/device", "feeder", timeout=60) == ("feeder", 1)
    again.feed(np.full(2 * RATE, 0.25, np.float32))
    client.send("/segue/prime/capture/seconds", 0.5)
    client.wait("/segue/done", "/segue/prime/capture/seconds")
    assert len(captured(tmp_path / "takes")) == RATE // 2
    again.close()


def test_the_input_is_heard_beside_the_takes_as_loud_as_was_asked_for(
    client: OscClient, feeder: Feeder, jack_server: JackServer
) -> None:
    recorder = Recorder(jack_server)
    recorder.await_player()
    feeder.feed(np.full(RATE // 4, 0.25, np.float32))
    assert client.ask("/segue/param/monitor_db", -6.0) == (-6.0,)
    assert client.ask("/segue/param/mix") == (1.0,)
    assert client.ask("/segue/param/monitor_db/str") == ("-6 dB",)
    wait_until(lambda: (feeder.feed(np.full(RATE // 4, 0.25, np.float32)), len(recorder.sound()))[1], 30)
    assert recorder.sound().max() == pytest.approx(0.25 * 10 ** (-6 / 20), rel=1e-5)
    recorder.close()


@pytest.mark.slow
def test_the_input_begins_at_the_channel_that_was_asked_for(
    client: OscClient, jack_server: JackServer, tmp_path: Path
) -> None:
    """A client with two channels, 0.25 and 0.5: from the second one on, only that is recorded."""
    import jack

    mixer = jack.Client("mixer", no_start_server=True, servername=jack_server.name)
    ports = [mixer.outports.register(f"out_{side}") for side in (1, 2)]

    def process(_frames: int) -> None:
        for port, level in zip(ports, (0.25, 0.5), strict=True):
            port.get_array()[:] = level

    mixer.set_process_callback(process)
    mixer.activate()
    try:
        assert client.ask("/segue/input/device", "mixer", 2, timeout=60) == ("mixer", 2)
        client.drain(0.05)
        for beat in (0, 1, 0):
            client.wait("/segue/heartbeat", beat)  # a second each
        client.send("/segue/prime/capture/seconds", 0.5)
        client.wait("/segue/done", "/segue/prime/capture/seconds")
        assert np.array_equal(captured(tmp_path / "takes"), np.full(RATE // 2, 0.5, np.float32))
        client.send("/segue/input/device", "mixer", 3)
        failed = client.wait("/segue/fail", "/segue/input/device")
        assert "'mixer, JACK Audio Connection Kit' has 2 input(s) and no channel 3" in failed[3]
    finally:
        mixer.deactivate()
        mixer.close()


def test_no_input(start_session: StartSession) -> None:
    client = start_session().client()
    wait_idle(client)
    client.send("/segue/prime/capture/seconds", 2)
    assert client.wait("/segue/fail", "/segue/prime/capture/seconds")[1:4] == (
        409,
        "no_input",
        "no input is recorded; choose one with /segue/input/device, or start with --input",
    )
    client.send("/segue/input/device", "no such card")
    assert client.wait("/segue/fail", "/segue/input/device")[2] == "no_device"
    client.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_how_soon_after_the_downbeat_the_prime_is_ready(
    start_session: StartSession,
    jack_server: JackServer,
    feeder: Feeder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With what was played encoded ahead and without: four bars at 120, the pad a little before the downbeat."""
    engine = EngineSetup(model="starter", options={"backend": "onnx"})
    setup = {"stage": StageSetup(input=InputSetup("feeder")), "sound": SoundSetup(), "engine": engine}
    running = start_session(setup=setup)
    client = running.client()
    wait_idle(client, timeout=120)
    wait_until(lambda: client.ask("/segue/input/device") == ("feeder", 1))
    client.send("/segue/notify", 1)
    client.send("/segue/sync/source", "internal")
    client.send("/segue/tempo", 120)
    client.send("/segue/transport/start")
    riff, _ = sf.read(default_riff(), dtype="float32", always_2d=True)
    playing = threading.Thread(target=feeder.feed, args=(np.tile(riff[:, 0], 8)[: 50 * RATE],))
    playing.start()
    capturing, clock = running.session._stage.capturing, running.session._time
    client.wait("/segue/beat", 19, timeout=20)
    measured: dict[str, list[float]] = {"encoded ahead": [], "all at once": []}
    for number in range(8):
        way = list(measured)[number % 2]
        capturing._free = lambda way=way: way == "encoded ahead"
        client.wait("/segue/beat", 24 + 8 * number + 3, timeout=20)
        line = clock.state.timeline
        assert line is not None
        downbeat = line.ns_at(24 + 8 * number + 4)
        while time.monotonic_ns() < downbeat - 100_000_000:
            client.listen(0.002)
        client.send("/segue/prime/capture", 4)
        client.wait("/segue/done", "/segue/prime/capture", timeout=20)
        measured[way].append((time.monotonic_ns() - float(downbeat)) / 1e6)
    playing.join()
    with capsys.disabled():
        for way, times in measured.items():
            shown = ", ".join(f"{value:.0f}" for value in times)
            print(f"\n{way}: ready {np.median(times):.0f} ms after the downbeat ({shown})", end="")
    client.close()
    assert np.median(measured["encoded ahead"]) < np.median(measured["all at once"])
