"""The engine process dies, hangs or cannot start; the session reports it and goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile as sf

from bridge.supervision.backoff import Backoff
from bridge.supervision.engine_client import Patience
from engine.host.jobs import SIDE_BY_SIDE
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import RunningSession, StartSession, wait_idle


def engine_pid(running: RunningSession) -> int:
    pid = running.session.engine.pid
    assert pid is not None
    return pid


def started(start_session: StartSession, riff: Path, **options: object) -> tuple[RunningSession, OscClient]:
    running = start_session(**options)
    client = running.client()
    wait_idle(client)
    client.send("/segue/notify", 1)
    prime(client, riff)
    client.send("/segue/param/seed", 21)
    return running, client


def progress_beyond(client: OscClient, job: str, least: float) -> None:
    while client.wait("/segue/job", job)[2] < least:
        pass


def test_delays_grow_by_half_and_the_sixth_restart_in_a_minute_is_refused():
    now = [100.0]
    backoff = Backoff(lambda: now[0])
    assert [backoff.next_delay() for _ in range(5)] == pytest.approx([0.1, 0.15, 0.225, 0.3375, 0.50625])
    assert backoff.next_delay() is None
    now[0] += 61.0
    assert backoff.next_delay() == pytest.approx(0.1)


def test_deaths_of_a_process_that_worked_in_between_do_not_add_up():
    backoff = Backoff(lambda: 100.0)
    for _ in range(20):
        assert backoff.next_delay() == pytest.approx(0.1)
        backoff.worked()


def test_a_killed_engine_is_replaced_and_the_take_completed(
    start_session: StartSession, riff: Path, tmp_path: Path
):
    sink, diary = tmp_path / "heard.wav", tmp_path / "diary.jsonl"
    running, client = started(start_session, riff, speed=2.0, device=f"file:{sink}", diary=str(diary))
    client.send("/segue/generate", 4.0)
    calm = client.wait("/segue/take", 1)[8]
    client.wait("/segue/sounding", "J1", "end")
    client.send("/segue/generate", "#k", 4.0)
    progress_beyond(client, "J2", 0.6)
    first = engine_pid(running)
    os.kill(first, signal.SIGKILL)
    assert "the engine died (signal 9)" in client.wait("/segue/error")[0]
    client.wait("/segue/state", "restarting")
    path = client.wait("/segue/take", 2, timeout=20)[8]
    assert client.wait("/segue/job", "J2", "done") == ("J2", "done", 1.0, 0.0, "#k")
    client.wait("/segue/sounding", "J2", "end")
    terminal = [
        v
        for a, v in client.drain()
        if a == "/segue/job" and v[0] == "J2" and v[1] in ("done", "failed", "cancelled")
    ]
    assert terminal == [] and engine_pid(running) != first and not psutil.pid_exists(first)
    lines = [json.loads(line) for line in diary.read_text().splitlines()]
    whole, rest = (  # tokens of the bottom level: of the calm take, and by the second engine
        sum(
            entry["tokens"]
            for entry in lines
            if entry["what"] == "sampled" and entry["level"] == 0 and chosen(entry)
        )
        for chosen in (lambda entry: True, lambda entry: entry["pid"] != first)
    )
    assert 0 < rest < 0.35 * whole  # (of two takes) it went on, not from the beginning
    assert json.loads((Path(path).parent / "take.json").read_text())["timings"]["runs"] == 2
    running.stop()
    take = sf.read(path, dtype="float32")[0]
    assert take.size == 176_400 and np.array_equal(take, sf.read(calm, dtype="float32")[0])
    heard = sf.read(sink, dtype="float32")[0]
    assert covers(heard[take.size :], take)


def covers(heard: np.ndarray, take: np.ndarray) -> bool:
    """Whether all of a take was played, in order; around a gap 5 ms may be faded."""
    at, limit = int(np.argmax(heard != 0.0)) - int(np.argmax(take != 0.0)), 2**-23
    done = 0
    while done < take.size:
        same = np.abs(heard[at : at + take.size - done] - take[done : done + heard.size - at]) <= limit
        run = same.size if same.all() else int(np.argmin(same))
        if run < 441:
            return False
        done += run
        if done < take.size:  # a gap: find the next 10 ms of the take, after the fade
            piece = take[done + 256 : done + 256 + 441]
            rest = np.lib.stride_tricks.sliding_window_view(heard[at + run :], piece.size)
            hits = np.flatnonzero(np.abs(rest - piece).max(axis=1) <= limit)
            if not hits.size:
                return False
            at, done = at + run + int(hits[0]), done + 256
    return True


def test_a_hung_engine_is_killed_and_replaced(start_session: StartSession, riff: Path):
    running, client = started(start_session, riff, speed=2.0, patience=Patience(running=1.0))
    client.send("/segue/generate", 3.0)
    progress_beyond(client, "J1", 0.2)
    os.kill(engine_pid(running), signal.SIGSTOP)
    assert "the engine died (signal 9)" in client.wait("/segue/error")[0]
    client.wait("/segue/job", "J1", "done", timeout=20)


@pytest.mark.slow
def test_the_engine_dies_between_two_takes(start_session: StartSession, riff: Path):
    running, client = started(start_session, riff, speed=1.0)
    client.send("/segue/param/takes", SIDE_BY_SIDE + 2)
    client.send("/segue/generate", 1.0)
    assert [client.wait("/segue/take", number, timeout=40)[5] for number in range(1, SIDE_BY_SIDE + 1)][
        -1
    ] == 20 + SIDE_BY_SIDE
    os.kill(engine_pid(running), signal.SIGKILL)  # the last two are made after the others
    assert client.wait("/segue/take", SIDE_BY_SIDE + 1, timeout=40)[5] == 21 + SIDE_BY_SIDE
    assert client.wait("/segue/take", SIDE_BY_SIDE + 2, timeout=40)[5] == 22 + SIDE_BY_SIDE
    told = [values[2] for address, values in client.heard if address == "/segue/job"]
    assert told == sorted(told)  # progress never goes back
    client.wait("/segue/job", "J1", "done")


def test_a_prime_that_kills_the_engine_is_given_up_and_the_session_lives(
    start_session: StartSession, riff: Path, tmp_path: Path
):
    poison = tmp_path / "poison.wav"
    shutil.copy(riff, poison)
    _, client = started(start_session, riff)
    client.send("/segue/prime/file", str(poison))
    _, code, slug, message = client.wait("/segue/fail", "/segue/prime/file", timeout=20)
    assert (code, slug) == (415, "bad_format")
    assert message == "the engine died twice while reading poison.wav; use another file"
    client.send("/segue/generate", 0.2)  # with the prime that was there before
    client.wait("/segue/job", "J1", "done")


def test_an_engine_that_cannot_live_is_given_up_after_five_restarts(start_session: StartSession):
    running = start_session(model="mock-crash")
    client = running.client()
    client.send("/segue/notify", 1)
    client.wait("/segue/state", "failed", timeout=60)
    sentence = "the engine has failed: it died six times within a minute; see the log, then start Segue again"
    client.wait("/segue/error", sentence)
    client.send("/segue/generate")
    assert client.wait("/segue/fail")[3] == sentence


def test_cancelling_while_the_engine_is_away_ends_the_job(start_session: StartSession, riff: Path):
    running, client = started(start_session, riff, speed=1.0, load_seconds=0.5)
    client.send("/segue/generate", 10.0)
    progress_beyond(client, "J1", 0.02)
    os.kill(engine_pid(running), signal.SIGKILL)
    client.wait("/segue/state", "restarting")
    client.send("/segue/cancel")
    client.wait("/segue/job", "J1", "cancelled")
    wait_idle(client)
    assert [v for a, v in client.drain() if a == "/segue/job"] == []


def test_nothing_is_left_behind(start_session: StartSession, riff: Path):
    before = {path.name for path in Path("/dev/shm").glob(f"segue-{os.getpid()}-*")}
    running, client = started(start_session, riff)
    client.send("/segue/generate", 20.0)
    client.wait("/segue/job", "J1", "running")
    assert {path.name for path in Path("/dev/shm").glob(f"segue-{os.getpid()}-*")} != before
    engine, sound = engine_pid(running), running.session.sound.pid
    running.stop()
    assert not psutil.pid_exists(engine) and sound is not None and not psutil.pid_exists(sound)
    assert {path.name for path in Path("/dev/shm").glob(f"segue-{os.getpid()}-*")} == before
