from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from bridge.session.core import Session, SessionSetup
from bridge.session.sound import SoundSetup
from bridge.supervision import child
from bridge.supervision.engine_client import EngineSetup, Patience
from engine.host.mock import DEFAULT_MODEL, TARGET, MockModels
from tests.bridge.client import OscClient
from tests.processes import forking

MOCK = TARGET


class RunningSession:
    """A session in a thread of its own; tests talk to it over UDP only, and read its process ids."""

    def __init__(self, setup: SessionSetup) -> None:
        self._setup = setup
        self._up = threading.Event()
        self._error: BaseException | None = None
        self.session: Session
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._up.wait(30)
        if self._error is not None:
            raise self._error

    async def _run(self) -> None:
        self.session = Session(self._setup)
        self._loop = asyncio.get_running_loop()
        try:
            await self.session.start()
        except BaseException as error:
            self._error = error
            await self.session.stop()
            self._up.set()
            return
        self._up.set()
        await self.session.ended.wait()
        await self.session.stop()

    @property
    def port(self) -> int:
        return self.session.address[1]

    def client(self) -> OscClient:
        return OscClient(self.port)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self.session.ended.set)
            self._thread.join(20)
        assert not self._thread.is_alive()


StartSession = Callable[..., RunningSession]


@pytest.fixture
def start_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartSession]:
    """Starts sessions on free ports with the mock engine; keyword arguments go to the engine, or to the setup.

    Unless told otherwise it gives no previews, so that what is heard is the take.
    """
    running: list[RunningSession] = []
    monkeypatch.setattr(child, "CONTEXT", forking())

    def start(
        *,
        model: str = DEFAULT_MODEL,
        device: str = "none",
        patience: Patience | None = None,
        setup: dict[str, Any] | None = None,
        **options: Any,
    ) -> RunningSession:
        engine = EngineSetup(
            model=model, target=MOCK, options={"previews": False} | options, patience=patience or Patience()
        )
        values: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "takes": tmp_path / "takes"}
        values |= {"engine": engine, "sound": SoundSetup(device), "models": MockModels()} | (setup or {})
        session = RunningSession(SessionSetup(**values))
        running.append(session)
        return session

    yield start
    for session in running:
        session.stop()


@pytest.fixture
def riff(tmp_path: Path) -> Path:
    """Two seconds of quiet noise at 48 kHz."""
    path = tmp_path / "riff.wav"
    noise = np.random.default_rng(1).normal(0, 0.1, 96_000)
    sf.write(path, noise, 48_000, subtype="PCM_16")
    return path


def wait_idle(client: OscClient, timeout: float = 20.0) -> None:
    """Until the model is loaded: polls the status."""
    deadline = threading.Event()
    for _ in range(int(timeout / 0.05)):
        if client.ask("/segue/status", reply="/segue/status.reply")[0] == "idle":
            return
        deadline.wait(0.05)
    raise AssertionError("the session does not become idle")


@pytest.fixture
def ready(start_session: StartSession) -> Iterator[OscClient]:
    """A subscribed client of a session that is ready."""
    client = start_session().client()
    wait_idle(client)
    yield client
    client.close()
