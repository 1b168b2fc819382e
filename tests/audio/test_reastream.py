"""ReaStream's packets, from a real UDP sender."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import time

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.audio.capture import CaptureRing
from bridge.audio.reastream import Packet, decode
from engine.errors import BadFormat, Busy, NoDevice
from tests.bridge.test_session_failures import own_address
from tests.ports import free_port

from .harness import noise, report, running

RATE = 44_100


def packet(samples: npt.ArrayLike, rate: int = RATE, name: bytes = b"default", **wrong: object) -> bytes:
    """A packet as http://www.1014.org/shiz/reastream.txt describes it, put together by hand."""
    block = np.atleast_2d(np.asarray(samples, np.float32))
    body = block.tobytes()
    fields = {
        "magic": b"MRSR",
        "size": 47 + len(body),
        "channels": len(block),
        "rate": rate,
        "length": len(body),
    } | wrong
    head = struct.pack("<4si32s", fields["magic"], fields["size"], name)
    return head + struct.pack("<Bih", fields["channels"], fields["rate"], fields["length"]) + body


def test_a_packet_is_read_as_it_is_described() -> None:
    block = noise(300).reshape(2, 150)
    read = decode(packet(block, 48_000, b"drums"))
    assert (read.identifier, read.rate) == (b"drums", 48_000)
    np.testing.assert_array_equal(read.samples, block)
    assert read.encode() == packet(block, 48_000, b"drums")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes are no ReaStream packet; one has at least 47"),
        (packet([0.0], magic=b"mRSR"), "this is MIDI; only ReaStream's audio is recorded"),
        (packet([0.0], magic=b"MRSX"), "this is no ReaStream packet"),
        (packet([0.0], channels=0), "0 channels at 44100 Hz are impossible"),
        (packet([0.0], channels=65), "65 channels at 44100 Hz are impossible"),
        (packet([0.0], rate=-1), "1 channels at -1 Hz are impossible; 64 and 384000 Hz are the most"),
        (packet([0.0, 0.0, 0.0], channels=2), "the packet's lengths do not agree: 59, 12 and 59 bytes"),
        (packet([0.0, 0.0], size=50), "the packet's lengths do not agree: 50, 8 and 55 bytes"),
        (packet([0.0, 0.0], length=4), "the packet's lengths do not agree: 55, 4 and 55 bytes"),
        (packet([0.0, 0.0])[:-1], "the packet's lengths do not agree"),
        (packet([0.0, 0.0]) + b"\0", "the packet's lengths do not agree"),
        (packet(np.zeros(301)), "the packet's lengths do not agree: 1251, 1204 and 1251 bytes"),
        (packet([0.0, np.nan]), "the packet holds values that are no numbers; send finite samples"),
    ],
)
def test_bad_packets_are_named(data: bytes, message: str) -> None:
    with pytest.raises(BadFormat) as raised:
        decode(data)
    assert raised.value.message.startswith(message)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=120).map(lambda data: packet([0.5] * 8)[:43] + data))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    with contextlib.suppress(BadFormat):
        assert isinstance(decode(data), Packet)


async def send(
    port: int,
    blocks: npt.NDArray[np.float32],
    rate: int = RATE,
    name: bytes = b"default",
    host: str = "127.0.0.1",
) -> None:
    """Send audio, shape [channels, frames], at about its own pace."""
    size = 300 // len(blocks)
    begin = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for at in range(0, blocks.shape[1], size):
            sender.sendto(packet(blocks[:, at : at + size], rate, name), (host, port))
            await asyncio.sleep(max(0.0, begin + at / rate - time.monotonic()))


async def recorded(ring: CaptureRing, frames: int) -> None:
    async def look() -> None:
        while ring.written < frames:
            await asyncio.sleep(0.01)

    await asyncio.wait_for(look(), 20)


def test_a_track_is_recorded_bit_for_bit_and_junk_is_counted(held: CaptureRing) -> None:
    take, port = noise(30_000), free_port()

    async def play() -> None:
        async with running() as client:
            await client.open("none")
            opened = await client.open_input(f"ReaStream:{port}", capture=held.name)
            assert (opened.device, opened.frame) == (f"reastream:{port}", 0)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as junk:
                for data in (b"", b"junk", os.urandom(1_500), packet([np.inf])):
                    junk.sendto(data, ("127.0.0.1", port))
            begin = time.monotonic_ns()
            await send(port, np.stack([take, take]))
            await recorded(held, len(take))
            assert held.anchor is not None and 0 < held.anchor[1] - begin < 3_000_000_000
            stats = await report(client, "stats")
            while stats.bad_packets < 4:
                stats = await report(client, "stats")
            assert stats.bad_packets == 4

    asyncio.run(play())
    assert held.written == len(take)
    np.testing.assert_array_equal(held.read(0, len(take)), take)


@pytest.mark.parametrize("everywhere", [True, False])
def test_packets_over_the_network_count_where_others_may_reach_us(
    held: CaptureRing, everywhere: bool
) -> None:
    own, take, port = own_address(), noise(3_000), free_port()

    async def play() -> None:
        async with running() as client:
            await client.open("none")
            await client.open_input(f"reastream:{port}", capture=held.name, everywhere=everywhere)
            await send(port, take[None, :], host=own)
            if not everywhere:  # those were not for us; the ones of this machine are
                await send(port, take[None, :600])
            await recorded(held, len(take) if everywhere else 600)

    asyncio.run(play())
    np.testing.assert_array_equal(held.read(0, held.written), take if everywhere else take[:600])


def test_another_rate_is_converted(held: CaptureRing) -> None:
    port = free_port()
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.float32)

    async def play() -> None:
        async with running() as client:
            await client.open("none")
            await client.open_input(f"reastream:{port}", capture=held.name)
            await send(port, tone[None], 48_000)
            await recorded(held, 43_000)

    asyncio.run(play())
    heard = held.read(0, 43_000)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(43_000) / RATE)
    assert np.abs(heard - expected)[1_000:].max() < 1e-4


def test_a_second_sender_is_dropped_and_a_pause_is_an_interruption(held: CaptureRing) -> None:
    port, take = free_port(), noise(9_000)

    async def play() -> None:
        async with running() as client:
            await client.open("none")
            await client.open_input(f"reastream:{port}", capture=held.name)
            await asyncio.gather(send(port, take[None]), send(port, -take[None], name=b"other"))
            await recorded(held, 9_000)
            await asyncio.sleep(0.5)  # the pause
            await send(port, take[None], name=b"other")
            await recorded(held, 18_000)

    asyncio.run(play())
    assert held.interruptions == [9_000]
    first, second = held.read(0, 9_000), held.read(9_000, 18_000)
    assert np.array_equal(np.abs(first), take) and len(set(np.sign(first))) == 1, (
        "one of the two, not a mixture"
    )
    np.testing.assert_array_equal(second, take)


def test_a_port_that_is_taken_or_impossible_is_named(held: CaptureRing) -> None:
    async def play() -> None:
        async with running() as client:
            await client.open("none")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.bind(("127.0.0.1", 0))
                port = other.getsockname()[1]
                with pytest.raises(Busy, match=f"port {port} is taken, so no ReaStream can be heard"):
                    await client.open_input(f"reastream:{port}", capture=held.name)
            with pytest.raises(
                NoDevice, match="'reastream:x' names no port of ReaStream; write 'reastream:58710'"
            ):
                await client.open_input("reastream:x", capture=held.name)

    asyncio.run(play())
