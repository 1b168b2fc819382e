"""The capture ring: what it gives out is what was recorded, in one piece, or it says why not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.audio.capture import INTERRUPTIONS, MAX_BLOCK, CaptureRing, NoInput, NotYet, RingTooShort
from engine.errors import BadArguments, BadFormat, NoFile, OutOfRange
from engine.ring import Ring, ring_name, sweep_stale

from .harness import noise

RATE = 8_000


@pytest.fixture
def held() -> Iterator[CaptureRing]:
    """At least 2 s at 8 kHz."""
    with CaptureRing.create(ring_name("capture"), 2.0, RATE) as made:
        yield made


def record(ring: CaptureRing, frames: int, seed: int = 0, block: int = 700) -> None:
    take = noise(frames, seed)
    for at in range(0, frames, block):
        ring.record(take[at : at + block])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 3_000), min_size=1, max_size=60), st.data())
def test_any_piece_of_the_last_seconds_is_what_was_recorded(blocks: list[int], data: st.DataObject) -> None:
    take = noise(sum(blocks))
    with CaptureRing.create(ring_name("any"), 0.5, RATE) as ring:
        at = 0
        for count in blocks:
            ring.record(take[at : at + count])
            at += count
        assert (ring.written, ring.since) == (at, max(0, at + MAX_BLOCK - ring.capacity))
        assert at - ring.since >= min(at, RATE // 2)
        start = data.draw(st.integers(ring.since, at))
        stop = data.draw(st.integers(start, at))
        np.testing.assert_array_equal(ring.read(start, stop), take[start:stop])


def test_what_it_does_not_hold_is_refused_in_one_sentence(held: CaptureRing) -> None:
    with pytest.raises(NoInput, match="no input is being recorded; open one before capturing") as none:
        held.read(0, 1)
    assert (none.value.code, none.value.slug) == (409, "no_input")
    record(held, 4_000)
    with pytest.raises(NotYet, match=r"1.00 s of it are still to be recorded; wait for them"):
        held.read(0, 12_000)
    with pytest.raises(
        RingTooShort, match=r"only the last 0.50 s of the input are held; ask for less"
    ) as short:
        held.read(-1, 4_000)
    assert (short.value.code, short.value.slug) == (422, "ring_too_short")
    record(held, 60_000, 1)
    with pytest.raises(RingTooShort, match=r"only the last 2.05 s of the input are held"):
        held.read(4_000, 8_000)
    with pytest.raises(BadArguments, match="cannot end at 5, before it begins at 6; swap the two"):
        held.read(6, 5)


def test_a_piece_across_an_interruption_is_refused_and_those_beside_it_are_not(held: CaptureRing) -> None:
    assert held.begin() == 0 and held.interruptions == []
    record(held, 4_000, 1)
    assert held.begin() == held.begin() == 4_000
    record(held, 8_000, 2)
    assert (held.interruptions, held.since) == ([4_000], 4_000)
    np.testing.assert_array_equal(held.read(1_000, 4_000), noise(4_000, 1)[1_000:])
    np.testing.assert_array_equal(held.read(4_000, 12_000), noise(8_000, 2))
    with pytest.raises(RingTooShort, match=r"the input was interrupted, and only the last 1.00 s are whole"):
        held.read(3_999, 4_001)


def test_more_interruptions_than_it_remembers_make_what_was_before_them_unreadable(held: CaptureRing) -> None:
    for count in range(INTERRUPTIONS + 2):
        record(held, 100, count)
        held.begin()
    assert held.interruptions == [300 + 100 * i for i in range(INTERRUPTIONS)]
    with pytest.raises(RingTooShort, match="only the last"):
        held.read(250, 260)
    np.testing.assert_array_equal(held.read(300, 400), noise(100, 3))


def test_the_anchor_is_read_whole_while_another_process_changes_it(held: CaptureRing) -> None:
    script = (
        "import sys, time\n"
        "from bridge.audio.capture import CaptureRing\n"
        "ring = CaptureRing.attach(sys.argv[1])\n"
        "end = time.monotonic() + 2; n = 0\n"
        "while time.monotonic() < end:\n"
        "    n += 1; ring.anchor_at(n, 1000 * n)\n"
    )
    assert held.anchor is None
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen([sys.executable, "-c", script, held.name], env=environment) as writer:
        seen = set()
        while writer.poll() is None:
            anchor = held.anchor
            if anchor is not None:
                assert anchor[1] == 1_000 * anchor[0]
                seen.add(anchor[0])
    assert len(seen) > 100 and writer.returncode == 0


def test_only_a_capture_ring_is_recorded_into() -> None:
    with (
        Ring.create(ring_name("play"), 1 << 10) as ring,
        pytest.raises(BadFormat, match="is a ring to play from"),
    ):
        CaptureRing.attach(ring.name)
    with pytest.raises(
        OutOfRange, match="a capture ring of 0 s is impossible; it must be above 0 and at most"
    ):
        CaptureRing.create(ring_name("none"), 0)
    with pytest.raises(OutOfRange, match="a capture ring of 1e\\+06 s is impossible"):
        CaptureRing.create(ring_name("much"), 1e6)


def test_the_ring_of_a_dead_bridge_is_removed() -> None:
    script = (
        "import os, signal\n"
        "from bridge.audio.capture import CaptureRing\n"
        "from engine.ring import ring_name\n"
        "from multiprocessing import resource_tracker\n"
        "ring = CaptureRing.create(ring_name('dead'), 1)\n"
        "resource_tracker.unregister('/' + ring.name, 'shared_memory')\n"
        "print(ring.name, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=60
    )
    name = done.stdout.strip()
    assert name.startswith("segue-") and name.endswith("-dead")
    sweep_stale()  # or the sweep of another bridge that starts just now: a dead ring is anyone's
    with pytest.raises(NoFile):
        CaptureRing.attach(name)
