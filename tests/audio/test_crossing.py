"""From one voice to another: at the very sample, with equal power, or late when it is not ready."""

from __future__ import annotations

import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.audio.player import Player
from bridge.audio.source import DirectSource
from bridge.audio.voice import State, Voice
from engine.ring import Ring

from .harness import noise

RATE = 44_100
FADE = 220  # 5 ms at 44.1 kHz, rounded down
BLOCKS = st.lists(st.integers(1, 900), min_size=30, max_size=60)


def voice_of(
    samples: npt.ArrayLike, *, at: int = -1, cross: int = 0, prebuffer: int = 0, skip: int = 0
) -> Voice:
    ring = Ring.local(1 << 16)
    ring.write(samples)
    return Voice(DirectSource(ring, None, skip), prebuffer, at_frame=at, cross_frames=cross)


def render(player: Player, *lengths: int) -> npt.NDArray[np.float64]:
    blocks = [np.full(length, 9, np.float32) for length in lengths]
    for block in blocks:
        player.render(block)
    return np.concatenate(blocks).astype(np.float64)


def two(old: npt.ArrayLike, new: npt.ArrayLike, at: int, cross: int) -> tuple[Player, Voice, Voice]:
    player = Player(RATE)
    player.post(first := voice_of(old))
    player.render(np.empty(100, np.float32))
    player.post(second := voice_of(new, at=at, cross=cross))
    return player, first, second


@settings(max_examples=30, deadline=None)
@given(BLOCKS, st.integers(100, 4_000))
def test_without_a_fade_the_new_one_is_there_bit_for_bit_from_its_frame_on(
    blocks: list[int], at: int
) -> None:
    player, first, second = two(noise(60_000, 1), noise(60_000, 2), at, 0)
    out = render(player, *blocks, 4_000)
    np.testing.assert_array_equal(out[: at - 100], noise(60_000, 1)[100:at])
    np.testing.assert_array_equal(out[at - 100 :], noise(60_000, 2)[: len(out) - at + 100])
    assert (second.stream_frame, second.late_frames, second.source.position) == (at, 0, len(out) + 100 - at)
    assert first.gone and first.source.position == at and first.state == State.PLAYING


@settings(max_examples=30, deadline=None)
@given(BLOCKS, st.integers(100, 4_000), st.integers(1, 4_000))
def test_the_squares_of_the_two_gains_add_up_to_one(blocks: list[int], at: int, length: int) -> None:
    ones, zeros = np.ones(60_000), np.zeros(60_000)
    falling = render(two(ones, zeros, at, length)[0], *blocks, 4_000)[at - 100 :][:length]
    rising = render(two(zeros, ones, at, length)[0], *blocks, 4_000)[at - 100 :][:length]
    angle = np.pi / 2 * (np.arange(len(rising)) + 0.5) / length
    np.testing.assert_allclose(rising, np.sin(angle), atol=2e-6)
    np.testing.assert_allclose(falling**2 + rising**2, 1.0, atol=4e-6)
    player, first, second = two(noise(60_000, 1), noise(60_000, 2), at, length)
    out = render(player, *blocks, 4_000)
    np.testing.assert_array_equal(out[: at - 100], noise(60_000, 1)[100:at])
    after = at - 100 + length
    np.testing.assert_array_equal(out[after:], noise(60_000, 2)[length : length + max(0, len(out) - after)])
    if len(out) > after:
        assert first.gone and first.state == State.STOPPED and first.source.position == at + length
    assert not second.gone


def test_what_is_not_ready_at_its_frame_comes_late_and_the_old_one_goes_on() -> None:
    player, _, second = two(noise(60_000, 1), noise(300, 2), 612, 0)
    second.prebuffer_frames = 1_000
    out = render(player, *[256] * 5)
    np.testing.assert_array_equal(out, noise(60_000, 1)[100 : 100 + 1_280])
    second.source.ring.write(noise(2_000, 3))  # type: ignore[attr-defined]
    out = render(player, 256)
    np.testing.assert_array_equal(out, noise(300, 2)[:256])
    assert (second.stream_frame, second.late_frames) == (1_380, 1_380 - 612)


