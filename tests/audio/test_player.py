"""The player: bit-exact playing, and what it does where sound breaks off and comes back."""

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


def voice_on(
    ring: Ring, *, prebuffer: int = 0, resume: int = 1, total: int | None = None, fade_in: bool = False
) -> Voice:
    return Voice(DirectSource(ring, total), prebuffer, resume, fade_in)


def render(player: Player, *lengths: int) -> npt.NDArray[np.float32]:
    blocks = [np.full(length, 9, np.float32) for length in lengths]
    for block in blocks:
        player.render(block)
    return np.concatenate(blocks)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=12), st.integers(1, 2_000))
def test_any_block_sizes_give_the_take_bit_for_bit(blocks: list[int], frames: int) -> None:
    ring, take, player = Ring.local(4_096), noise(frames), Player(RATE)
    ring.write(take)
    player.post(voice := voice_on(ring, total=frames))
    out = render(player, *blocks)
    count = min(len(out), frames)
    np.testing.assert_array_equal(out[:count], take[:count])
    np.testing.assert_array_equal(out[frames + FADE :], 0)
    assert voice.state == (State.FINISHED if sum(blocks) >= frames else State.PLAYING)
    assert (player.played, ring.read, voice.underruns) == (count, count, 0)


def test_silence_without_a_voice() -> None:
    assert not render(Player(RATE), 64, 512).any()


def test_it_waits_for_the_prebuffer_or_the_end() -> None:
    ring, player = Ring.local(1_024), Player(RATE)
    ring.write(noise(500))
    player.post(voice := voice_on(ring, prebuffer=600))
    assert not render(player, 256).any() and voice.state == State.WAITING
    ring.write(noise(99))
    assert not render(player, 256).any()
    ring.write(noise(1))
    assert render(player, 256).all() and voice.begun

    short = Ring.local(1_024)
    short.write(noise(10))
    voice.dismissed = True
    player.post(voice_on(short, prebuffer=600))
    assert not render(player, 256)[FADE:].any()
    short.finish()
    np.testing.assert_array_equal(render(player, 10), noise(10))


def test_a_prebuffer_beyond_the_ring_means_a_full_ring() -> None:
    ring, player = Ring.local(256), Player(RATE)
    player.post(voice_on(ring, prebuffer=100_000))
    ring.write(noise(256))
    assert render(player, 64).all()


def test_frames_beyond_the_end_of_the_take_are_left_alone() -> None:
    ring, player = Ring.local(1_024), Player(RATE)
    ring.write(noise(300))
    player.post(voice := voice_on(ring, total=200))
    block = np.zeros(256, np.float32)
    assert player.render(block) == (0, 200), "what follows the end is not playback"
    assert (voice.state, ring.read, ring.fill) == (State.FINISHED, 200, 100)
    assert player.render(block) == (0, 0)


def test_an_underrun_decays_waits_and_fades_in_without_losing_a_frame() -> None:
    ring, player = Ring.local(8_192), Player(RATE)
    level = np.full(3_000, 0.5, np.float32)
    ring.write(level[:1_000])
    player.post(voice := voice_on(ring, resume=700))
    first = render(player, 1_024, 512)
    assert (voice.state, voice.underruns) == (State.STARVED, 1)
    np.testing.assert_array_equal(first[:1_000], 0.5)
    decay = first[1_000 : 1_000 + FADE]
    phase = (np.arange(FADE) + 0.5) / FADE
    np.testing.assert_allclose(decay, 0.5 * (1 + np.cos(np.pi * phase)) / 2, atol=1e-6)
    assert not first[1_000 + FADE :].any()
    ring.write(level[:699])
    assert not render(player, 512).any(), "one frame is missing of what it waits for"
    ring.write(level[:1_301])
    again = render(player, 512, 1_488)
    np.testing.assert_allclose(again[:FADE], 0.5 * (1 - np.cos(np.pi * phase)) / 2, atol=1e-6)
    np.testing.assert_array_equal(again[FADE:], 0.5)
    assert ring.read == 3_000 and voice.underruns == 1


