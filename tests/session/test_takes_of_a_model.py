"""Takes that go on from takes, in a session with a model of the real code; and with engines that die."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from bridge.supervision.engine_client import EngineSetup, Patience
from engine.request import Fidelity, Mode
from engine.take import Take
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import RunningSession, StartSession, wait_idle
from tests.bridge.test_supervision import engine_pid, progress_beyond
from tests.host.tiny import make_tiny_model, write_riff
from tests.session.taking import record, subscribed


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def plucks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_riff(tmp_path_factory.mktemp("riff") / "plucks_240bpm.wav", 1.0)


def with_model(start_session: StartSession, tiny: Path, plucks: Path) -> tuple[RunningSession, OscClient]:
    running = start_session(setup={"engine": EngineSetup(model=str(tiny))})
    client = running.client()
    wait_idle(client, timeout=60)
    client.send("/segue/notify", 1)
    prime(client, plucks)
    return running, client


@pytest.mark.slow
def test_a_partial_take_goes_on_at_every_fidelity(
    start_session: StartSession, tiny: Path, plucks: Path
) -> None:
    _, client = with_model(start_session, tiny, plucks)
    client.send("/segue/param/seed", 5)
    client.send("/segue/generate", 20.0)
    progress_beyond(client, "J1", 0.02)
    client.send("/segue/cancel/keep")
    partial = record(client.wait("/segue/take", 1, timeout=30))
    client.wait("/segue/job", "J1", "cancelled")
    info = partial.info
    assert info.state == "partial" and info.held > info.frames
    inside = info.held / info.head.rate - 0.001
    for number, fidelity in enumerate(Fidelity, start=2):
        client.ask("/segue/param/fidelity", str(fidelity))
        client.send("/segue/continue", 1, 0.2, inside)
        told = client.wait("/segue/take", number, timeout=60)
        assert told[2] == "A01" and told[3] == pytest.approx(0.2, abs=1e-4)
        child = record(told)
        assert sorted(child.codes()) == list(range(fidelity.level, 3))
        used = child.info.prime_tokens[2]
        end = partial.codes()[2].size - (info.held - round(inside * info.head.rate)) // 128
        np.testing.assert_array_equal(child.codes()[2][:used], partial.codes()[2][end - used : end])
        assert child.prime().frames == info.head.prime_frames + round(inside * info.head.rate)


@pytest.mark.slow
def test_a_job_that_goes_on_from_what_was_kept_can_be_kept_itself(
    start_session: StartSession, tiny: Path, plucks: Path
) -> None:
    _, client = with_model(start_session, tiny, plucks)
    client.send("/segue/generate", 20.0)
    for number in range(1, 4):
        progress_beyond(client, f"J{number}", 0.02)
        client.send("/segue/cancel/keep")
        told = client.wait("/segue/take", number, timeout=30)
        assert (told[2], told[7]) == ("" if number == 1 else f"A0{number - 1}", "partial")
        client.send(f"/segue/continue/{number}", 20.0)
    assert record(told).info.head.request.mode is Mode.CONTINUE


@pytest.mark.slow
def test_a_child_of_a_killed_engine_is_gone_on_with(
    start_session: StartSession, tiny: Path, plucks: Path
) -> None:
    running, client = with_model(start_session, tiny, plucks)
    client.send("/segue/param/seed", 5)
    client.send("/segue/generate", 0.3)
    client.wait("/segue/take", 1, timeout=60)
    client.wait("/segue/job", "J1", "done")
    client.send("/segue/continue", 1, 1.5)
    progress_beyond(client, "J2", 0.3)
    os.kill(engine_pid(running), signal.SIGKILL)
    child = record(client.wait("/segue/take", 2, timeout=90))
    assert child.info.timings.runs == 2 and child.info.frames == round(1.5 * 44_100)


def test_what_a_hanging_engine_had_made_is_kept(start_session: StartSession, riff: Path) -> None:
    """It hangs, is asked to cancel and keep, and dies of its silence: the bridge keeps the take itself."""
    running = start_session(speed=4.0, patience=Patience(running=1.0))
    client = subscribed(running)
    prime(client, riff)
    client.ask("/segue/lyrics", "mock: hang at 0.3")
    client.send("/segue/generate", 8.0)
    progress_beyond(client, "J1", 0.1)
    client.wait("/segue/job", "J1", "window")
    pid = engine_pid(running)
    os.kill(pid, signal.SIGSTOP)
    client.send("/segue/cancel/keep")
    told = client.wait("/segue/take", 1, timeout=30)
    client.wait("/segue/job", "J1", "cancelled")
    assert told[7] == "partial" and Take.load(Path(str(told[8])).parent).info.held > 0
    assert engine_pid(running) != pid
