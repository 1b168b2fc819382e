"""What a session finds again: over real sockets, with real files, and with a bridge that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.session.remembering import MemorySetup
from bridge.session.state import SessionState, read_state, state_path, write_state
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import StartSession
from tests.session.taking import generate, subscribed, until


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "session.json"


def remembering(file: Path, fresh: bool = False) -> dict[str, Any]:
    return {"setup": {"memory": MemorySetup(file, fresh)}, "speed": 40.0}


def ends(running: Any) -> None:
    running.stop()


def test_a_session_goes_on_where_the_last_one_ended(
    start_session: StartSession, file: Path, riff: Path
) -> None:
    first = start_session(**remembering(file))
    client = subscribed(first)
    prime(client, riff)
    for name, value in (
        ("temperature", 0.5),
        ("top_k", 40),
        ("bars", 2),
        ("overlap", 0.6),
        ("gain_db", -6.0),
        ("monitor_db", -12.0),
    ):
        client.ask(f"/segue/param/{name}", value)
    client.ask("/segue/style", "house:0.7+lofi:0.3")
    client.ask("/segue/lyrics", "la")
    client.ask("/segue/key", "F# minor")
    client.ask("/segue/signature", 3, 4)
    client.ask("/segue/quantum", 2.0)
    client.ask("/segue/sync/source", "internal")
    client.ask("/segue/tempo", 93.5)
    for seed in (5, 6):
        generate(client, seed, 0.3)
    client.ask("/segue/take/current", 1)
    client.ask("/segue/param/capture_bars", 8)
    ends(first)
    client = subscribed(start_session(**remembering(file)))
    until(lambda: client.ask("/segue/take/current") == (1,))
    for name, value in (
        ("temperature", 0.5),
        ("top_k", 40),
        ("bars", 2.0),
        ("overlap", pytest.approx(0.6)),
        ("gain_db", -6.0),
        ("monitor_db", -12.0),
        ("capture_bars", 8.0),
        ("seed", 6),
    ):
        assert client.ask(f"/segue/param/{name}") == (value,)
    assert client.ask("/segue/style") == ("house:0.7+lofi:0.3", 0)
    assert client.ask("/segue/lyrics") == ("la",) and client.ask("/segue/key") == ("F# minor",)
    assert client.ask("/segue/signature") == (3, 4) and client.ask("/segue/quantum") == (2.0,)
    assert client.ask("/segue/sync/source") == ("internal",)
    assert client.ask("/segue/tempo")[0] == pytest.approx(93.5)
    assert client.ask("/segue/history") == (0, 0, "")
    told = generate(client, 9, 0.3)  # the prime is there
    assert told[:2] == (3, "A03")


def test_fresh_starts_with_the_defaults_and_is_remembered(start_session: StartSession, file: Path) -> None:
    write_state(file, SessionState().model_copy(update={"lyrics": "old", "key": "A minor"}))
    running = start_session(**remembering(file, fresh=True))
    client = subscribed(running)
    assert client.ask("/segue/lyrics") == ("",) and client.ask("/segue/key") == ("",)
    client.ask("/segue/lyrics", "new")
    ends(running)
    assert json.loads(file.read_text())["lyrics"] == "new"


@pytest.mark.parametrize(
    "content", ["", "{", '{"schema_version": 2}', '{"settings": {"bars": "many"}}', "\0\xff"]
)
def test_a_broken_state_is_set_aside_with_one_sentence(
    start_session: StartSession, file: Path, content: str
) -> None:
    file.parent.mkdir()
    file.write_text(content)
    client = subscribed(start_session(**remembering(file)))
    sentence = str(client.wait("/segue/error")[0])
    aside = file.with_name("session.json.broken")
    assert sentence.startswith("the state of the last session is broken at ")
    assert sentence.endswith(f"; it is in '{aside}', and the session starts with its defaults")
    assert aside.read_text() == content
    client.ask("/segue/lyrics", "on we go")
    until(lambda: file.exists() and json.loads(file.read_text())["lyrics"] == "on we go")


def test_a_state_that_cannot_be_read_or_written_is_told_once(start_session: StartSession, file: Path) -> None:
    file.mkdir(parents=True)
    client = subscribed(start_session(**remembering(file)))
    assert client.wait("/segue/error")[0] == (
        f"'{file}' cannot be read (Is a directory); the session starts with its defaults"
    )
    for word in ("one", "two"):
        client.ask("/segue/lyrics", word)
        client.drain(0.8)
    told = [values[0] for address, values in client.heard if address == "/segue/error"]
    assert client.ask("/segue/lyrics") == ("two",) and told == []


def test_a_prime_that_has_gone_is_told(start_session: StartSession, file: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone.wav"
    state = SessionState.model_validate({"prime": {"path": str(gone)}})
    write_state(file, state)
    running = start_session(load_seconds=1.0, **remembering(file))
    client = running.client()
    client.send("/segue/notify", 1)
    assert str(gone) in str(client.wait("/segue/error")[0])
    assert client.ask("/segue/status", reply="/segue/status.reply")[0] == "idle"


def test_a_clock_that_is_not_there_is_told(start_session: StartSession, file: Path) -> None:
    write_state(file, SessionState(clock="sundial", lyrics="still here"))
    client = subscribed(start_session(**remembering(file)))
    assert str(client.wait("/segue/error")[0]).startswith("not all of the last session could be put back: ")
    assert client.ask("/segue/lyrics") == ("still here",)


def test_nothing_is_kept_without_a_file(start_session: StartSession, tmp_path: Path) -> None:
    running = start_session()
    client = subscribed(running)
    client.ask("/segue/lyrics", "secret")
    ends(running)
    kept = [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and "secret" in path.read_text(errors="replace")
    ]
    assert kept == []


def test_where_the_state_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_STATE", str(tmp_path / "own.json"))
    assert state_path() == tmp_path / "own.json"
    monkeypatch.delenv("SEGUE_STATE")
    assert state_path().name == "session.json" and "segue" in str(state_path()).lower()


def test_an_old_state_is_none(tmp_path: Path) -> None:
    assert read_state(tmp_path / "nothing.json") == (None, "")


# -- killed --------------------------------------------------------------------------------------------------------


class Served:
    """`segue serve --mock` as a process that can be killed; its state goes to a file of the test's own."""

    def __init__(self, takes: Path, state: Path) -> None:
        command = [sys.executable, "-m", "tests.session.serving", str(takes), str(state)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.client = OscClient(int(self.process.stdout.readline()))

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.client.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Path]:
    from tests.take.test_take import grow

    root = tmp_path / "takes"
    grow(root).finish()
    yield root


