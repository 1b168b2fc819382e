"""A session over real UDP, with the mock engine in a process of its own and the real audio process."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import StartSession, wait_idle


def test_test_version_and_status(ready: OscClient):
    assert ready.ask("/segue/test") == ("ok",)
    name, _version, protocol, _commit = ready.ask("/segue/version", reply="/segue/version.reply")
    assert (name, protocol) == ("segue", 1)
    status = ready.ask("/segue/status", reply="/segue/status.reply")
    assert status == ("idle", "mock", "none", 0, "", 0.0, 0.0, 0.0, 0, 0.0)


def test_a_riff_goes_in_and_a_take_comes_out(ready: OscClient, riff: Path):
    ready.send("/segue/notify", 1)
    assert ready.wait("/segue/done", "/segue/notify") == ("/segue/notify", 1, 600)
    ready.send("/segue/prime/file", str(riff), "#p")
    prime(ready, riff)
    assert ready.wait("/segue/fail", "/segue/prime/file")[1:3] == (
        400,
        "bad_args",
    )  # the tag leads, never trails
    assert ready.wait("/segue/prime", "P1") == ("P1", 2.0, 0.0, "riff.wav")
    ready.send("/segue/param/seed", 7)
    ready.send("/segue/generate", "#g", 1.5)
    _, job, tag = ready.wait("/segue/done", "/segue/generate")
    assert tag == "#g"
    _, name, _, seconds, _, seed, _, state, path = ready.wait("/segue/take", 1)
    assert (name, seconds, seed, state) == ("A01", 1.5, 7, "done")
    assert ready.wait("/segue/job", job, "done") == (job, "done", 1.0, 0.0, "#g")
    assert ready.wait("/segue/sounding", job, "end")[2] == 1.5
    samples, rate = sf.read(path, dtype="float32")
    assert (rate, samples.size) == (44_100, 66_150) and np.abs(samples).max() > 0.2
    asked = json.loads((Path(path).parent / "request.json").read_text())["request"]
    assert (asked["seed"], asked["frames"], asked["prime"]["path"]) == (7, 66_150, str(riff))
    for number, (wanted, same) in enumerate(((7, True), (8, False)), start=2):
        ready.send("/segue/param/seed", wanted)
        ready.send("/segue/generate", 1.5)
        again = sf.read(ready.wait("/segue/take", number)[8], dtype="float32")[0]
        assert np.array_equal(samples, again) is same


def test_what_is_played_is_the_take(start_session: StartSession, riff: Path, tmp_path: Path):
    sink = tmp_path / "heard.wav"
    running = start_session(device=f"file:{sink}")
    client = running.client()
    wait_idle(client)
    client.send("/segue/notify", 1)
    prime(client, riff)
    client.send("/segue/param/seed", 3)
    client.send("/segue/generate", 1.25)
    path = client.wait("/segue/take")[8]
    client.wait("/segue/sounding", "J1", "end")
    assert client.ask("/segue/status", reply="/segue/status.reply")[2] == f"file:{sink}"
    running.stop()
    heard, _ = sf.read(sink, dtype="float32")
    take, _ = sf.read(path, dtype="float32")
    assert take.size == 55_125 and np.abs(take).max() > 0.2
    begin = int(np.argmax(heard != 0.0)) - int(np.argmax(take != 0.0))
    assert np.max(np.abs(heard[begin : begin + take.size] - take)) < 2**-23


def test_jobs_are_told_to_every_subscriber_and_answers_to_the_sender_only(
    start_session: StartSession, riff: Path
):
    running = start_session()
    one, two = running.client(), running.client()
    wait_idle(one)
    one.send("/segue/notify", 1)
    two.send("/segue/notify", 1)
    assert two.wait("/segue/done", "/segue/notify")[1] == 2
    prime(one, riff)
    one.send("/segue/generate", 0.5)
    for client in (one, two):
        client.wait("/segue/job", "J1", "done")
    heard = one.drain() + two.drain()
    assert [address for address, _ in two.heard if address == "/segue/done"] == []
    assert not [values for address, values in heard if address == "/segue/fail"]


def test_every_job_ends_in_exactly_one_terminal_state(ready: OscClient, riff: Path):
    ready.send("/segue/notify", 1)
    prime(ready, riff)
    for _ in range(4):
        ready.send("/segue/generate", 1.5)
    ready.wait("/segue/done", "/segue/generate", "J4")
    ready.send("/segue/cancel", "J3")  # queued
    ready.wait("/segue/job", "J1", "running")
    ready.send("/segue/cancel")  # running
    assert ready.wait("/segue/done", "/segue/cancel", "J1")
    ready.wait("/segue/job", "J4", "done", timeout=20)
    states = {"J3": ["cancelled"], "J1": ["cancelled"], "J2": ["done"], "J4": ["done"]}
    told: dict[str, list[str]] = {job: [] for job in states}
    told["J4"].append("done")
    for address, values in ready.drain():
        if address == "/segue/job" and values[1] in ("done", "failed", "cancelled"):
            told[values[0]].append(values[1])
    assert told == states
    ready.send("/segue/cancel", "J1")
    assert ready.wait("/segue/fail", "/segue/cancel")[1:4] == (
        404,
        "no_job",
        "there is no job J1 queued or running",
    )


def test_a_job_cancelled_before_the_engine_has_found_its_ring_is_cancelled(
    start_session: StartSession, riff: Path
):
    running = start_session(attach_seconds=0.5)
    client = running.client()
    wait_idle(client)
    client.send("/segue/notify", 1)
    prime(client, riff)
    client.send("/segue/generate", 1.5)
    client.wait("/segue/job", "J1", "running")
    client.send("/segue/cancel")
    client.wait("/segue/job", "J1", "cancelled")
    client.send("/segue/generate", 0.5)
    client.wait("/segue/job", "J2", "done")


def test_notices_go_to_the_port_that_was_named_and_end_with_the_subscription(ready: OscClient):
    other = OscClient(ready.target[1])
    ready.send("/segue/notify", 1, other.port, 30)
    assert ready.wait("/segue/done", "/segue/notify")[2] == 30
    assert other.wait("/segue/param/fidelity") == ("full",)
    other.drain()
    ready.send("/segue/param/bars", 2)
    assert other.wait("/segue/param/bars") == (2.0,)
    other.drain()
    ready.send("/segue/notify", 0)
    ready.wait("/segue/done", "/segue/notify")
    ready.send("/segue/param/bars", 3)
    assert ready.wait("/segue/param/bars", 3.0)
    assert other.drain() == []


def test_properties_answer_on_their_own_address_and_follow_each_other(ready: OscClient):
    assert ready.ask("/segue/param/temperature") == (pytest.approx(0.98),)
    ready.send("/segue/notify", 1)
    ready.drain()
    ready.send("/segue/param/top_k", 40)
    ready.send("/segue/param/top_p", 0.9)
    told = [entry for entry in ready.drain() if not entry[0].endswith(("/str", "/history", "/heartbeat"))]
    assert told == [
        ("/segue/param/top_k", (40,)),
        ("/segue/param/top_p", (pytest.approx(0.9),)),
        ("/segue/param/top_k", (0,)),
    ]
    ready.send("/segue/param/se*")
    assert {address for address, _ in ready.drain()} - {"/segue/heartbeat"} == {
        f"/segue/param/{n}" for n in ("seconds", "seed", "seed_lock")
    }


def test_styles_are_resolved_listed_and_refused(ready: OscClient):
    assert ready.ask("/segue/style") == ("unknown", 0)
    assert ready.ask("/segue/style", "lofi")[0] == "lofi"
    assert ready.ask("/segue/style", "house:0.7+lofi:0.3") == ("house:0.7+lofi:0.3", 0)
    code, slug, message = ready.ask("/segue/style", "hause", reply="/segue/fail")[1:4]
    assert (code, slug) == (404, "no_style") and "house" in message
    ready.send("/segue/styles")
    (total,) = ready.wait("/segue/styles.end")
    items = [values for address, values in ready.heard if address == "/segue/styles.item"]
    assert [item[0] for item in items] == list(range(1, total + 1))
    assert ("lofi", "genre") in [item[1:] for item in items]
    assert ("neon_atlas", "artist") in [item[1:] for item in items]


def test_a_bundle_sets_first_and_generates_then(ready: OscClient, riff: Path):
    ready.send("/segue/notify", 1)
    prime(ready, riff)
    bundle = OscBundleBuilder(IMMEDIATELY)
    for address, value in (
        ("/segue/generate", None),
        ("/segue/param/seed", 99),
        ("/segue/param/seconds", 0.5),
    ):
        message = OscMessageBuilder(address)
        if value is not None:
            message.add_arg(value)
        bundle.add_content(message.build())
    ready.send_raw(bundle.build().dgram)
    take = ready.wait("/segue/take")
    assert (take[3], take[5]) == (0.5, 99)


def test_sync_waits_for_earlier_requests(ready: OscClient, tmp_path: Path, riff: Path):
    slow = tmp_path / "slow.wav"
    shutil.copy(riff, slow)
    ready.send("/segue/prime/file", str(slow))
    ready.send("/segue/sync", 42)
    ready.wait("/segue/synced", 42)
    assert [values[0] for address, values in ready.heard if address == "/segue/done"] == ["/segue/prime/file"]


def test_generate_right_after_the_prime_waits_for_it(ready: OscClient, tmp_path: Path, riff: Path):
    slow = tmp_path / "slow_120bpm.wav"
    shutil.copy(riff, slow)
    ready.send("/segue/notify", 1)
    ready.send("/segue/prime/file", str(slow))
    ready.send("/segue/param/bars", 0.25)
    ready.send("/segue/generate")
    take = ready.wait("/segue/take")
    assert take[3:5] == (
        0.5,
        120.0,
    )  # a quarter of a bar of four beats at 120 beats a minute, from the file's name


def test_several_takes_have_following_seeds(ready: OscClient, riff: Path):
    ready.send("/segue/notify", 1)
    prime(ready, riff)
    ready.send("/segue/param/takes", 3)
    ready.send("/segue/param/seed", 10)
    ready.send("/segue/generate", 0.2)
    assert [ready.wait("/segue/take", n)[5] for n in (1, 2, 3)] == [10, 11, 12]
    ready.wait("/segue/job", "J1", "done")
    assert ready.ask("/segue/param/seed") == (10,)  # set by hand, so it is locked
    ready.send("/segue/param/seed_lock", 0)
    ready.send("/segue/generate", 0.2)
    ready.wait("/segue/job", "J2", "done")
    assert ready.ask("/segue/param/seed") != (10,)


def test_a_take_longer_than_its_ring_is_played_to_its_end(
    start_session: StartSession, riff: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("bridge.session.playback.MAX_CAPACITY", 1 << 15)
    client = start_session(speed=0.5).client()  # 3 s at half speed want 1.65 s in hand; the ring holds 0.74 s
    wait_idle(client)
    client.send("/segue/notify", 1)
    prime(client, riff)
    client.send("/segue/generate", 3.0)
    told = client.wait("/segue/sounding", "J1", "start", timeout=20)[2]
    assert 0.743 <= told < 1.6  # (what waits in the engine for room counts as made)
    assert client.wait("/segue/sounding", "J1", "end", timeout=30)[2] == 3.0


def test_jobs_are_played_one_after_the_other(ready: OscClient, riff: Path):
    ready.send("/segue/notify", 1)
    prime(ready, riff)
    for _ in range(3):
        ready.send("/segue/generate", 0.6)
    ready.wait("/segue/job", "J3", "done")
    ready.wait("/segue/sounding", "J3", "end")
    told = [values[:2] for address, values in ready.heard if address == "/segue/sounding"]
    assert told == [("J1", "start"), ("J1", "end"), ("J2", "start"), ("J2", "end"), ("J3", "start")]


def test_panic_silences_and_the_job_goes_on(ready: OscClient, riff: Path):
    ready.send("/segue/notify", 1)
    prime(ready, riff)
    ready.send("/segue/generate", 8.0)
    ready.wait("/segue/sounding", "J1", "start")
    ready.send("/segue/panic")
    assert ready.wait("/segue/sounding", "J1", "stopped")[2] < 8.0
    ready.wait("/segue/job", "J1", "done")


# -- foreign clients ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("oscsend") is None, reason="liblo-tools (oscsend, oscdump) is not installed")
def test_liblo_drives_a_session(ready: OscClient, riff: Path):
    port, other = str(ready.target[1]), OscClient(0)
    free = other.port
    other.close()
    dump = subprocess.Popen(["oscdump", "-L", str(free)], stdout=subprocess.PIPE, text=True)
    try:
        for arguments in (
            ["/segue/notify", "ii", "1", str(free)],
            ["/segue/prime/file", "s", str(riff)],
            ["/segue/param/seed", "f", "5"],
            ["/segue/param/seconds", "d", "0.5"],
            ["/segue/generate", "T"],
        ):
            subprocess.run(["oscsend", "127.0.0.1", port, *arguments], check=True)
        assert dump.stdout is not None
        for line in dump.stdout:
            if "/segue/take " in line:
                break
        assert re.search(r'"A01" "" 0\.500000 0\.000000 5 0 "done"', line)
    finally:
        dump.kill()
        dump.wait()
