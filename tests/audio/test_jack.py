"""Through a real sound server: what it got equals what was written, also around gaps, kills and losses."""

from __future__ import annotations

import asyncio
import os
import signal

import numpy as np
import numpy.typing as npt
import pytest

from bridge.audio.player import FADE_SECONDS
from engine.errors import NoDevice
from engine.ring import Ring, ring_name
from tests.rig.jack import PERIOD, JackServer, Recorder, match, wait_until

from .harness import feed, noise, reaches, report, running

FADE = round(FADE_SECONDS * 44_100)


def same_end(sound: npt.NDArray[np.float32], take: npt.NDArray[np.float32]) -> int:
    """How many frames up to the end of the take were recorded without a gap."""
    end = int(np.flatnonzero(sound == take[-1])[-1]) + 1
    return match(sound[:end][::-1], take[::-1])


def test_every_frame_arrives_bit_for_bit(ring: Ring, recorder: Recorder) -> None:
    take = noise(88_200)

    async def play() -> tuple[str, int, int]:
        async with running() as client:
            opened = await client.open()
            await asyncio.to_thread(recorder.await_player)
            await feed(ring, take)
            await client.play(ring.name, prebuffer_frames=44_100, total_frames=len(take))
            finished = await report(client, "finished")
            assert (finished.frames, finished.underruns) == (len(take), 0)
            await asyncio.to_thread(wait_until, lambda: len(recorder.sound()) >= len(take) + FADE)
            return opened.label, opened.rate, opened.channels

    assert asyncio.run(play()) == ("system, JACK Audio Connection Kit", 44_100, 2)
    sound = recorder.sound()
    assert match(sound, take) == len(take)
    tail = sound[len(take) :]
    assert len(tail) <= FADE and np.all(np.diff(tail) < 0) and tail[0] <= take[-1]


def test_an_underrun_loses_nothing(ring: Ring, recorder: Recorder) -> None:
    """The rest goes on at its first frame, after a decay of 5 ms and silence, with a fade-in of 5 ms."""
    take, cut = noise(44_100), 20_000

    async def play() -> int:
        async with running() as client:
            await client.open()
            await asyncio.to_thread(recorder.await_player)
            ring.write(take[:cut])
            await client.play(ring.name, resume_frames=8_000, total_frames=len(take))
            assert (await report(client, "underrun")).count == 1
            ring.write(take[cut:])
            finished = await report(client, "finished")
            assert (finished.frames, finished.underruns) == (len(take), 1)
            await asyncio.to_thread(wait_until, lambda: recorder.audio[-PERIOD:].max() == 0)
            return client.stats.underruns if client.stats else -1

    asyncio.run(play())
    sound = recorder.sound()
    assert match(sound, take[:cut]) == cut
    back = cut + FADE + int(np.flatnonzero(sound[cut + FADE :])[0])
    assert np.all(np.diff(sound[cut : cut + FADE]) <= 0)
    rest = sound[back:]
    assert np.all(rest[:FADE] <= take[cut : cut + FADE]) and rest[0] < 0.01 * take[cut]
    assert match(rest, take[cut + FADE :], at=FADE) == len(take) - cut - FADE


def test_the_rest_is_played_after_the_process_was_killed(ring: Ring, recorder: Recorder) -> None:
    take = noise(110_000)

    async def play() -> int:
        async with running() as client:
            await client.open()
            await asyncio.to_thread(recorder.await_player)
            await feed(ring, take)
            await client.play(ring.name, total_frames=len(take))
            await reaches(ring, 40_000)
            first = client.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            lost = await report(client, "lost")
            assert lost.reason == "the audio process ended"
            assert (await report(client, "opened")).host_api.startswith("JACK")
            assert client.pid != first and client.restarts == 1
            goes_on = (await report(client, "playing")).frame
            assert (await report(client, "finished")).frames == len(take)
            await asyncio.to_thread(wait_until, lambda: recorder.audio[-PERIOD:].max() == 0)
            return int(goes_on)

    goes_on = asyncio.run(play())
    sound = recorder.sound()
    before = match(sound, take)
    assert before >= 40_000 - 2 * PERIOD
    assert abs(goes_on - before) <= 2 * PERIOD, "at most what the device held is missing or repeated"
    rest = same_end(sound, take)
    assert 40_000 < rest <= len(take) - goes_on - FADE + 2  # faded in; the recorder may have come after it


@pytest.mark.timeout(120)
def test_a_dead_sound_server_is_reported_and_its_return_is_used(
    ring: Ring, jack_server: JackServer, recorder: Recorder
) -> None:
    take = noise(110_000)

    async def play() -> tuple[int, Recorder]:
        async with running() as client:
            await client.open()
            await asyncio.to_thread(recorder.await_player)
            await feed(ring, take)
            await client.play(ring.name, total_frames=len(take))
            await reaches(ring, 20_000)
            first = client.pid
            jack_server.kill()
            assert "'system' has" in (await report(client, "lost", 10)).reason
            assert client.recovering
            await asyncio.to_thread(recorder.close)
            held = ring.read
            assert held < len(take)
            await asyncio.to_thread(jack_server.start)
            again = Recorder(jack_server)
            assert (await report(client, "opened")).host_api.startswith("JACK")
            assert client.pid != first
            assert (await report(client, "playing")).frame == held
            assert (await report(client, "finished")).frames == len(take)
            await asyncio.to_thread(wait_until, lambda: again.audio[-PERIOD:].max() == 0)
            return held, again

    held, again = asyncio.run(play())
    sound = again.sound()
    again.close()
    assert 20_000 < same_end(sound, take) <= len(take) - held  # the recorder may have come after the player