@pytest.mark.slow
def test_a_bridge_that_is_killed_leaves_whole_files(shelf: Path, file: Path) -> None:
    """Twelve kills in the middle of writing marks and state: what is there can be read, and nothing else is left."""
    (folder,) = shelf.glob("2*")
    marks = folder / "marks.json"
    for round_ in range(12):
        served = Served(shelf, file)
        client = served.client
        until(lambda client=client: client.ask("/segue/takes", reply="/segue/takes.end") == (1,), 30)
        for number in range(60 + 17 * round_):
            client.send("/segue/take/name", 1, f"take {round_} {number} " + "x" * 50)
            client.send("/segue/lyrics", f"word {round_} {number} " * 150)
        begun = f"take {round_} "
        until(lambda begun=begun: marks.exists() and begun in marks.read_text(), 60)  # it is writing now
        served.kill()
        read = json.loads(marks.read_text())
        assert read["name"].startswith("take ") and read["name"].endswith("x" * 50)
        if file.exists():
            state, problem = read_state(file)
            assert state is not None and problem == ""
            assert len(set(state.lyrics.split())) <= 3 + 60 + 17 * round_
    left = {path.name for path in folder.iterdir() if not path.name.endswith(".part")}
    assert left == {
        "codes.safetensors",
        "continuation.wav",
        "marks.json",
        "prime.wav",
        "request.json",
        "take.json",
    }
