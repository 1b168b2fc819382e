"""Recording through a real sound server: what a client of it played is what the capture ring holds."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import time
import weakref
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pytest

from bridge.audio.capture import CaptureRing, RingTooShort
from bridge.audio.wires import Wires, look
from engine.errors import NoDevice, NoFile
from engine.ring import Ring
from tests.often import often
from tests.rig.jack import PERIOD, Feeder, JackServer, Recorder, match, wait_until

from .harness import feed, noise, report, reports, running

RATE = 44_100


async def fed(feeder: Feeder, held: CaptureRing, audio: npt.NDArray[np.float32]) -> None:
    """Have ``audio`` played and wait until it must have been recorded."""
    before = held.written
    await asyncio.to_thread(feeder.feed, audio)
    await asyncio.to_thread(wait_until, lambda: held.written >= before + len(audio) + 4 * PERIOD)


def ports_of_the_server() -> str:
    return subprocess.run(["jack_lsp"], capture_output=True, text=True, check=True).stdout


def first_of(recorded: npt.NDArray[np.float32], take: npt.NDArray[np.float32]) -> int:
    return int(np.flatnonzero(recorded == take[0])[0])


def test_what_was_fed_is_held_bit_for_bit(held: CaptureRing, feeder: Feeder) -> None:
    take = noise(88_200)

    async def play() -> None:
        async with running() as client:
            await client.open("system")
            opened = await client.open_input("feeder", capture=held.name)
            assert (opened.label, opened.rate, opened.frame) == ("feeder, JACK Audio Connection Kit", RATE, 0)
            begin = time.monotonic_ns()
            await fed(feeder, held, take)
            stats = await report(client, "stats")
            while stats.in_frame == 0:
                stats = await report(client, "stats")
            assert held.anchor is not None and held.anchor[0] >= stats.in_frame
            assert abs(held.anchor[1] - begin - (held.anchor[0] - RATE // 10) * 1e9 / RATE) < 0.5e9
            assert stats.adc_ns < time.monotonic_ns()

    asyncio.run(play())
    recorded = held.read(0, held.written)
    at = first_of(recorded, take)
    assert match(recorded, take, at) == len(take)
    assert not recorded[:at].any()


@pytest.mark.parametrize("jack_server", [48_000], indirect=True)
def test_another_rate_is_converted(held: CaptureRing, feeder: Feeder) -> None:
    tone = (0.5 * np.sin(2 * np.pi * 1_000 * np.arange(96_000) / 48_000)).astype(np.float32)

    async def play() -> None:
        async with running() as client:
            await client.open("system")
            assert (await client.open_input("feeder", capture=held.name)).rate == 48_000
            await fed(feeder, held, tone)

    asyncio.run(play())
    recorded = held.read(0, held.written).astype(np.float64)
    begin = int(np.flatnonzero(np.abs(recorded) > 1e-3)[0]) + 2_000
    middle = recorded[begin : begin + 80_000]
    phase = 2 * np.pi * 1_000 * np.arange(len(middle)) / RATE
    basis = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    weights, *_ = np.linalg.lstsq(basis, middle, rcond=None)
    assert np.hypot(*weights) == pytest.approx(0.5, abs=1e-4)
    assert np.abs(middle - basis @ weights).max() < 1e-4


def test_meters_show_what_comes_in_and_goes_out(held: CaptureRing, ring: Ring, feeder: Feeder) -> None:
    async def play() -> None:
        async with running() as client:
            await client.open("system")
            await client.open_input("feeder", capture=held.name)
            await client.meter(True)
            feeding = asyncio.create_task(
                asyncio.to_thread(feeder.feed, np.tile(np.float32([0.25, -0.625]), RATE))
            )
            ring.write(np.tile(np.float32([0.125, -0.375]), RATE))
            await client.play(ring.name, total_frames=2 * RATE)
            seen = [await report(client, "meters")]
            begin = time.monotonic()
            while seen[-1].in_left < 0.625 or seen[-1].out_left < 0.375:
                seen.append(await report(client, "meters"))
            for _ in range(5):
                seen.append(await report(client, "meters"))
            assert (seen[-1].in_left, seen[-1].in_right) == (0.625, 0.625)
            assert (seen[-1].out_left, seen[-1].out_right) == (0.375, 0.375)
            assert len(seen) / (time.monotonic() - begin) < 20
            stats = await report(client, "stats")
            assert (stats.in_peak, stats.out_peak) == (0.625, 0.375)
            await client.meter(False)
            await feeding

    asyncio.run(play())


def test_the_input_is_heard_through_the_output_at_its_gain(
    held: CaptureRing, feeder: Feeder, recorder: Recorder
) -> None:
    take = noise(RATE)

    async def play() -> None:
        async with running() as client:
            await client.open("system")
            await client.open_input("feeder", capture=held.name)
            await asyncio.to_thread(recorder.await_player)
            await fed(feeder, held, take)
            assert len(recorder.audio) == 0, "not unless it is asked for"
            await client.set_monitor(0.5)
            while client.reports.qsize():
                client.reports.get_nowait()
            for _ in range(2):
                await report(client, "stats")  # half a second later it flows
            await fed(feeder, held, take)
            await asyncio.to_thread(wait_until, lambda: len(recorder.sound()) >= len(take))

    asyncio.run(play())
    assert match(recorder.sound(), 0.5 * take) == len(take)


def test_what_was_held_outlives_a_kill_and_the_input_comes_back(held: CaptureRing, feeder: Feeder) -> None:
    first, second = noise(30_000, 1), noise(30_000, 2)

    async def play() -> int:
        async with running() as client:
            await client.open("system")
            await client.open_input("feeder", capture=held.name)
            await fed(feeder, held, first)
            assert client.pid is not None
            os.kill(client.pid, signal.SIGKILL)
            await report(client, "lost")
            again = await report(client, "input_opened")
            await fed(feeder, held, second)
            return int(again.frame)

    border = asyncio.run(play())
    assert held.interruptions == [border]
    before, after = held.read(0, border), held.read(border, held.written)
    assert match(before, first, first_of(before, first)) == len(first)
    assert match(after, second, first_of(after, second)) == len(second)
    with pytest.raises(RingTooShort, match="the input was interrupted, and only the last"):
        held.read(border - 1, border + 1)


@pytest.mark.timeout(120)
def test_input_and_output_come_back_with_the_sound_server(
    held: CaptureRing, ring: Ring, jack_server: JackServer, feeder: Feeder, tmp_path: Path
) -> None:
    """The take goes on with its next frame; what was held is held, and nothing across the loss is given out."""
    first, second, take = noise(30_000, 1), noise(30_000, 2), noise(110_000)

    async def play() -> tuple[int, int, Recorder]:
        async with running() as client:
            await client.open("system")
            await client.open_input("feeder", capture=held.name)
            await fed(feeder, held, first)
            await feed(ring, take)
            await client.play(ring.name, total_frames=len(take))
            await report(client, "playing")
            jack_server.kill()
            assert (await report(client, "lost", 10)).kind == "lost"
            await asyncio.to_thread(feeder.close)
            read, written = ring.read, held.written
            assert 0 < read < len(take)
            await asyncio.to_thread(jack_server.start)
            again, recorder = Feeder(jack_server, tmp_path), Recorder(jack_server)
            seen = await reports(client, "opened", "playing", "finished", "input_opened")
            assert (seen["playing"].frame, seen["finished"].frames) == (read, len(take))
            assert seen["input_opened"].frame == written
            await fed(again, held, second)
            await asyncio.to_thread(wait_until, lambda: recorder.audio[-PERIOD:].max() == 0)
            await client.close()
            again.close()
            return written, len(take) - read, recorder

    border, left, recorder = asyncio.run(play())
    assert 0 < len(recorder.sound()) <= left + 300
    recorder.close()
    assert held.interruptions == [border]
    before, after = held.read(0, border), held.read(border, held.written)
    assert match(before, first, first_of(before, first)) == len(first)
    assert match(after, second, first_of(after, second)) == len(second)
    with pytest.raises(RingTooShort):
        held.read(border - 100, border + 100)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("away", often((True, False), but=(False,)))
def test_a_client_that_quits_and_comes_back_is_recorded_again(
    held: CaptureRing, ring: Ring, jack_server: JackServer, tmp_path: Path, away: bool
) -> None:
    """Told as lost, wired up when it is back (``away``: after a while, else at once), and what plays goes on meanwhile,
    in the same process."""
    first, second = noise(20_000, 1), noise(20_000, 2)

    async def play() -> int:
        async with running() as client:
            await client.open("system")
            leaver = Feeder(jack_server, tmp_path, "band")
            await client.open_input("band", capture=held.name)
            await fed(leaver, held, first)
            await feed(ring, noise(60_000))
            await client.play(ring.name, total_frames=60 * RATE, prebuffer_frames=1_000)
            await report(client, "playing")
            pid = client.pid
            leaver.close()
            await asyncio.to_thread(wait_until, lambda: "band:" not in ports_of_the_server())
            again = None if away else Feeder(jack_server, tmp_path, "band")
            lost = await report(client, "input_lost")
            assert lost.reason.startswith("'band' has left the sound server")
            assert client.input_opened is None
            again = again or Feeder(jack_server, tmp_path, "band")
            back = await report(client, "input_opened")
            assert (back.device, client.pid, client.restarts) == ("band", pid, 0)
            await fed(again, held, second)
            again.close()
            return int(back.frame)

    border = asyncio.run(play())
    before, after = held.read(0, border), held.read(border, held.written)
    assert match(before, first, first_of(before, first)) == len(first)
    assert match(after, second, first_of(after, second)) == len(second)
    with pytest.raises(RingTooShort, match="the input was interrupted"):
        held.read(border - 1, border + 1)


@pytest.mark.slow
def test_an_input_that_is_only_silent_is_left_alone(
    held: CaptureRing, feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when somebody pulls its wire out: that was meant."""
    looks: list[Wires | None] = []

    async def seen(ours: str, client: str) -> Wires | None:
        looks.append(await look(ours, client))
        return looks[-1]

    monkeypatch.setattr("bridge.audio.keeper.look", seen)
    monkeypatch.setattr("bridge.audio.keeper._MUTE_SECONDS", 0.1)

    async def play() -> None:
        async with running() as client:
            await client.open("system")
            await client.open_input("feeder", capture=held.name)
            await asyncio.to_thread(wait_until, lambda: len(looks) >= 3)
            assert all(one is not None and (one.outlets, one.joined) == (1, 1) for one in looks)
            told = subprocess.run(
                ["jack_lsp", "-c", "feeder"], capture_output=True, text=True, check=True
            ).stdout
            ours = told.split()[1]
            await asyncio.to_thread(subprocess.run, ["jack_disconnect", told.split()[0], ours], check=True)
            before = len(looks)
            await asyncio.to_thread(wait_until, lambda: len(looks) >= before + 2)
            assert looks[-1] is not None and (looks[-1].outlets, looks[-1].joined) == (1, 0)
            assert client.input_opened is not None

    asyncio.run(play())


