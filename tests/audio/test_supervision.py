"""The audio process without a device: the file in its place, and what becomes of a process that dies or
hangs.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from bridge.audio.player import FADE_SECONDS
from engine.errors import NoDevice, NoFile, NotReady, OutOfRange
from engine.ring import Ring, ring_name
from tests.rig.jack import wait_until

from .harness import feed, noise, reaches, report, running
from .test_parts import read_wav

FADE = round(FADE_SECONDS * 44_100)


@pytest.fixture(autouse=True)
def _no_sound_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """PortAudio finds no JACK server and no cards here, whatever the machine has."""
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "segue-test-none")
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")


def test_the_file_equals_the_ring(ring: Ring, tmp_path: Path) -> None:
    take, path = noise(60_000), tmp_path / "out.wav"

    async def play() -> float:
        async with running() as client:
            opened = await client.open(f"file:{path}")
            assert (opened.device, opened.audible, opened.reason) == (f"file:{path}", False, "")
            begin = asyncio.get_running_loop().time()
            await client.play(ring.name, prebuffer_frames=30_000, total_frames=len(take))
            await feed(ring, take)
            assert (await report(client, "playing")).frame == 0
            assert (await report(client, "finished")).frames == len(take)
            return asyncio.get_running_loop().time() - begin

    seconds = asyncio.run(play())
    np.testing.assert_array_equal(read_wav(path), take)
    assert seconds >= 60_000 / 44_100 - 0.1, "it plays in real time"


def test_without_a_device_the_fallback_is_written_and_says_so(ring: Ring, tmp_path: Path) -> None:
    async def play() -> None:
        async with running() as client:
            path = tmp_path / "heard.wav"
            with pytest.raises(NoDevice, match="there is no sound device; connect one or use 'file:PATH'"):
                await client.open()
            with pytest.raises(NotReady, match="no output is open; open one before playing"):
                await client.play(ring.name)
            opened = await client.open(fallback=path)
            assert opened.device == f"file:{path}" and opened.reason == "there is no sound device"
            with pytest.raises(NoDevice, match="there is no sound device 'Speakers'"):
                await client.open("Speakers", fallback=tmp_path / "not.wav")
            ring.write(noise(2_000))
            await client.play(ring.name, total_frames=2_000)
            await report(client, "finished")

    if any(Path("/dev").glob("snd/pcm*")):
        pytest.skip("this machine has a sound card")
    asyncio.run(play())
    np.testing.assert_array_equal(read_wav(tmp_path / "heard.wav"), noise(2_000))
    assert not (tmp_path / "not.wav").exists()


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
def test_a_dead_or_hung_process_is_replaced_and_every_frame_is_heard(
    ring: Ring, tmp_path: Path, blow: signal.Signals
) -> None:
    take, path = noise(100_000), tmp_path / "out.wav"

    async def play() -> None:
        async with running() as client:
            await client.open(f"file:{path}")
            await client.set_gain(0.5)
            await feed(ring, take)
            await client.play(ring.name, total_frames=len(take))
            await reaches(ring, 30_000)
            pid = client.pid
            assert pid is not None
            begin = asyncio.get_running_loop().time()
            os.kill(pid, blow)
            await report(client, "lost", 5)
            await report(client, "playing")
            assert asyncio.get_running_loop().time() - begin < 20
            assert not psutil.pid_exists(pid)
            assert (await report(client, "finished")).frames == len(take)

    asyncio.run(play())
    heard, expected = read_wav(path), 0.5 * take.astype(np.float64)
    same = np.flatnonzero(np.abs(heard[: len(expected)] - expected[: len(heard)]) > 2.0**-23)
    cut = int(same[0])
    assert 30_000 - 2_048 <= cut <= 70_000
    back = len(heard) - len(expected) + cut  # the gap, if any frame was repeated
    assert abs(len(heard) - len(expected)) <= 2_048
    rest = slice(max(cut, back) + FADE + 2_048, None)
    tail = heard[rest]
    np.testing.assert_allclose(tail, expected[-len(tail) :], atol=2.0**-23)


def test_no_torch_and_no_engine_beyond_the_ring_in_the_process() -> None:
    async def ask() -> list[str]:
        async with running() as client:
            await client.open("none")
            return await client.modules()

    names = asyncio.run(ask())
    assert not [name for name in names if name.split(".")[0] in {"torch", "onnxruntime", "scipy"}]
    assert [name for name in names if name.startswith("engine")] == ["engine", "engine.errors", "engine.ring"]
    assert "numpy" in names


def test_reach_for_a_ring_that_is_not_there(ring: Ring) -> None:
    async def play() -> None:
        async with running() as client:
            await client.open("none")
            with pytest.raises(NoFile, match="no ring named 'segue-1-gone'; its owner must create it first"):
                await client.play("segue-1-gone")
            ring.write(noise(100))
            await client.play(ring.name, total_frames=100)
            assert (await report(client, "finished")).frames == 100

    asyncio.run(play())


def test_numbers_out_of_range_are_refused_in_one_sentence() -> None:
    async def ask() -> None:
        async with running() as client:
            await client.open("none")
            with pytest.raises(OutOfRange, match=r"gain is 9.0, but it must be less than or equal to 4"):
                await client.set_gain(9.0)
            with pytest.raises(
                OutOfRange, match="prebuffer_frames is -1, but it must be greater than or equal"
            ):
                await client.play("segue-1-x", prebuffer_frames=-1)

    asyncio.run(ask())


def test_a_ring_that_is_played_already_only_gets_new_numbers(ring: Ring) -> None:
    async def play() -> None:
        async with running() as client:
            await client.open("none")
            ring.write(noise(5_000))
            await client.play(ring.name, prebuffer_frames=100_000)
            await report(client, "stats")
            assert ring.read == 0
            await client.play(ring.name, prebuffer_frames=5_000)
            await report(client, "playing")
            await client.play(ring.name, total_frames=5_000)
            finished = await report(client, "finished")
            assert finished.frames == 5_000

    asyncio.run(play())


def test_another_output_takes_over_what_is_playing(ring: Ring, tmp_path: Path) -> None:
    take = noise(60_000)

    async def play() -> None:
        async with running() as client:
            await client.open(f"file:{tmp_path}/a.wav")
            await feed(ring, take)
            await client.play(ring.name, total_frames=len(take))
            await reaches(ring, 20_000)
            await client.open(f"file:{tmp_path}/b.wav")
            assert (await report(client, "finished")).frames == len(take)

    asyncio.run(play())
    first, second = read_wav(tmp_path / "a.wav"), read_wav(tmp_path / "b.wav")
    np.testing.assert_array_equal(first, take[: len(first)])
    assert len(first) + len(second) == len(take)
    np.testing.assert_array_equal(second[FADE:], take[len(first) + FADE :])


def test_a_full_disk_is_reported_and_playing_goes_on(ring: Ring, tmp_path: Path) -> None:
    async def play() -> None:
        async with running() as client:
            await client.open(f"file:{tmp_path}/big.wav")
            psutil.Process(client.pid).rlimit(psutil.RLIMIT_FSIZE, (30_000, 30_000))
            take = noise(60_000)
            await feed(ring, take)
            await client.play(ring.name, total_frames=len(take))
            failed = await report(client, "failed")
            assert (failed.code, failed.slug) == (507, "disk_full")
            assert (await report(client, "finished")).frames == len(take)

    asyncio.run(play())


def test_closing_twice_and_closing_while_recovering_leave_nothing(ring: Ring) -> None:
    async def play() -> list[int]:
        pids = []
        async with running() as client:
            await client.open("none")
            assert client.pid is not None
            pids.append(client.pid)
            os.kill(client.pid, signal.SIGKILL)
            await report(client, "lost")
            await client.close()
            await client.close()
        return pids

    for pid in asyncio.run(play()):
        assert not psutil.pid_exists(pid)


def test_the_process_ends_when_the_bridge_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, time\n"
        "from bridge.audio.supervisor import AudioClient\n"
        "async def main():\n"
        "    client = AudioClient(); await client.start(); await client.open('none')\n"
        "    print(client.pid, flush=True); await asyncio.sleep(60)\n"
        "if __name__ == '__main__': asyncio.run(main())\n"
    )
    program = tmp_path / "bridge_alone.py"
    program.write_text(script)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, env=environment) as bridge:
        assert bridge.stdout is not None
        pid = int(bridge.stdout.readline())
        assert psutil.pid_exists(pid)
        bridge.kill()
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", 5)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_twenty_kills_and_it_is_always_back_within_three_seconds(tmp_path: Path) -> None:
    random = np.random.default_rng(3)

    async def play() -> list[float]:
        times = []
        with Ring.create(ring_name("kills"), 1 << 21) as ring:
            ring.write(noise(1 << 21))
            async with running() as client:
                await client.open("none")
                await client.play(ring.name, total_frames=1 << 21)
                await report(client, "playing")
                for _ in range(20):
                    await asyncio.sleep(float(random.uniform(0.0, 0.5)))
                    assert client.pid is not None
                    begin = asyncio.get_running_loop().time()
                    os.kill(client.pid, signal.SIGKILL)
                    await report(client, "playing")
                    times.append(asyncio.get_running_loop().time() - begin)
                assert client.restarts == 20
        return times

    times = asyncio.run(play())
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # others may be using the machine
    assert max(times) < 3.0 * busy
