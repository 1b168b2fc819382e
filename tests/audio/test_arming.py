"""Armed voices, files and routing through a real sound server: what a client of it recorded."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bridge.audio.player import FADE_SECONDS
from bridge.audio.protocol import Playing
from engine.errors import BadArguments, BadFormat, NoDevice, NoFile
from engine.ring import Ring, ring_name
from tests.rig.jack import PERIOD, JackServer, Recorder, match, wait_until

from .harness import feed, noise, reaches, report, running

FADE = round(FADE_SECONDS * 44_100)


def test_the_fade_begins_at_its_very_sample_and_has_equal_power(ring: Ring, recorder: Recorder) -> None:
    old, new, length = noise(120_000, 1), noise(60_000, 2), 4_410

    async def play() -> tuple[Playing, Playing, int]:
        with Ring.create(ring_name("next"), 1 << 16) as other:
            async with running() as client:
                await client.open()
                await asyncio.to_thread(recorder.await_player)
                ring.write(old)
                other.write(new)
                await client.play(ring.name, total_frames=len(old), label="old")
                first = await report(client, "playing")
                at = first.stream_frame + 33_333
                await client.play(other.name, total_frames=len(new), label="new", at_frame=at, fade_ms=100)
                second = await report(client, "playing")
                stopped = await report(client, "stopped")
                assert (stopped.label, stopped.frames) == ("old", 33_333 + length)
                finished = await report(client, "finished")
                assert (finished.label, finished.frames, finished.underruns) == ("new", len(new), 0)
                await asyncio.to_thread(wait_until, lambda: recorder.audio[-PERIOD:].max() == 0)
                return first, second, at

    first, second, at = asyncio.run(play())
    assert (second.label, second.frame, second.stream_frame, second.late_frames) == ("new", 0, at, 0)
    assert abs((second.dac_ns - first.dac_ns) / 1e9 - 33_333 / 44_100) < 0.05
    sound = recorder.sound()
    begin = 33_333
    assert (
        match(sound, old) == begin or begin <= match(sound, old) <= begin + 5
    )  # it begins with gains of almost 1 and 0
    fade = sound[begin : begin + length].astype(np.float64)
    gains = np.stack([old[begin : begin + length], new[:length]], axis=1).astype(np.float64)
    for piece in np.array_split(np.arange(length), 9):  # the gains as they were, measured
        (fall, rise), *_ = np.linalg.lstsq(gains[piece], fade[piece], rcond=None)
        middle = (piece.mean() + 0.5) / length * np.pi / 2
        assert (fall, rise) == (
            pytest.approx(np.cos(middle), abs=0.02),
            pytest.approx(np.sin(middle), abs=0.02),
        )
        assert fall**2 + rise**2 == pytest.approx(1.0, abs=0.02)
    assert match(sound, new[length:], at=begin + length) == len(new) - length


def test_what_comes_too_late_is_told_and_the_old_one_sounds_until_then(
    ring: Ring, recorder: Recorder
) -> None:
    old, new = noise(120_000, 1), noise(30_000, 2)

    async def play() -> tuple[Playing, Playing]:
        with Ring.create(ring_name("next"), 1 << 16) as other:
            async with running() as client:
                await client.open()
                await asyncio.to_thread(recorder.await_player)
                ring.write(old)
                await client.play(ring.name, total_frames=len(old))
                first = await report(client, "playing")
                at = first.stream_frame + 10_000
                await client.play(
                    other.name, prebuffer_frames=20_000, total_frames=len(new), at_frame=at, fade_ms=0
                )
                await reaches(ring, 20_000)
                assert client.stats is not None and client.stats.ring == ring.name
                other.write(new)
                second = await report(client, "playing")
                assert (await report(client, "finished")).frames == len(new)
                await asyncio.to_thread(wait_until, lambda: recorder.audio[-PERIOD:].max() == 0)
                assert second.late_frames == second.stream_frame - at >= 10_000
                return first, second

    first, second = asyncio.run(play())
    begin = second.stream_frame - first.stream_frame
    sound = recorder.sound()
    assert match(sound, old) == begin
    assert match(sound, new, at=begin) == len(new)


def test_a_launch_is_renewed_and_taken_back(ring: Ring) -> None:
    async def play() -> None:
        async with running() as client:
            opened = await client.open("none")
            ring.write(noise(50_000))
            far = opened.frame + 44_100 * 100
            await client.play(ring.name, at_frame=far, label="next")
            assert (await report(client, "stats")).armed == "next"
            await client.disarm()
            assert (await report(client, "disarmed")).label == "next"
            assert ring.read == 0
            await client.play(ring.name, at_frame=far, label="next")
            stats = await report(client, "stats")
            near = stats.frame + 22_050
            await client.play(ring.name, at_frame=near, label="next")
            playing = await report(client, "playing")
            assert (playing.stream_frame, playing.late_frames) == (near, 0)

    asyncio.run(play())


def test_an_armed_voice_survives_the_process_and_begins_at_the_same_moment(ring: Ring) -> None:
    async def play() -> None:
        async with running() as client:
            await client.open("none")
            ring.write(noise(50_000))
            stats = await report(client, "stats")
            due_ns = stats.dac_ns + 4_000_000_000
            await client.play(ring.name, at_frame=stats.frame + 4 * 44_100, label="next")
            await report(client, "stats")
            assert client.pid is not None
            os.kill(client.pid, 9)
            await report(client, "lost")
            playing = await report(client, "playing")
            assert playing.late_frames == 0
            assert abs(playing.dac_ns - due_ns) < 2_000_000

    asyncio.run(play())


def test_a_kill_within_a_cross_fade_ends_the_old_one_and_the_new_one_goes_on(ring: Ring) -> None:
    async def play() -> None:
        with Ring.create(ring_name("next"), 1 << 17) as other:
            async with running() as client:
                await client.open("none")
                ring.write(noise(100_000, 1))
                other.write(noise(100_000, 2))
                await client.play(ring.name, label="old")
                await report(client, "playing")
                await client.play(other.name, label="new", fade_ms=10_000, total_frames=100_000)
                assert (await report(client, "playing")).label == "new"
                await reaches(other, 10_000)
                assert client.pid is not None
                os.kill(client.pid, 9)
                await report(client, "lost")
                assert (await report(client, "stopped")).label == "old"
                again = await report(client, "playing")
                assert again.label == "new" and again.frame >= 10_000
                read = ring.read
                assert (await report(client, "finished")).label == "new"
                assert ring.read == read

    asyncio.run(play())


def test_what_cannot_be_brought_back_is_told_as_stopped() -> None:
    async def play() -> None:
        with Ring.create(ring_name("gone"), 1 << 16) as ring:
            async with running() as client:
                await client.open("none")
                ring.write(noise(60_000))
                await client.play(ring.name, label="gone")
                await report(client, "playing")
                ring.unlink()
                assert client.pid is not None
                os.kill(client.pid, 9)
                assert (await report(client, "failed")).slug == "no_file"
                assert (await report(client, "stopped")).label == "gone"

    asyncio.run(play())


def test_a_file_plays_over_and_over_and_hands_over_to_a_take(
    ring: Ring, recorder: Recorder, tmp_path: Path
) -> None:
    prime, take, path = noise(9_000, 1), noise(20_000, 2), tmp_path / "prime.wav"
    soundfile.write(path, prime, 44_100, "PCM_24")

    async def play() -> int:
        async with running() as client:
            await client.open()
            await asyncio.to_thread(recorder.await_player)
            await client.play(file=path, loop=True, from_frame=1_000, label="prime")
            first = await report(client, "playing")
            assert (first.label, first.frame, first.ring) == ("prime", 1_000, "")
            ring.write(take)
            at = first.stream_frame + 40_000
            await client.play(ring.name, total_frames=len(take), at_frame=at, fade_ms=0)
            assert (await report(client, "stopped")).label == "prime"
            await report(client, "finished")
            await asyncio.to_thread(wait_until, lambda: recorder.audio[-PERIOD:].max() == 0)
            return at - first.stream_frame

    begin = asyncio.run(play())
    sound = recorder.sound()
    looped = np.concatenate([prime[1_000:], np.tile(prime, 5)])
    assert match(sound, looped) == begin == 40_000
    assert match(sound, take, at=begin) == len(take)


def test_a_file_of_another_rate_sounds_the_same_and_ends(tmp_path: Path) -> None:
    path, out = tmp_path / "tone.wav", tmp_path / "out.wav"
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    soundfile.write(path, np.stack([tone, tone], axis=1), 48_000, "FLOAT")

    async def play() -> None:
        async with running() as client:
            await client.open(f"file:{out}")
            await client.play(file=path)
            finished = await report(client, "finished")
            assert (finished.label, finished.frames) == (str(path), 48_000)

    asyncio.run(play())
    heard, rate = soundfile.read(out)
    assert rate == 44_100 and abs(len(heard) - 44_100) <= 1
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(heard)) / 44_100)
    assert np.abs(heard - expected)[1_000:-1_000].max() < 1e-4


def test_a_file_goes_on_where_it_was_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, noise(44_100 * 6), 44_100, "PCM_24")

    async def play() -> tuple[int, int]:
        async with running() as client:
            await client.open("none")
            await client.play(file=path, label="prime")
            while (stats := await report(client, "stats")).read < 60_000:
                pass
            assert client.pid is not None
            os.kill(client.pid, 9)
            again = await report(client, "playing")
            return stats.read, again.frame

    before, after = asyncio.run(play())
    assert before <= after <= before + 3 * 4_410


@pytest.mark.parametrize("jack_server", [(44_100, 4)], indirect=True)
def test_outputs_3_and_4_of_a_card(ring: Ring, jack_server: JackServer) -> None:
    recorders = [Recorder(jack_server, channel=channel) for channel in range(4)]
    take = noise(20_000)

    async def play() -> None:
        async with running() as client:
            opened = await client.open("system", first_channel=3)
            assert (opened.channels, opened.first_channel) == (2, 3)
            for recorder in recorders:
                await asyncio.to_thread(recorder.await_player)
            await feed(ring, take)
            await client.play(ring.name, total_frames=len(take))
            await report(client, "finished")
            await asyncio.to_thread(wait_until, lambda: len(recorders[3].sound()) >= len(take))
            with pytest.raises(
                NoDevice, match=r"'system, JACK.*' has 4 output\(s\) and no channel 5; choose another"
            ):
                await client.open("system", first_channel=5)

    asyncio.run(play())
    for recorder in recorders:
        recorder.close()
    assert [match(recorder.sound(), take) for recorder in recorders] == [0, 0, len(take), len(take)]
    assert not recorders[0].audio.any() and not recorders[1].audio.any()


def test_what_cannot_be_played_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")

    async def play() -> None:
        async with running() as client:
            await client.open("none")
            with pytest.raises(NoFile, match=r"there is no file '.*gone.wav' to play; check the path"):
                await client.play(file=tmp_path / "gone.wav")
            with pytest.raises(BadFormat, match=r"text.wav' is no sound file .*; play a WAV or FLAC"):
                await client.play(file=tmp_path / "text.wav")
            with pytest.raises(BadArguments, match="exactly one of ring and file is played; name that one"):
                await client.play("segue-1-x", file=tmp_path / "text.wav")

    asyncio.run(play())