def test_no_server_tells_nothing_of_wires() -> None:
    assert asyncio.run(look("Segue", "nobody")) is None


def test_a_change_of_the_output_keeps_the_input(held: CaptureRing, feeder: Feeder, tmp_path: Path) -> None:
    async def play() -> None:
        async with running() as client:
            await client.open("none")
            await client.open_input("feeder", capture=held.name)
            assert (await report(client, "input_opened")).frame == 0
            await client.open("system")
            again = await report(client, "input_opened")
            assert again.frame > 0 and again.device == "feeder"
            await fed(feeder, held, noise(10_000))
            await client.close_input()
            written = held.written
            await report(client, "stats")
            assert held.written == written

    asyncio.run(play())
    recorded = held.read(held.since, held.written)
    assert match(recorded, noise(10_000), first_of(recorded, noise(10_000))) == 10_000


def test_a_device_that_came_later_is_found_and_a_wrong_name_is_answered(
    held: CaptureRing, jack_server: JackServer, tmp_path: Path
) -> None:
    async def play() -> None:
        async with running() as client:
            await client.open("system")
            late = Feeder(jack_server, tmp_path, "latecomer")
            try:
                names = {device.label: device for device in await client.devices()}
                assert names["latecomer, JACK Audio Connection Kit"].inputs == 1
                system = names["system, JACK Audio Connection Kit"]
                assert (system.inputs, system.outputs, system.default_output, system.rate) == (
                    2,
                    2,
                    True,
                    RATE,
                )
                assert (await client.open_input("latecomer", capture=held.name)).device == "latecomer"
                with pytest.raises(
                    NoDevice, match="there is no sound input 'latekomer'; the nearest are 'latecomer, "
                ):
                    await client.open_input("latekomer", capture=held.name)
                with pytest.raises(NoFile, match="there is no ring named 'segue-1-gone'"):
                    await client.open_input("system", capture="segue-1-gone")
            finally:
                late.close()

    asyncio.run(play())


def test_an_error_that_was_answered_is_gone_without_a_search(
    held: CaptureRing, jack_server: JackServer
) -> None:
    async def ask() -> weakref.ref[NoDevice]:
        async with running() as client:
            try:
                await client.open_input("nobody", capture=held.name)
            except NoDevice as error:
                return weakref.ref(error)
        raise AssertionError("there is such an input")

    gc.disable()
    try:
        assert asyncio.run(ask())() is None
    finally:
        gc.enable()


@pytest.mark.slow
@pytest.mark.parametrize("jack_server", [(44_100, 2, 512)], indirect=True)
def test_an_idle_output_and_input_cost_next_to_nothing(held: CaptureRing, jack_server: JackServer) -> None:
    """A client of JACK that does nothing at all costs about a third of this already."""

    async def rest() -> float:
        async with running() as client:
            await client.open("system")
            await client.open_input("system", capture=held.name)
            await report(client, "stats")
            process = psutil.Process(client.pid)
            before, begin = sum(process.cpu_times()[:2]), time.monotonic()
            await asyncio.sleep(20)
            return (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - begin)

    assert asyncio.run(rest()) < 0.025
