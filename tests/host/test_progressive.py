"""Coarser audio until the finer is there: what the listener gets, frame by frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from engine.host.feeder import RingFeeder
from engine.host.layers import Layers
from engine.ring import Ring, ring_name

RATE = 44_100
FADE = 441
BLOCK = 512
STEP = 2.0**-19
Samples = npt.NDArray[np.float32]


def ramp(level: int, start: int, stop: int) -> Samples:
    """Every frame tells its place by its size and its level (2 or 0) by its sign."""
    return ((1 if level else -1) * STEP * np.arange(start + 1, stop + 1)).astype(np.float32)


def sine(level: int, start: int, stop: int) -> Samples:
    """The same tone of 220 Hz, a little softer as a draft."""
    loud = 0.5 if level == 0 else 0.44
    return (loud * np.sin(2 * np.pi * 220 * np.arange(start, stop) / RATE)).astype(np.float32)


def levels_of(heard: Samples) -> npt.NDArray[np.int64]:
    """Per frame of ramps: 2, 0, or -1 within a fade. Each frame must be its own, whatever the level."""
    place = np.arange(len(heard))
    found = np.full(len(heard), -1)
    for level in (2, 0):
        found[heard == ramp(level, 0, len(heard))] = level
    fading = np.flatnonzero(found < 0)
    assert np.all(np.abs(heard[fading]) <= STEP * (place[fading] + 1))
    return found


def switches(found: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """(first frame, length) of every fade."""
    fading = np.flatnonzero(np.diff(np.concatenate([[0], (found < 0).astype(int), [0]])))
    return [(int(begin), int(end - begin)) for begin, end in fading.reshape(-1, 2)]


@pytest.fixture
def ring() -> Iterator[Ring]:
    """Room for 0.74 s."""
    with Ring.create(ring_name("layers"), 1 << 15) as made:
        yield made


def test_layers_fade_up_and_down_and_lose_no_frame() -> None:
    total = 40_000
    layers, heard = Layers(RATE, 0, 0, total, most=16_384), []

    def take(room: int) -> None:
        heard.append(layers.next(room, room).copy())

    layers.add(0, ramp(2, 0, 20_000), 2)
    take(5_000)
    layers.add(0, ramp(0, 0, 12_000), 0)  # most of it is ahead of what was handed on
    for _ in range(4):
        take(3_000)  # the fade, 6000 frames, and what is left but the reserve
    assert layers.position == 12_000 - FADE
    take(2_000)  # nothing finer is there: back to the draft, in a fade
    take(2_000)
    layers.add(12_000, ramp(0, 12_000, 40_000), 0)
    while layers.position < total:
        take(9_000)
    whole = np.concatenate(heard)
    found = levels_of(whole)
    assert len(whole) == total and layers.over
    assert switches(found) == [(5_000, FADE), (12_000 - FADE, FADE), (14_000, FADE)]
    assert list(found[[0, 5_500, 11_000, 12_100, 14_500, 39_999]]) == [2, 0, 0, 2, 0, 0]
    assert layers.played == {2: 5_000 + FADE + 2_000, 0: total - 5_000 - FADE - 2_000}


def test_a_fade_is_a_straight_line_between_two_known_signals() -> None:
    layers = Layers(RATE, 0, 0, 10_000, most=16_384)
    layers.add(0, np.full(10_000, 0.25, np.float32), 2)
    layers.next(1_000, 1_000)
    layers.add(0, np.full(10_000, 0.75, np.float32), 0)
    fade = layers.next(5_000, 0)
    np.testing.assert_allclose(fade, 0.25 + 0.5 * (np.arange(FADE) + 0.5) / FADE, atol=1e-6)


def test_coarse_audio_is_held_back_and_final_audio_is_not(ring: Ring) -> None:
    feeder = RingFeeder(Ring.attach(ring.name), total=30_000, look_ahead=2_000)
    feeder.feed(0, ramp(2, 0, 30_000), 2)
    _until(lambda: ring.fill == 2_000)
    assert ring.promised == 30_000  # so whoever waits to begin knows what there is
    feeder.feed(0, ramp(0, 0, 20_000))
    _until(lambda: ring.fill == 20_000 - FADE)
    feeder.feed(20_000, ramp(0, 20_000, 30_000))
    feeder.end()
    assert feeder.wait(5.0) and ring.finished and ring.fill == 30_000
    heard = np.empty(30_000, np.float32)
    ring.read_into(heard)
    assert switches(levels_of(heard)) == [(2_000, FADE)]
    assert feeder.heard() == {2: 2_000 / RATE, 0: 28_000 / RATE}


def test_the_end_of_a_draft_is_heard_where_the_rest_never_comes(ring: Ring) -> None:
    feeder = RingFeeder(Ring.attach(ring.name), total=9_000, look_ahead=20_000)
    feeder.feed(0, ramp(2, 0, 9_000), 2)
    _until(lambda: ring.fill == 9_000)
    feeder.stop()
    assert feeder.wait(5.0)


def test_after_a_restart_it_goes_on_where_the_ring_ends(ring: Ring) -> None:
    ring.write(ramp(2, 0, 3_000))
    feeder = RingFeeder(Ring.attach(ring.name), skip=3_000, total=20_000, look_ahead=4_000)
    for level in (2, 0):  # a resumed take is told from its beginning
        for start in range(0, 20_000, 4_096):
            feeder.feed(start, ramp(level, start, min(20_000, start + 4_096)), level)
    feeder.end()
    assert feeder.wait(5.0) and ring.fill == 20_000
    heard = np.empty(20_000, np.float32)
    ring.read_into(heard)
    assert np.all(levels_of(heard)[:3_000] == 2) and levels_of(heard)[-1] == 0


@pytest.mark.parametrize("signal", [ramp, sine])
def test_a_listener_in_real_time_gets_the_draft_until_the_full_is_there(ring: Ring, signal) -> None:
    """The full signal begins after 0.6 s, and comes at twice the pace of the clock; the draft at four times."""
    total = 3 * RATE
    feeder = RingFeeder(Ring.attach(ring.name), total=total)
    fed: list[tuple[float, int]] = []
    threads = [
        threading.Thread(target=_feed, args=(feeder, signal, level, delay, pace, total, fed))
        for level, delay, pace in ((2, 0.0, 4.0), (0, 0.6, 2.0))
    ]
    for thread in threads:
        thread.start()
    heard, read_at = _listen(ring, total)
    for thread in threads:
        thread.join()
    feeder.end()
    assert feeder.wait(5.0)
    assert len(heard) == total
    if signal is sine:
        own = np.abs(np.diff(sine(0, 0, total))).max()
        assert np.abs(np.diff(heard)).max() <= own * 1.001
        return
    found = levels_of(heard)
    (fade,) = switches(found)
    assert found[0] == 2 and found[-1] == 0 and fade[1] == FADE
    assert sum(feeder.heard().values()) == pytest.approx(3.0)
    assert feeder.heard()[2] == pytest.approx(fade[0] / RATE)
    for at, end in zip(read_at, range(BLOCK, total, BLOCK), strict=False):
        known = max((place for when, place in fed if when < at - 0.5), default=0)
        if known >= end:  # it was there long before: then nothing else may have been heard
            assert np.all(found[end - BLOCK : end] != 2)


def _feed(
    feeder: RingFeeder,
    signal,
    level: int,
    delay: float,
    pace: float,
    total: int,
    fed: list[tuple[float, int]],
) -> None:
    begin, chunk = time.monotonic() + delay, 4_096
    for start in range(0, total, chunk):
        stop = min(total, start + chunk)
        time.sleep(max(0.0, begin + stop / RATE / pace - time.monotonic()))
        feeder.feed(start, signal(level, start, stop), level)
        if level == 0:
            fed.append((time.monotonic(), stop))


def _listen(ring: Ring, total: int) -> tuple[Samples, list[float]]:
    """Blocks of 512 at the pace of the clock, from the moment that 0.15 s are there; none may come up short."""
    _until(lambda: ring.fill >= 0.15 * RATE)
    heard, read_at, due = np.empty(total, np.float32), [], time.monotonic()
    for start in range(0, total, BLOCK):
        time.sleep(max(0.0, due - time.monotonic()))
        read_at.append(time.monotonic())
        stop = min(total, start + BLOCK)
        assert ring.read_into(heard[start:stop]) == stop - start, f"ran dry at {start / RATE:.2f} s"
        due += BLOCK / RATE
    return heard, read_at


def _until(condition, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)
