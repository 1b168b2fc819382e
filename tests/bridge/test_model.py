"""Another model while the session runs, over real UDP, with the mock engine and once with two real tiny models."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from bridge.session.models import StoredModels
from bridge.supervision.engine_client import EngineSetup
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import StartSession, wait_idle
from tests.host.tiny import make_tiny_model, write_riff


def models(client: OscClient) -> list[tuple[int, str, str]]:
    client.send("/segue/models")
    assert client.wait("/segue/models.end") == (5,)
    items = [values for address, values in client.heard if address == "/segue/models.item"]
    client.heard = [entry for entry in client.heard if entry[0] != "/segue/models.item"]
    return items


def test_models_are_listed_and_another_is_loaded(ready: OscClient):
    assert ready.ask("/segue/model") == ("mock",)
    assert models(ready)[:2] == [(1, "mock", "loaded"), (2, "mock-2", "here")]
    ready.send("/segue/notify", 1)
    ready.wait("/segue/model", "mock")
    ready.send("/segue/model", "mock-2", "#m")
    assert ready.wait("/segue/fail", "/segue/model")[1:3] == (400, "bad_args")  # the tag leads
    ready.send("/segue/model", "#m", "mock-2")
    assert ready.wait("/segue/done", "/segue/model") == ("/segue/model", "mock-2", "#m")
    assert ("/segue/model", ("mock-2",)) in ready.heard
    told = [values for address, values in ready.heard if address == "/segue/model/progress"]
    assert told[0] == (0.0, "loading mock-2") and told[-1] == (1.0, "mock-2 is loaded")
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told) and len(told) >= 4
    assert models(ready)[:2] == [(1, "mock", "here"), (2, "mock-2", "loaded")]
    assert ready.ask("/segue/style", "waltz")[0] == "waltz"
    ready.send("/segue/model", "mock-2")  # it is there already
    ready.wait("/segue/done", "/segue/model")


def test_jobs_wait_for_the_model_and_the_one_that_runs_is_finished_first(
    start_session: StartSession, riff: Path
):
    running = start_session(speed=4.0, load_seconds=0.5)
    client = running.client()
    wait_idle(client)
    client.send("/segue/notify", 1)
    prime(client, riff)
    client.send("/segue/generate", 4.0)
    client.wait("/segue/job", "J1", "running")
    client.send("/segue/model", "mock-2")
    client.wait("/segue/model/progress", 0.0, "waiting for the job that is being made")
    client.send("/segue/generate", 0.5)
    client.wait("/segue/done", "/segue/generate", "J2")
    client.wait("/segue/job", "J1", "done")
    client.wait("/segue/done", "/segue/model", "mock-2")
    client.wait("/segue/job", "J2", "done")
    order = [(a, v) for a, v in client.heard if a in ("/segue/take", "/segue/model")]
    assert [address for address, _ in order][-3:] == ["/segue/take", "/segue/model", "/segue/take"]
    takes = [Path(values[8]).parent for address, values in order if address == "/segue/take"]
    asked = ['"model": "mock"', '"model": "mock-2"']
    assert [want in (take / "request.json").read_text() for take, want in zip(takes, asked, strict=True)] == [
        True,
        True,
    ]


def test_only_one_is_loaded_at_a_time(start_session: StartSession):
    client = start_session(load_seconds=1.0).client()
    client.send("/segue/model", "mock-2")
    assert client.wait("/segue/fail", "/segue/model")[1:3] == (503, "not_ready")
    wait_idle(client)
    client.send("/segue/model", "mock-2")
    client.wait("/segue/model/progress", 0.0)
    assert client.ask("/segue/status", reply="/segue/status.reply")[:2] == ("loading", "mock")
    client.send("/segue/model", "mock-slow")
    assert client.wait("/segue/fail", "/segue/model")[1:4] == (
        409,
        "busy",
        "the model 'mock-2' is being loaded; wait until it is, then ask again",
    )
    client.wait("/segue/done", "/segue/model", "mock-2")


@pytest.mark.parametrize(
    ("name", "code", "slug", "sentence"),
    [
        ("mock-3", 404, "no_model", "there is no model 'mock-3'; the mock engine has mock, mock-2, "),
        ("mock-huge", 507, "out_of_memory", "the model 'mock-huge' needs 512.0 GB and less is free"),
        (
            "mock-crash",
            404,
            "no_model",
            "the engine died while it loaded 'mock-crash'; 'mock' is loaded again",
        ),
    ],
)
def test_the_old_model_stays_when_the_new_one_cannot_be_loaded(
    ready: OscClient, riff: Path, name: str, code: int, slug: str, sentence: str
):
    ready.send("/segue/notify", 1)
    ready.send("/segue/model", name)
    _, *told = ready.wait("/segue/fail", "/segue/model")
    assert told[:2] == [code, slug] and told[2].startswith(sentence)
    wait_idle(ready)
    assert ready.ask("/segue/model") == ("mock",)
    prime(ready, riff)
    ready.send("/segue/generate", 0.2)
    ready.wait("/segue/job", "J1", "done")


def test_an_engine_that_dies_later_comes_back_with_the_new_model(start_session: StartSession):
    running = start_session()
    client = running.client()
    wait_idle(client)
    client.send("/segue/model", "mock-2")
    client.wait("/segue/done", "/segue/model")
    pid = running.session.engine.pid
    assert pid is not None
    client.send("/segue/notify", 1)
    os.kill(pid, signal.SIGKILL)
    client.wait("/segue/state", "restarting")
    client.wait("/segue/state", "idle", timeout=20)
    assert running.session.engine.ready is not None and running.session.engine.ready.model == "mock-2"


@pytest.mark.slow
def test_two_real_models(start_session: StartSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one, other = (
        make_tiny_model(tmp_path / "models" / name, seed) for seed, name in enumerate(("one", "other"))
    )
    monkeypatch.setenv("SEGUE_MODELS", str(tmp_path / "models"))
    client = start_session(setup={"engine": EngineSetup(model="one"), "models": StoredModels()}).client()
    wait_idle(client, timeout=60)
    client.send("/segue/models")
    client.wait("/segue/models.end", 3)
    listed = [values[1:] for address, values in client.heard if address == "/segue/models.item"]
    assert listed == [("one", "loaded"), ("other", "here"), ("starter", "here")]
    prime(client, write_riff(tmp_path / "riff.wav"))
    takes = []
    for number, name in enumerate((None, "other", str(one), str(tmp_path / "nowhere")), start=1):
        if name is not None:
            client.send("/segue/notify", 1)
            client.send("/segue/model", name)
        if number == 4:
            message = client.wait("/segue/fail", "/segue/model")[3]
            assert message.startswith(
                f"there is no model '{tmp_path}/nowhere'; give one that is here (one, other, starter)"
            )
            break
        if name is not None:
            client.wait("/segue/done", "/segue/model", name, timeout=60)
            told = {values[1] for address, values in client.heard if address == "/segue/model/progress"}
            assert {"the prior of level 0", "the codec"} <= told
        client.send("/segue/param/seed", 5)
        client.send("/segue/generate", 0.2)
        takes.append(Path(client.wait("/segue/take", number, timeout=30)[8]).read_bytes())
    assert takes[0] != takes[1] and takes[0] == takes[2]
    assert other.is_dir()