@pytest.mark.parametrize("cut", [512, 1_000, 1_024 + 5])
def test_no_step_is_larger_than_the_fade_makes_it(cut: int) -> None:
    """A constant that breaks off anywhere in a block never jumps by more than a fade's steepest step."""
    ring, player = Ring.local(8_192), Player(RATE)
    ring.write(np.ones(cut))
    player.post(voice := voice_on(ring, resume=100, fade_in=True))
    parts = [render(player, 512, 512, 512, 512)]
    ring.write(np.ones(3_000))
    parts.append(render(player, 512))
    voice.dismissed = True
    parts.append(render(player, 512, 512))
    assert np.abs(np.diff(np.concatenate(parts), prepend=0)).max() <= np.pi / 2 / FADE + 1e-6


def test_stop_fades_out_and_leaves_the_rest() -> None:
    ring, player = Ring.local(8_192), Player(RATE)
    ring.write(np.ones(8_000))
    player.post(voice := voice_on(ring))
    render(player, 1_000)
    voice.stop_frames = 400
    out = render(player, 256, 256)
    assert np.all(np.diff(out[:400]) < 0) and out[0] > 0.99 and out[399] < 1e-4
    assert (voice.state, ring.read) == (State.STOPPED, 1_400)
    assert np.abs(out[400:]).max() < 1e-4


@pytest.mark.parametrize("starved", [False, True])
def test_stop_ends_a_silent_voice_at_once(starved: bool) -> None:
    ring, player = Ring.local(64), Player(RATE)
    player.post(voice := voice_on(ring, prebuffer=0 if starved else 10))
    render(player, 32)
    voice.stop_frames = 400
    render(player, 32)
    assert voice.state == State.STOPPED


def test_drain_skips_what_waits_and_is_no_underrun() -> None:
    ring, player = Ring.local(4_096), Player(RATE)
    ring.write(noise(3_000))
    player.post(voice := voice_on(ring, prebuffer=100))
    render(player, 512)
    voice.drain = True
    assert not render(player, 512)[FADE:].any()
    assert (ring.read, ring.fill, voice.underruns, voice.state) == (3_000, 0, 0, State.WAITING)
    ring.write(np.ones(512))
    assert render(player, 512)[FADE:].min() == 1


def test_gain_is_reached_within_a_block_without_a_step() -> None:
    ring, player = Ring.local(8_192), Player(RATE)
    ring.write(np.ones(4_000))
    player.post(voice_on(ring))
    render(player, 500)
    player.gain = 0.25
    ramp = render(player, 500)
    np.testing.assert_allclose(ramp, 1 - 0.75 * np.arange(1, 501) / 500, atol=1e-6)
    np.testing.assert_allclose(render(player, 500), 0.25, atol=1e-6)


def test_gain_set_in_silence_holds_from_the_first_frame() -> None:
    ring, player = Ring.local(8_192), Player(RATE)
    ring.write(np.ones(4_000))
    player.gain = 0.5
    player.post(voice_on(ring))
    np.testing.assert_array_equal(render(player, 500), 0.5)


def test_the_callback_does_not_allocate_buffers() -> None:
    """Through playing, an underrun, a recovery, a gain ramp and a stop, no block-sized array is made."""
    ring, player, block = Ring.local(1 << 16), Player(RATE), np.zeros(2_048, np.float32)
    ring.write(noise(50_000))
    player.post(voice := voice_on(ring))
    render(player, 2_048)
    tracemalloc.start()
    try:
        for count in range(40):
            player.gain = 0.5 + count / 100
            player.render(block)
            if count == 30:
                ring.write(block)
        voice.stop_frames = 100
        player.render(block)
        assert tracemalloc.get_traced_memory()[1] < block.nbytes // 2
    finally:
        tracemalloc.stop()
    assert voice.underruns == 2 and voice.state == State.STOPPED
