"""Everything joined, over ports in memory: actions, learning that survives, lights, clock, failures."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import mido
import pytest

from bridge.midi import ClockMessage, Light, Midi
from bridge.midi.settings import Binding, MidiSettings, load, save
from engine.errors import Cancelled, NoPrime, SegueError
from tests.midi.fakes import Deeds, FakeSystem, cc, note

APC = "APC MINI:APC MINI MIDI 1 20:0"
PLAIN = "APC MINI:APC MINI MIDI 1"
PADS = "Pads 24:0"


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


class Rig:
    def __init__(self, system: FakeSystem, path: Path, deeds: Deeds | None = None) -> None:
        self.system, self.path = system, path
        self.deeds = deeds or Deeds()
        self.ticks: list[ClockMessage] = []
        self.notices: list[str] = []
        self.outcomes: list[Binding | SegueError] = []
        self.midi = Midi(
            self.deeds,
            clock=self.ticks.append,
            notice=self.notices.append,
            system=system,
            path=path,
            ports=["*"],
        )

    async def learn(self, key: str, *messages: mido.Message, port: str = PADS) -> Binding | SegueError:
        count = len(self.outcomes)
        self.midi.learn(key, self.outcomes.append)
        self.system.arrive(port, *messages)
        await until(lambda: len(self.outcomes) > count)
        return self.outcomes[-1]


@asynccontextmanager
async def playing(system: FakeSystem, path: Path, deeds: Deeds | None = None) -> AsyncIterator[Rig]:
    rig = Rig(system, path, deeds)
    rig.midi.start()
    try:
        await until(lambda: len(rig.midi.open_ports) == len(system.names))
        yield rig
    finally:
        await rig.midi.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "midi.toml"


def test_several_inputs_at_once_play_one_session(path: Path) -> None:
    async def run() -> None:
        async with playing(FakeSystem(APC, PADS), path) as rig:
            rig.system.arrive(PADS, note(44))
            rig.system.arrive(APC, note(49, channel=1))
            await until(lambda: len(rig.deeds.done) == 2)
            assert rig.deeds.done == [("capture", True), ("generate", True)]

    asyncio.run(run())


def test_ten_thousand_messages_from_four_threads_arrive_in_order(path: Path) -> None:
    async def run() -> None:
        names = [f"Port{letter} 2{letter}:0" for letter in "0123"]
        async with playing(FakeSystem(*names), path) as rig:

            def send(name: str) -> None:
                for step in range(2_500):
                    rig.system.receivers[name](bytes([0xBF, 28, 1 + step % 64]), 0)

            threads = [threading.Thread(target=send, args=(name,)) for name in names]
            for thread in threads:
                thread.start()
            await until(lambda: len(rig.deeds.done) == 10_000, seconds=20)
            assert rig.midi.lost == 0
            total = sum(1 + step % 64 for step in range(2_500)) * 4
            assert sum(value for _, value in rig.deeds.done) == total

    asyncio.run(run())


def test_a_flood_leaves_the_loop_room(path: Path) -> None:
    async def run() -> float:
        async with playing(FakeSystem(PADS), path) as rig:
            loop, longest = asyncio.get_running_loop(), 0.0
            for step in range(20_000):
                rig.system.receivers[PADS](bytes([0xBF, 28, 1 + step % 64]), 0)
            while len(rig.deeds.done) < 20_000:
                before = loop.time()
                await asyncio.sleep(0)
                longest = max(longest, loop.time() - before)
            return longest

    assert asyncio.run(run()) < 0.05


def test_learning_binds_is_kept_and_survives_a_restart(path: Path) -> None:
    async def first() -> None:
        async with playing(FakeSystem(PADS), path) as rig:
            learned = await rig.learn("generate", note(99, 0, channel=3), note(99, channel=3))
            assert learned == Binding(action="generate", port="Pads", channel=3, kind="note", number=99)
            assert rig.deeds.done == []  # the press was for learning
            rig.system.arrive(PADS, note(99, channel=3), at_ns=10**9)
            await until(lambda: rig.deeds.done)
            assert rig.deeds.done == [("generate", True)]

    async def second() -> None:
        async with playing(FakeSystem(PADS.replace("24", "31")), path) as rig:
            rig.system.arrive(PADS.replace("24", "31"), note(99, channel=3), at_ns=10**9)
            await until(lambda: rig.deeds.done == [("generate", True)])
            assert rig.midi.forget("generate") == 1
            rig.system.arrive(PADS.replace("24", "31"), note(99, channel=3), note(45), at_ns=2 * 10**9)
            await until(lambda: len(rig.deeds.done) == 2)
            assert rig.deeds.done[-1] == ("generate", True)  # by the default control alone

    asyncio.run(first())
    assert 'action = "generate"' in path.read_text()
    asyncio.run(second())
    assert load(path).control == ()


def test_a_control_that_was_taken_is_replaced_with_notice(path: Path) -> None:
    async def run() -> None:
        async with playing(FakeSystem(PADS), path) as rig:
            await rig.learn("capture", note(45))
            assert rig.notices[-1] == "note 45 on channel 16 of Pads was generate and is capture now"
            await rig.learn("keep", note(45))
            assert rig.notices[-1] == "note 45 on channel 16 of Pads was capture and is keep now"
            await rig.learn("keep", note(2))
            assert rig.notices[-1] == (
                "keep was note 45 on channel 16 of Pads and is note 2 on channel 16 of Pads now"
            )
            assert [str(binding) for binding in load(path).control] == ["note 2 on channel 16 of Pads"]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("values", "encoding"),
    [
        ([127, 127, 127], "twos_complement"),
        ([63, 63, 62], "binary_offset"),
        ([65, 65, 65], "signed_bit"),
        ([1, 1, 1], "signed_bit_2"),
        ([126, 127, 127], "twos_complement"),
        ([64, 63, 62], None),
        ([127, 126, 125], None),
        ([3, 2, 1], None),
        ([90, 90, 91], None),
    ],
)
def test_learning_tells_an_encoder_from_a_knob(path: Path, values: list[int], encoding: str | None) -> None:
    async def run() -> None:
        async with playing(FakeSystem(PADS), path) as rig:
            learned = await rig.learn("mix", *[cc(70, value, channel=2) for value in values])
            assert isinstance(learned, Binding)
            assert (learned.number, learned.channel, learned.encoding) == (70, 2, encoding)

    asyncio.run(run())


def test_learning_a_fourteen_bit_knob_binds_its_coarse_half(path: Path) -> None:
    async def run() -> None:
        async with playing(FakeSystem(PADS), path) as rig:
            learned = await rig.learn("mix", cc(10, 63), cc(42, 5))
            assert isinstance(learned, Binding)
            assert (learned.number, learned.encoding) == (10, None)

    asyncio.run(run())


def test_learning_waits_for_what_fits(path: Path) -> None:
    async def run() -> None:
        async with playing(FakeSystem(PADS), path) as rig:
            learned = await rig.learn("mix", note(3), note(4), *[cc(9, value) for value in (1, 5, 9)])
            assert isinstance(learned, Binding)
            assert str(learned) == "CC 9 on channel 16 of Pads"
            learned = await rig.learn("browse_takes", *[cc(8, v) for v in (10, 30, 127, 127, 127)])
            assert isinstance(learned, Binding)
            assert learned.encoding == "twos_complement"

    asyncio.run(run())


def test_learning_in_vain(path: Path) -> None:
    async def run() -> None:
        async with playing(FakeSystem(PADS), path) as rig:
            rig.midi.learn("stop", rig.outcomes.append, seconds=0.05)
            await until(lambda: rig.outcomes)
            assert str(rig.outcomes[0]) == (
                "nothing for 'stop' came within 0.05 s; press a button in that time"
            )
            rig.midi.learn("mix", rig.outcomes.append)
            rig.midi.learn("stop", rig.outcomes.append)
            assert isinstance(rig.outcomes[1], Cancelled)
            assert str(rig.outcomes[1]) == "learning 'mix' was cancelled"
            with pytest.raises(SegueError, match="'program' has messages of its own and needs no learning"):
                rig.midi.learn("program", rig.outcomes.append)
            with pytest.raises(SegueError, match="there is no action 'stopp'; the nearest is 'stop'"):
                rig.midi.forget("stopp")

    asyncio.run(run())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    async def run() -> None:
        (tmp_path / "file").write_text("")
        async with playing(FakeSystem(PADS), tmp_path / "file" / "midi.toml") as rig:
            outcome = await rig.learn("stop", note(3))
            assert isinstance(outcome, SegueError)
            assert outcome.message == (
                f"{tmp_path / 'file' / 'midi.toml'} cannot be written (File exists); make its folder writable"
            )
            rig.system.arrive(PADS, note(44), at_ns=10**9)
            await until(lambda: rig.deeds.done == [("capture", True)])

    asyncio.run(run())


def test_lights_are_sent_on_change_only_and_all_on_connecting(path: Path) -> None:
    async def run() -> None:
        async with playing(FakeSystem(APC, PADS), path) as rig:
            rig.midi.light("generate", Light.QUEUED)
            rig.midi.light("generate", Light.QUEUED)
            rig.midi.light("generate", Light.RUNNING)
            rig.midi.light("take.16", Light.READY)
            assert rig.system.sent(APC) == [(0x90, 49, 6), (0x90, 49, 4), (0x90, 39, 5)]
            assert rig.system.sent(PADS) == [(0x9F, 45, 127), (0xBF, 103, 127), (0x9F, 67, 127)]
            rig.system.names = [PADS]
            assert rig.midi._watch is not None
            await asyncio.to_thread(rig.midi._watch.look)
            await until(lambda: PLAIN not in rig.midi.open_ports)
            rig.midi.light("generate", Light.DONE)
            rig.system.names = [APC.replace("20:0", "28:0"), PADS]
            await asyncio.to_thread(rig.midi._watch.look)
            await until(lambda: PLAIN in rig.midi.open_ports)
            assert rig.system.sent(APC.replace("20:0", "28:0")) == [(0x90, 49, 1), (0x90, 39, 5)]

    asyncio.run(run())


def test_a_launchpad_is_greeted_and_blinks_by_channel(path: Path) -> None:
    async def run() -> None:
        async with playing(FakeSystem("Launchpad X LPX MIDI 32:1"), path) as rig:
            rig.midi.light("generate", Light.RUNNING)
            rig.midi.light("generate", Light.DONE)
            sent = rig.system.sent("Launchpad X LPX MIDI 32:1")
            assert sent[0] == (0xF0, 0x00, 0x20, 0x29, 0x02, 0x0C, 0x0E, 0x01, 0xF7)
            assert sent[2:] == [(0x92, 72, 5), (0x90, 72, 21)]

    asyncio.run(run())


def test_a_learned_button_shows_the_light(path: Path) -> None:
    async def run() -> None:
        async with playing(FakeSystem(PADS), path) as rig:
            rig.midi.light("stop", Light.DONE)
            await rig.learn("stop", note(7, channel=2))
            assert (0x91, 7, 127) in rig.system.sent(PADS)

    asyncio.run(run())


def test_values_are_echoed_when_the_knob_is_let_go(path: Path) -> None:
    async def run() -> None:
        async with playing(FakeSystem(PADS), path) as rig:
            rig.midi.value("mix", 0.0)
            rig.midi.value("mix", 0.0)
            assert rig.system.sent(PADS) == [(0xBF, 25, 0)]
            loop = asyncio.get_running_loop()
            import time

            rig.system.arrive(PADS, cc(25, 0), at_ns=time.monotonic_ns())
            rig.system.arrive(PADS, cc(25, 20), at_ns=time.monotonic_ns())
            await until(lambda: rig.deeds.done)
            assert rig.deeds.done == [("mix", 20 / 127)]
            moved = loop.time()
            rig.midi.value("mix", 0.5)  # the session has another opinion
            assert len(rig.system.sent(PADS)) == 1
            await until(lambda: len(rig.system.sent(PADS)) > 1)
            assert loop.time() - moved >= 0.15
            assert rig.system.sent(PADS)[1:] == [(0xBF, 25, 64)]

    asyncio.run(run())


def test_panic_goes_out_on_every_channel(path: Path) -> None:
    async def run() -> None:
        async with playing(FakeSystem(PADS), path) as rig:
            rig.midi.light("stop", Light.DONE)
            rig.midi.panic()
            sent = rig.system.sent(PADS)[2:]
            assert sent[0] == (0x9F, 46, 0)
            assert [m for m in sent if m[0] & 0xF0 == 0xB0][:32] == [
                (0xB0 | channel, number, 0) for channel in range(16) for number in (120, 123)
            ]
            assert sent[-2:] == [(0x9F, 46, 127), (0xBF, 104, 127)]

    asyncio.run(run())


def test_clock_messages_come_with_their_time_and_never_as_actions(path: Path) -> None:
    async def run() -> None:
        async with playing(FakeSystem(PADS), path) as rig:
            for data, at in ((b"\xfa", 1), (b"\xf8", 2), (b"\xf2\x08\x01", 3), (b"\xfb", 4), (b"\xfc", 5)):
                rig.system.receivers[PADS](data, at)
            await until(lambda: len(rig.ticks) == 5)
            assert rig.ticks == [
                ClockMessage("start", "Pads", 1, b"\xfa"),
                ClockMessage("clock", "Pads", 2, b"\xf8"),
                ClockMessage("songpos", "Pads", 3, b"\xf2\x08\x01", 136),
                ClockMessage("continue", "Pads", 4, b"\xfb"),
                ClockMessage("stop", "Pads", 5, b"\xfc"),
            ]
            assert rig.deeds.done == []

    asyncio.run(run())


class Refusing(Deeds):
    def act(self, action: str, value: object) -> None:
        super().act(action, value)
        if action == "generate":
            raise NoPrime("there is no prime; capture or send one first")
        if action == "capture":
            raise RuntimeError("boom")


def test_what_the_session_refuses_is_told_and_nothing_stops(path: Path) -> None:
    async def run() -> None:
        async with playing(FakeSystem(PADS), path, Refusing()) as rig:
            rig.system.arrive(PADS, note(45), note(44), note(50))
            await until(lambda: len(rig.deeds.done) == 3)
            assert "there is no prime; capture or send one first" in rig.notices
            assert "capture failed unexpectedly; see the log" in rig.notices

    asyncio.run(run())


def test_a_broken_file_is_told_and_the_defaults_hold(path: Path) -> None:
    path.write_text("channel = 'x'")
    (path.parent / "midi").mkdir()
    (path.parent / "midi" / "mine.toml").write_text("name = 1")

    async def run() -> None:
        async with playing(FakeSystem(PADS), path) as rig:
            assert rig.notices[0].startswith("midi.toml: channel is 'x'; ")
            assert rig.notices[1].startswith("profile mine.toml: ")
            rig.system.arrive(PADS, note(45))
            await until(lambda: rig.deeds.done == [("generate", True)])

    asyncio.run(run())


def test_settings_edited_while_playing_hold_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.midi.service.RELOAD_SECONDS", 0.02)

    async def run() -> None:
        async with playing(FakeSystem(PADS), path) as rig:
            save(path, MidiSettings(channel=3))
            await until(lambda: rig.midi.settings.channel == 3)
            rig.system.arrive(PADS, note(45), note(44, channel=3))
            await until(lambda: rig.deeds.done == [("capture", True)])

    asyncio.run(run())


def test_no_midi_at_all_is_a_notice(path: Path) -> None:
    system = FakeSystem()
    system.broken = "this machine has no MIDI system; on Linux load snd-seq or start JACK"

    async def run() -> None:
        async with playing(system, path) as rig:
            await until(lambda: rig.notices)
            assert rig.notices == [system.broken]
            assert rig.midi.open_ports == ()

    asyncio.run(run())
