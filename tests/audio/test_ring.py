"""The ring: what goes in comes out, across processes, and nothing stays behind in shared memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BadArguments, BadFormat, Busy, NoFile, OutOfRange
from engine.ring import Ring, ring_name, sweep_stale

from . import ring_ends

SPAWN = multiprocessing.get_context("spawn")
SHM = Path("/dev/shm")


def ours() -> set[str]:
    return {path.name for path in SHM.glob(f"segue-{os.getpid()}-*")} if SHM.is_dir() else set()


@pytest.fixture
def ring() -> Iterator[Ring]:
    with Ring.create(ring_name("test"), 1024, rate=48_000) as made:
        yield made
    assert not ours()


def start(target: Any, *args: Any) -> tuple[Any, Any]:
    """A spawned process and the end of its pipe."""
    mine, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=target, args=(*args, theirs))
    process.start()
    theirs.close()
    return process, mine


def test_write_takes_what_fits_and_says_how_much(ring: Ring) -> None:
    assert ring.write(np.arange(1000, dtype=np.float32)) == 1000
    assert ring.write(np.arange(100, dtype=np.float32)) == 24
    assert (ring.fill, ring.written, ring.read) == (1024, 1024, 0)
    out = np.zeros(600, np.float32)
    assert ring.read_into(out) == 600
    np.testing.assert_array_equal(out, np.arange(600))
    assert ring.write([5.0] * 2000) == 600


def test_read_hands_out_what_there_is(ring: Ring) -> None:
    ring.write([1.0, 2.0, 3.0])
    out = np.full(5, -1, np.float32)
    assert ring.read_into(out) == 3
    assert out.tolist() == [1, 2, 3, -1, -1]
    assert ring.read_into(out) == 0


def test_peek_leaves_the_frames_where_they_are(ring: Ring) -> None:
    ring.write([1.0, 2.0, 3.0, 4.0])
    out = np.zeros(2, np.float32)
    assert ring.peek_into(out, ahead=1) == 2
    assert out.tolist() == [2, 3]
    assert ring.peek_into(out, ahead=9) == 0
    assert ring.read == 0
    ring.advance(3)
    assert (ring.read, ring.fill) == (3, 1)
    ring.advance(50)
    assert (ring.read, ring.fill) == (4, 0)


def test_drain_skips_everything_and_counts_it_as_read(ring: Ring) -> None:
    ring.write(np.ones(77))
    ring.drain()
    assert (ring.fill, ring.read, ring.written) == (0, 77, 77)


def test_both_sides_see_one_ring_with_its_rate_beats_and_end(ring: Ring) -> None:
    with Ring.attach(ring.name) as other:
        assert (other.capacity, other.rate, other.owner_pid) == (1024, 48_000, os.getpid())
        assert ring.producer_beat_ns == ring.consumer_beat_ns == 0
        other.write([0.5])
        assert ring.fill == 1 and ring.producer_beat_ns > 0
        ring.drain()
        assert other.read == 1 and other.consumer_beat_ns >= other.producer_beat_ns
        assert not ring.finished
        other.finish()
        assert ring.finished
    assert ring.written == 1, "an attacher that leaves must not take the ring along"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=60))
def test_any_order_of_writes_and_reads_keeps_the_sequence(steps: list[tuple[int, int]]) -> None:
    local, sent, got = Ring.local(32), 0, []
    for writes, reads in steps:
        sent += local.write(np.arange(sent, sent + writes, dtype=np.float32))
        out = np.empty(reads, np.float32)
        got += out[: local.read_into(out)].tolist()
        assert 0 <= local.fill <= 32
    assert got == list(range(len(got))) and len(got) == local.read == sent - local.fill


def test_a_closed_ring_says_so(ring: Ring) -> None:
    other = Ring.attach(ring.name)
    other.close()
    other.close()
    with pytest.raises(NoFile, match="has been closed; attach to it again"):
        other.write([0.0])


@pytest.mark.parametrize("capacity", [0, -4, 1, 1000, 1 << 29])
def test_an_impossible_capacity_is_refused(capacity: int) -> None:
    with pytest.raises(OutOfRange, match="power of two such as"):
        Ring.create(ring_name("bad"), capacity)


def test_the_refusal_offers_a_capacity_that_works() -> None:
    with pytest.raises(OutOfRange, match="such as 1024"):
        Ring.local(1000)


@pytest.mark.parametrize("name", ["take", "segue-x-take", "segue-1-", "segue-1-a/b", "segue-1-" + "x" * 30])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(OutOfRange, match="it must be 'segue-<pid>-<label>'"):
        Ring.create(name, 64)


def test_a_bad_rate_or_shape_is_refused(ring: Ring) -> None:
    with pytest.raises(OutOfRange, match="between 1000 and 768000"):
        Ring.local(64, rate=12)
    with pytest.raises(BadArguments, match=r"shape \[4, 2\]; a ring takes shape \[frames\]"):
        ring.write(np.zeros((4, 2)))


def test_attaching_to_nothing_or_to_something_else_is_named() -> None:
    with pytest.raises(NoFile, match="no ring named 'segue-1-none'; its owner must create it first"):
        Ring.attach("segue-1-none")
    other = SHM / f"segue-{os.getpid()}-other"
    other.write_bytes(bytes(4096))
    try:
        with pytest.raises(BadFormat, match="is not a ring of version 1"):
            Ring.attach(other.name)
    finally:
        other.unlink()


def test_a_name_in_use_is_reported_and_the_ring_survives(ring: Ring) -> None:
    ring.write([1.0])
    with pytest.raises(Busy, match=f"belongs to the running process {os.getpid()}"):
        Ring.create(ring.name, 64)
    assert Ring.attach(ring.name).fill == 1


def test_a_ring_of_a_dead_owner_is_swept_and_a_live_one_kept(ring: Ring) -> None:
    process, answer = start(ring_ends.own_and_die, "dead")
    name = answer.recv()
    process.join(20)
    assert (SHM / name).exists()
    removed = sweep_stale()  # or the sweep of another program that starts just now: a dead ring is anyone's
    assert ring.name not in removed and (SHM / ring.name).exists()
    assert not (SHM / name).exists()


def test_a_ring_of_a_dead_owner_is_replaced() -> None:
    process, answer = start(ring_ends.own_and_die, "dead2")
    name = answer.recv()
    process.join(20)
    with Ring.create(name, 64) as again:
        assert (again.capacity, again.fill, again.owner_pid) == (64, 0, os.getpid())
    assert not (SHM / name).exists()


def test_a_dead_owner_is_known_although_its_number_lives_on(ring: Ring) -> None:
    """A later process with the owner's id was started at another time than the header says."""
    image = bytearray((SHM / ring.name).read_bytes())
    birth = int.from_bytes(image[40:48], "little")
    image[40:48] = (birth - 1).to_bytes(8, "little")
    impostor = SHM / f"segue-{os.getpid()}-old"
    impostor.write_bytes(image)
    sweep_stale()
    assert not impostor.exists() and (SHM / ring.name).exists()