@pytest.mark.parametrize("jack_server", [48_000], indirect=True)
def test_a_device_of_another_rate_gets_the_same_tone(ring: Ring, recorder: Recorder) -> None:
    seconds, hertz = 2.0, 1_000.0
    tone = (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(44_100 * seconds)) / 44_100)).astype(np.float32)

    async def play() -> int:
        async with running() as client:
            opened = await client.open()
            await asyncio.to_thread(recorder.await_player)
            await feed(ring, tone)
            await client.play(ring.name, prebuffer_frames=6_615, total_frames=len(tone))
            finished = await report(client, "finished")
            assert (finished.frames, finished.underruns) == (len(tone), 0)
            await asyncio.to_thread(wait_until, lambda: recorder.audio[-PERIOD:].max() == 0)
            return opened.rate

    assert asyncio.run(play()) == 48_000
    sound = recorder.sound()
    assert abs(len(sound) - 48_000 * seconds) <= 48_000 * FADE_SECONDS + 64
    middle = sound[1_000 : 1_000 + 90_000].astype(np.float64)
    phase = 2 * np.pi * hertz * np.arange(len(middle)) / 48_000
    basis = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    weights, *_ = np.linalg.lstsq(basis, middle, rcond=None)
    assert np.hypot(*weights) == pytest.approx(0.5, abs=1e-4)
    assert np.abs(middle - basis @ weights).max() < 1e-4


def test_a_wrong_name_offers_the_nearest_and_leaves_the_open_device_alone(
    ring: Ring, recorder: Recorder
) -> None:
    async def play() -> None:
        async with running() as client:
            assert (await client.open("system, jack audio connection kit")).device == "system"
            with pytest.raises(NoDevice) as raised:
                await client.open("Sistem")
            assert raised.value.message.startswith(
                "there is no sound device 'Sistem'; the nearest are 'system, JACK Audio Connection Kit'"
            )
            await asyncio.to_thread(recorder.await_player)
            take = noise(10_000)
            ring.write(take)
            await client.play(ring.name, total_frames=len(take))
            assert (await report(client, "finished")).frames == len(take)
            await asyncio.to_thread(wait_until, lambda: len(recorder.sound()) >= len(take))

    asyncio.run(play())
    assert match(recorder.sound(), noise(10_000)) == 10_000


def test_stop_fades_and_play_goes_on_where_it_stopped(ring: Ring, recorder: Recorder) -> None:
    take = noise(60_000)

    async def play() -> int:
        async with running() as client:
            await client.open()
            await asyncio.to_thread(recorder.await_player)
            await feed(ring, take)
            await client.play(ring.name, total_frames=len(take))
            await reaches(ring, 15_000)
            await client.stop(fade_ms=20)
            stopped = await report(client, "stopped")
            assert stopped.frames == ring.read < len(take)
            await asyncio.to_thread(wait_until, lambda: recorder.audio[-PERIOD:].max() == 0)
            assert ring.read == stopped.frames
            await client.play(ring.name, total_frames=len(take))
            assert (await report(client, "finished")).frames == len(take)
            await asyncio.to_thread(wait_until, lambda: recorder.audio[-PERIOD:].max() == 0)
            return int(stopped.frames)

    stopped = asyncio.run(play())
    sound = recorder.sound()
    fade = 882
    whole = match(sound, take)
    assert (
        stopped - fade <= whole <= stopped - fade + 100
    )  # the fade begins so gently that it rounds to nothing
    gap = int(np.flatnonzero(sound == 0)[0])
    assert stopped - 2 <= gap <= stopped + FADE
    back = gap + int(np.flatnonzero(sound[gap:])[0])
    assert match(sound, take[stopped:], at=back) == len(take) - stopped


def test_two_rings_one_after_the_other(ring: Ring, recorder: Recorder) -> None:
    first, second = noise(9_000, 1), noise(12_000, 2)

    async def play() -> None:
        with Ring.create(ring_name("second"), 1 << 14) as other:
            async with running() as client:
                await client.open()
                await asyncio.to_thread(recorder.await_player)
                for one, take in ((ring, first), (other, second)):
                    one.write(take)
                    await client.play(one.name, total_frames=len(take))
                    finished = await report(client, "finished")
                    assert (finished.ring, finished.frames) == (one.name, len(take))
                await asyncio.to_thread(wait_until, lambda: recorder.audio[-PERIOD:].max() == 0)

    asyncio.run(play())
    sound = recorder.sound()
    assert match(sound, first) == len(first)
    assert same_end(sound, second) >= len(second) - FADE, "at most the decay of the first lies over it"
