"""What tests of takes in a session share."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from engine.take import Take
from tests.bridge.client import OscClient
from tests.bridge.conftest import RunningSession, wait_idle

SECONDS = 0.6


def until(test: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.01)


def subscribed(running: RunningSession) -> OscClient:
    client = running.client()
    wait_idle(client)
    client.send("/segue/notify", 1)
    client.wait("/segue/done", "/segue/notify")
    return client


def generate(client: OscClient, seed: int, *more: object, ask: str = "/segue/generate") -> tuple[object, ...]:
    """A take with this seed, by whichever verb; returns what /segue/take said."""
    client.send("/segue/param/seed", seed)
    client.wait("/segue/param/seed", seed)
    client.send(ask, *(more or (SECONDS,)))
    _, job = client.wait("/segue/done", ask)[:2]
    client.wait("/segue/job", job, "done")
    client.wait("/segue/sounding", job, "end")
    return take_told(client)


def take_told(client: OscClient) -> tuple[object, ...]:
    """The last /segue/take that was heard."""
    told = [values for address, values in client.heard if address == "/segue/take"]
    client.heard = [entry for entry in client.heard if entry[0] != "/segue/take"]
    assert told
    return told[-1]


def record(told: tuple[object, ...]) -> Take:
    return Take.load(Path(str(told[8])).parent)


def refused(client: OscClient, address: str, *values: object) -> tuple[object, ...]:
    """(code, slug, message)"""
    return client.ask(address, *values, reply="/segue/fail")[1:4]