def test_an_attacher_that_is_killed_does_not_take_the_ring_along(ring: Ring) -> None:
    process, answer = start(ring_ends.hold, ring.name)
    assert answer.recv() == 1024
    os.kill(process.pid, signal.SIGKILL)
    process.join(20)
    assert process.exitcode == -signal.SIGKILL
    assert ring.name in ours()
    assert Ring.attach(ring.name).capacity == 1024


def test_the_tracker_has_nothing_to_complain_about_at_exit() -> None:
    script = (
        "from engine.ring import Ring, ring_name\n"
        "ring = Ring.create(ring_name('t'), 64)\n"
        "other = Ring.attach(ring.name); other.write([1.0]); third = Ring.attach(ring.name)\n"
        "ring.unlink(); ring.unlink()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_ring_pulls_in_neither_torch_nor_the_rest_of_the_engine() -> None:
    script = "import sys, engine.ring; print(*[m for m in sys.modules if m.startswith(('torch', 'engine'))])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert sorted(done.stdout.split()) == ["engine", "engine.errors", "engine.ring"]


@pytest.mark.timeout(120)
def test_two_processes_random_portions_same_checksum() -> None:
    """50 million frames or 5 s, whichever comes first, through a ring of 16,384 frames."""
    random = np.random.default_rng(2)
    with Ring.create(ring_name("stress"), 1 << 14) as ring:
        process, answer = start(ring_ends.pour, ring.name, 1, 5.0, 50_000_000)
        total, checksum, buffer = 0, 0, np.empty(9_000, np.float32)
        while not (ring.finished and ring.fill == 0):
            part = buffer[: int(random.integers(1, 9_000))]
            count = ring.read_into(part)
            checksum = zlib.crc32(part[:count].tobytes(), checksum)
            total += count
            assert process.is_alive() or ring.finished
        assert (total, checksum) == answer.recv()
        assert total == ring.written == ring.read > 100_000
        process.join(20)
        assert process.exitcode == 0
