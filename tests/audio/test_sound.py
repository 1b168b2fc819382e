"""The audio process as the session orders it about."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import soundfile

from bridge.audio.capture import CaptureRing
from bridge.session.sound import Sound, SoundEvents, SoundSetup
from engine.errors import NoDevice, NoFile, OutOfRange
from engine.ring import Ring

from .harness import noise

Said = list[tuple[str, object]]


@pytest.fixture(autouse=True)
def _no_sound_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "segue-test-none")
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")


@contextlib.asynccontextmanager
async def sounding(device: str = "none") -> AsyncIterator[tuple[Sound, Said]]:
    """A sound whose process runs, and what its events said."""
    said: Said = []

    def hear(kind: str) -> Callable[..., None]:
        return lambda *what: said.append((kind, what[0] if len(what) == 1 else what))

    kinds = (
        "finished",
        "unplayable",
        "note",
        "playing",
        "stopped",
        "disarmed",
        "stats",
        "meters",
        "opened",
        "lost",
    )
    sound = Sound(SoundSetup(device), SoundEvents(**{kind: hear(kind) for kind in kinds}))
    await sound.start()
    try:
        yield sound, said
    finally:
        await sound.close()


async def until(said: Said, kind: str, count: int = 1) -> list[object]:
    """What was said of one kind, as soon as there is so much of it."""

    async def look() -> None:
        while sum(name == kind for name, _ in said) < count:
            await asyncio.sleep(0.005)

    await asyncio.wait_for(look(), 30)
    return [what for name, what in said if name == kind]


def test_orders_are_done_in_their_order_and_told_by_label(ring: Ring, tmp_path: Path) -> None:
    path = tmp_path / "prime.wav"
    soundfile.write(path, noise(9_000), 44_100, "PCM_24")

    async def play() -> tuple[Said, int]:
        async with sounding() as (sound, said):
            ring.write(noise(6_000))
            sound.play_file(path, label="prime")
            sound.play(ring.name, 0, 6_000, at_frame=10**9, label="take")
            sound.disarm()
            sound.play(ring.name, 0, 6_000, fade_ms=10, label="take")
            finished = await until(said, "finished")
            assert finished == [("take", 6_000, 0)]
            return [
                (kind, what) for kind, what in said if kind in {"playing", "stopped", "disarmed"}
            ], sound.rate

    said, rate = asyncio.run(play())
    labels = [(kind, getattr(what, "label", what)) for kind, what in said]
    assert labels.index(("disarmed", "take")) < labels.index(("playing", "take"))
    assert {("playing", "prime"), ("stopped", "prime")} <= set(labels) and rate == 44_100


def test_a_refused_order_is_answered_and_does_not_hold_up_the_next(held: CaptureRing, tmp_path: Path) -> None:
    async def play() -> None:
        async with sounding() as (sound, said):
            sound.play_file(tmp_path / "gone.wav", label="gone")
            gain = sound.set_gain(5.0)
            wrong = sound.open_output("Speakers")
            lost = sound.open_input("reastream", capture="segue-1-gone")
            opened = sound.open_input("reastream:58799", capture=held.name)
            assert await until(said, "unplayable") == ["gone"]
            with pytest.raises(OutOfRange, match=r"gain is 5.0, but it must be less than or equal to 4"):
                await gain
            with pytest.raises(NoDevice, match="there is no sound device 'Speakers'"):
                await wrong
            with pytest.raises(NoFile, match="there is no ring named 'segue-1-gone'"):
                await lost
            assert (await opened).device == "reastream:58799"
            assert sound.device == "none" and sound.input == await opened
            sound.meter(True)
            await until(said, "meters", 3)
            assert (await sound.close_input()) is None and sound.input is None

    asyncio.run(play())
