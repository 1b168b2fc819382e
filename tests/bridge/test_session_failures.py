"""What a session refuses, over real UDP: every failure by its code, slug and sentence."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from bridge.session.core import SessionSetup
from bridge.session.sound import SoundSetup
from bridge.supervision.engine_client import EngineSetup
from engine.errors import Busy
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import MOCK, RunningSession, StartSession, wait_idle


@pytest.mark.parametrize(
    ("address", "values", "code", "slug", "words"),
    [
        ("/segue/generate", (), 409, "no_prime", "there is no prime yet; send /segue/prime/file"),
        (
            "/segue/prime/file",
            ("/nowhere/riff.wav",),
            404,
            "no_file",
            "there is no file '/nowhere/riff.wav'; check the path",
        ),
        (
            "/segue/prime/file",
            ("riff.wav",),
            404,
            "no_file",
            "the path 'riff.wav' is relative; give the whole path",
        ),
        (
            "/segue/prime/file",
            ("/nowhere/riff.wav", 0.0, 0.0, 0.5),
            422,
            "out_of_range",
            "the tempo is 0.5 bpm; it must be 0 (as heard) or from 20 to 400",
        ),
        ("/segue/param/seed", (-1,), 422, "out_of_range", "a whole number from 0 to 2147483647, not -1"),
        (
            "/segue/param/bpm",
            (5.0,),
            422,
            "out_of_range",
            "bpm is 5; it must be 0 (that of the prime) or from 20 to 400",
        ),
        ("/segue/param/temperature", ("hot",), 400, "bad_args", "not the text 'hot'"),
        ("/segue/pram/seed", (), 404, "unknown_address", "the nearest address is /segue/param/seed"),
        ("/live/test", (), 404, "unknown_address", "nothing answers to /live/test"),
        ("/segue/cancel", (), 404, "no_job", "no job is queued or running"),
        ("/segue/style", ("",), None, "", ""),
    ],
)
def test_failures_are_named(
    ready: OscClient, address: str, values: tuple[object, ...], code, slug: str, words: str
):
    ready.send(address, *values)
    if code is None:
        assert ready.wait(address) == ("unknown", 0)
        return
    where, *told = ready.wait("/segue/fail")
    assert (where, told[0], told[1]) == (address, code, slug) and words in told[2]


def test_the_request_tag_comes_back_with_a_failure(ready: OscClient):
    ready.send("/segue/generate", "#42")
    assert ready.wait("/segue/fail")[-1] == "#42"
    ready.send("/segue/param/seed", "#43", -1)
    assert ready.wait("/segue/fail")[-1] == "#43"


def test_bars_without_a_tempo_fail_with_a_sentence(ready: OscClient, riff: Path):
    ready.send("/segue/notify", 1)
    prime(ready, riff)
    ready.send("/segue/param/bars", 2)
    ready.send("/segue/generate")
    ready.wait("/segue/job", "J1", "failed")
    assert "a length in bars needs a tempo" in ready.wait("/segue/fail", "/segue/generate")[3]


def test_a_bad_prime_leaves_the_good_one(ready: OscClient, riff: Path):
    prime(ready, riff)
    ready.send("/segue/prime/file", "/nowhere/riff.wav")
    ready.wait("/segue/fail", "/segue/prime/file")
    ready.send("/segue/generate", 0.2)
    ready.wait("/segue/done", "/segue/generate")


def test_the_seventeenth_job_is_refused(start_session: StartSession, riff: Path):
    client = start_session(speed=0.5).client()
    wait_idle(client)
    prime(client, riff)
    for _ in range(17):
        client.send("/segue/generate", 30.0)
    address, code, slug, message = client.wait("/segue/fail")
    assert (address, code, slug) == ("/segue/generate", 429, "queue_full")
    assert message == "16 jobs are waiting; cancel one or wait until one has ended"


def test_requests_while_the_model_is_loading_are_refused(start_session: StartSession, riff: Path):
    client = start_session(load_seconds=1.5).client()
    client.send("/segue/prime/file", str(riff))
    assert client.wait("/segue/fail", "/segue/prime/file")[1:3] == (503, "not_ready")
    wait_idle(client)


def test_a_model_that_is_not_there_is_reported(start_session: StartSession):
    running = start_session(model="absent")
    client = running.client()
    for _ in range(200):
        status = client.ask("/segue/status", reply="/segue/status.reply")
        if status[0] == "failed":
            break
        client.drain(0.05)
    client.send("/segue/generate")
    sentence = client.wait("/segue/fail")[3]
    assert sentence.startswith(
        "the engine has failed: there is no model 'absent'; the mock engine has mock, "
    )


def test_a_port_in_use_is_named(start_session: StartSession, tmp_path: Path):
    taken = start_session().port
    engine = EngineSetup(model="mock", target=MOCK)
    with pytest.raises(Busy, match=f"port {taken} is in use.*quit it or use --port"):
        RunningSession(SessionSetup("127.0.0.1", taken, tmp_path, engine, SoundSetup("none")))


def test_paths_from_other_hosts_must_lie_in_an_open_folder(
    start_session: StartSession, riff: Path, tmp_path: Path
):
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    shutil.copy(riff, open_folder / "riff.wav")
    (open_folder / "link.wav").symlink_to(riff)
    own = own_address()
    client = start_session(setup={"host": own, "roots": (open_folder,)}).client()
    client.socket.close()
    client.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.socket.bind((own, 0))
    client.target = (own, client.target[1])
    wait_idle(client)
    for path in (riff, open_folder / "link.wav", open_folder / ".." / "riff.wav"):
        client.send("/segue/prime/file", str(path))
        assert client.wait("/segue/fail")[1:3] == (403, "path_not_allowed")
    client.send("/segue/prime/file", str(open_folder / "riff.wav"))
    assert client.wait("/segue/done", "/segue/prime/file")[2] == 2.0
    client.send("/segue/quit")
    assert client.wait("/segue/fail", "/segue/quit")[1:3] == (403, "not_local")


def own_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1: nothing is sent
        except OSError:
            pytest.skip("this machine has only its loopback address")
        return probe.getsockname()[0]
