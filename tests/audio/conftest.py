"""What the tests of the audio process share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bridge.audio.capture import CaptureRing
from engine.ring import Ring, ring_name
from tests.rig.jack import feeder, jack_server, recorder

__all__ = ["feeder", "jack_server", "recorder"]


@pytest.fixture
def ring() -> Iterator[Ring]:
    """A ring of 131,072 frames at 44.1 kHz in shared memory."""
    with Ring.create(ring_name("audio"), 1 << 17) as made:
        yield made


@pytest.fixture
def held() -> Iterator[CaptureRing]:
    """A capture ring of twenty seconds at 44.1 kHz."""
    with CaptureRing.create(ring_name("capture"), 20.0, 44_100) as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """No audio process, dead or alive, and no shared memory may be left by a test."""
    yield
    assert not list(Path("/dev/shm").glob(f"segue-{os.getpid()}-*"))
    left = [child for child in psutil.Process().children() if "spawn_main" in " ".join(_command(child))]
    assert not left


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline() or ["spawn_main"]  # a zombie has none
    except psutil.Error:
        return []
