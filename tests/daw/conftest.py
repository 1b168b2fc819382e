from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.session.entries import TakeEntry
from bridge.session.stage import StageSetup
from tests.bridge.client import OscClient
from tests.bridge.conftest import RunningSession, StartSession, riff, start_session, wait_idle

__all__ = ["riff", "start_session"]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts that say once that they are there stay: on a busy machine a take may need longer than their lease."""
    monkeypatch.setattr("bridge.session.daws.LEASE_SECONDS", 600)
    monkeypatch.setattr("bridge.daw.mailbox.SILENCE_SECONDS", 600.0)


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    """The folder of the mailboxes, as `segue daw install` makes it."""
    folder = tmp_path / "mail"
    for name in ("reaper", "ardour"):
        (folder / name / "to_segue").mkdir(parents=True)
    return folder


@pytest.fixture
def session(start_session: StartSession, mail: Path) -> RunningSession:
    """A session with the mock engine that looks after the mailboxes.

    It hands out takes as they were made: finishing them, in a process that loads much, has tests of its own, and one
    here (:func:`tests.daw.test_send.test_a_take_is_handed_over_finished`).
    """
    running = start_session(setup={"stage": StageSetup(mail=mail)})
    use_takes_as_made(running)
    return running


def use_takes_as_made(running: RunningSession) -> None:
    """Hand out takes without finishing them."""

    async def as_made(take: TakeEntry) -> str:
        return take.wav

    running.session._stage.daws._file_of = as_made


@pytest.fixture
def client(session: RunningSession) -> Iterator[OscClient]:
    """A subscribed client of that session, which is ready."""
    client = session.client()
    wait_idle(client)
    client.send("/segue/notify", 1)
    client.wait("/segue/done", "/segue/notify")
    yield client
    client.close()


def make_take(client: OscClient, riff: Path) -> tuple[int, str]:
    """Number and file of a new take of half a second."""
    client.send("/segue/prime/file", str(riff))
    client.wait("/segue/done", "/segue/prime/file", timeout=60.0)
    client.send("/segue/param/seconds", 0.5)
    client.send("/segue/generate")
    number, _, _, _, _, _, _, _, path = client.wait("/segue/take", timeout=60.0)
    client.wait("/segue/job", client.wait("/segue/done", "/segue/generate")[1], "done", timeout=60.0)
    return number, path