def test_an_armed_voice_waits_for_its_frame_in_silence_and_begins_unfaded() -> None:
    player = Player(RATE)
    player.post(voice := voice_of(noise(5_000), at=1_000, cross=400))
    block = np.empty(600, np.float32)
    assert player.render(block) == (0, 0) and not block.any()
    assert player.render(block) == (400, 600), "playback begins in the middle of this block"
    assert not block[:400].any()
    np.testing.assert_array_equal(block[400:], noise(5_000)[:200])
    assert (voice.stream_frame, voice.late_frames, player.played) == (1_000, 0, 200)


def test_an_armed_voice_that_was_taken_back_changes_nothing() -> None:
    player, _, second = two(noise(60_000, 1), noise(60_000, 2), 500, 100)
    render(player, 200)
    second.disarmed = True
    np.testing.assert_array_equal(render(player, 500, 500), noise(60_000, 1)[300:1_300])
    assert second.gone and not second.begun and second.source.position == 0


def test_taking_back_what_has_begun_does_nothing() -> None:
    player, _, second = two(noise(60_000, 1), noise(60_000, 2), 200, 0)
    render(player, 200)
    second.disarmed = True
    np.testing.assert_array_equal(render(player, 500), noise(60_000, 2)[100:600])


def test_another_one_is_armed_instead() -> None:
    player, _, second = two(np.zeros(9_000), noise(60_000, 2), 500, 0)
    render(player, 50)
    player.post(third := voice_of(noise(60_000, 3), at=700))
    out = render(player, 1_000)
    assert second.gone and not second.begun and third.begun
    assert not out[:550].any()
    np.testing.assert_array_equal(out[550:], noise(60_000, 3)[:450])


def test_frames_that_are_left_out_are_never_heard() -> None:
    player = Player(RATE)
    player.post(voice := voice_of(noise(400), skip=1_000, prebuffer=10))
    assert not render(player, 256).any()
    ring = voice.source.ring  # type: ignore[attr-defined]
    assert ring.read == 400, "what is to be left out makes room at once"
    ring.write(noise(5_000, 2))
    np.testing.assert_array_equal(render(player, 256), noise(5_000, 2)[600:856])
    assert voice.start_frame == 1_000


@pytest.mark.parametrize("second_at", [300, 700, 1_150])
def test_a_third_voice_within_the_fade_to_the_second_makes_no_step(second_at: int) -> None:
    """Three constants: what sounded of the second when the third came fades on from there."""
    player = Player(RATE)
    ones = np.ones(60_000)
    parts = [np.ones(1)]
    player.post(voice_of(ones))
    parts.append(render(player, 200))
    player.post(voice_of(ones, at=200, cross=1_000))
    parts.append(render(player, 64))
    player.post(third := voice_of(ones, at=second_at, cross=1_000))
    parts.append(render(player, *[64] * 60))
    whole = np.concatenate(parts)
    assert third.begun and whole[-1] == 1.0
    assert np.abs(np.diff(whole)).max() <= np.pi / 2 / FADE + np.pi / 1_000


def test_the_end_of_the_old_one_within_the_fade_makes_no_step() -> None:
    player, first, _ = two(np.ones(700), np.zeros(60_000), 400, 2_000)
    first.source.ring.finish()  # type: ignore[attr-defined]
    out = render(player, *[64] * 50)
    assert first.state == State.FINISHED and first.gone
    assert np.abs(np.diff(out)).max() <= np.pi / 2 / FADE + 1e-3
    assert not out[600 + FADE + 1 :].any()


def test_stop_within_a_fade_silences_both() -> None:
    player, first, second = two(np.ones(60_000), np.ones(60_000), 200, 4_000)
    render(player, 500)
    for voice in (player.voice, player.leaving):
        assert voice is not None
        voice.stop_frames = 300
    out = render(player, *[128] * 8)
    assert first.gone and second.gone and {first.state, second.state} == {State.STOPPED}
    assert np.abs(np.diff(out)).max() <= 0.02 and not out[-100:].any()


def test_a_cross_fade_allocates_no_buffers() -> None:
    player, _, second = two(noise(60_000, 1), noise(60_000, 2), 5_000, 30_000)
    block = np.zeros(2_048, np.float32)
    player.render(block)
    tracemalloc.start()
    try:
        for _ in range(20):
            player.render(block)
        assert tracemalloc.get_traced_memory()[1] < block.nbytes // 2
    finally:
        tracemalloc.stop()
    assert second.begun
