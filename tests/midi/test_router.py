"""What messages mean: buttons, banks, knobs and their take-over, pairs, encoders. Values are computed by hand."""

from __future__ import annotations

import mido
import pytest

from bridge.midi.actions import Program
from bridge.midi.layout import Layout
from bridge.midi.profile import Profiles
from bridge.midi.router import PortState, Router
from bridge.midi.settings import Binding, MidiSettings, TakeOver
from tests.midi.fakes import Deeds, Timers, cc, note, program

MS = 1_000_000


class Bench:
    """A router with one port, its deeds, and time that passes when told."""

    def __init__(self, settings: MidiSettings | None = None, port: str = "pads") -> None:
        self.settings = settings or MidiSettings()
        self.deeds, self.timers, self.now = Deeds(), Timers(), 10_000 * MS
        self.router = Router(self.deeds.act, self.timers.later)
        self.router.channel, self.router.takeover = self.settings.channel, self.settings.takeover
        self.port = PortState(port, Layout(port, self.settings, Profiles().of(port)))

    def play(self, *messages: mido.Message, ms: float = 40.0) -> list[tuple[str, object]]:
        """Hand over messages ``ms`` apart; what has been done since the last time."""
        before = len(self.deeds.done)
        for message in messages:
            self.now += int(ms * MS)
            self.router.handle(self.port, message, self.now)
        return self.deeds.done[before:]


@pytest.fixture
def bench() -> Bench:
    return Bench()


# facts/daw.md, map (b), read by a person
MAP = [
    *[(note(36 + slot - 1), ("preset", slot)) for slot in range(1, 9)],
    (note(44), ("capture", True)),
    (note(45), ("generate", True)),
    (note(46), ("stop", True)),
    (note(47), ("keep", True)),
    (note(48), ("previous", True)),
    (note(49), ("next", True)),
    (note(50), ("ab", True)),
    (note(51), ("export", True)),
    *[(note(52 + slot - 1), ("take", slot)) for slot in range(1, 17)],
    (cc(102, 127), ("capture", True)),
    (cc(103, 64), ("generate", True)),
    (cc(104, 127), ("stop", True)),
    (cc(105, 127), ("keep", True)),
    (cc(106, 127), ("previous", True)),
    (cc(107, 127), ("next", True)),
    (cc(108, 127), ("ab", True)),
    (cc(109, 127), ("export", True)),
    (cc(28, 1), ("browse_styles", 1)),
    (cc(28, 126), ("browse_styles", -2)),
    (cc(29, 3), ("browse_takes", 3)),
    (cc(64, 127), ("hold", True)),
    (cc(120, 0), ("panic", True)),
    (cc(123, 0), ("panic", True)),
    (mido.Message("reset"), ("panic", True)),
    (program(12), ("program", Program(0, 0, 12))),
]


@pytest.mark.parametrize(("message", "deed"), MAP, ids=lambda value: str(value)[:40])
def test_the_map_is_that_of_the_facts(bench: Bench, message: mido.Message, deed: tuple[str, object]) -> None:
    assert bench.play(message) == [deed]


@pytest.mark.parametrize(
    ("number", "action", "lowest", "highest"),
    [
        (20, "temperature", 0.05, 2.0),
        (21, "top_p", 0.01, 1.0),
        (22, "length", 1, 16),
        (23, "overlap", 0.1, 0.95),
        (24, "takes", 1, 16),
        (25, "mix", 0.0, 1.0),
        (26, "gain", -60.0, 6.0),
        (27, "capture_bars", 1, 16),
        (30, "style_morph", 0.0, 1.0),
        (31, "fidelity", "draft", "full"),
    ],
)
def test_knobs_reach_both_ends(number: int, action: str, lowest: object, highest: object) -> None:
    bench = Bench(MidiSettings(takeover=TakeOver.JUMP))
    assert bench.play(cc(number, 127), cc(number, 0), cc(number, 127)) == [
        (action, highest),
        (action, lowest),
        (action, highest),
    ]


def test_the_middle_of_a_knob(bench: Bench) -> None:
    bench.router.takeover = TakeOver.JUMP
    ((_, gain),) = bench.play(cc(26, 100))
    assert gain == pytest.approx(-60 + 66 * 100 / 127)
    assert bench.play(cc(31, 64)) == [("fidelity", "fine")]
    assert bench.play(cc(22, 64)) == [("length", 9)]  # 1 + 15 * 64 / 127 = 8.56


def test_velocity_nothing_is_a_note_off_and_does_nothing(bench: Bench) -> None:
    assert bench.play(note(45, velocity=0)) == []
    assert bench.play(mido.Message("note_off", channel=15, note=45, velocity=90)) == []


def test_other_channels_are_not_ours(bench: Bench) -> None:
    others = [
        message for channel in (1, 10, 15) for message in (note(45, channel=channel), cc(120, 0, channel))
    ]
    assert bench.play(*others, program(3, channel=1)) == []


def test_omni_hears_every_channel() -> None:
    bench = Bench(MidiSettings(channel=0))
    played = bench.play(note(45, channel=1), note(44, channel=10), program(3, channel=5))
    assert [name for name, _ in played] == ["generate", "capture", "program"]


def test_a_bounce_is_one_press(bench: Bench) -> None:
    first = bench.play(note(45))
    assert bench.play(note(45, 0), note(45), ms=5.0) == []
    assert bench.play(note(45, 0), note(45), ms=40.0) == first


def test_a_sweep_through_a_button_presses_once(bench: Bench) -> None:
    assert len(bench.play(*[cc(103, value) for value in range(0, 128, 3)], ms=50.0)) == 1


def test_a_button_that_never_sends_its_release_presses_each_time(bench: Bench) -> None:
    assert len(bench.play(cc(103, 127), cc(103, 127), cc(103, 127), ms=200.0)) == 3


def test_stop_held_for_half_a_second_cancels(bench: Bench) -> None:
    assert bench.play(note(46)) == [("stop", True)]
    bench.timers.pass_(0.49)
    assert bench.deeds.done == [("stop", True)]
    bench.timers.pass_(0.02)
    assert bench.deeds.done == [("stop", True), ("cancel", True)]


def test_stop_let_go_does_not_cancel(bench: Bench) -> None:
    bench.play(note(46), note(46, 0))
    bench.timers.pass_(1.0)
    assert bench.deeds.done == [("stop", True)]


def test_hold_is_down_and_up_once_each(bench: Bench) -> None:
    assert bench.play(cc(64, 127), cc(64, 127), cc(64, 0), cc(64, 0)) == [("hold", True), ("hold", False)]


def test_bank_select_waits_for_the_program(bench: Bench) -> None:
    assert bench.play(cc(0, 1), cc(32, 3)) == []
    assert bench.play(program(127)) == [("program", Program(bank=1, page=3, number=127))]
    assert bench.play(cc(0, 2), program(0)) == [
        ("program", Program(2, 3, 0))
    ]  # each half is latched by itself


def test_banks_are_kept_by_channel() -> None:
    bench = Bench(MidiSettings(channel=0))
    bench.play(cc(0, 2, channel=3))
    assert bench.play(program(9, channel=4), program(9, channel=3)) == [
        ("program", Program(0, 0, 9)),
        ("program", Program(2, 0, 9)),
    ]


def test_pick_up_waits_until_the_knob_passes(bench: Bench) -> None:
    bench.router.values["mix"] = 0.5  # 63.5 of 127
    assert bench.play(cc(25, 10), cc(25, 30), cc(25, 60)) == []
    assert bench.play(cc(25, 70)) == [("mix", 70 / 127)]
    assert bench.play(cc(25, 20)) == [("mix", 20 / 127)]


def test_pick_up_from_above_and_by_coming_near(bench: Bench) -> None:
    bench.router.values["mix"] = 0.5
    assert bench.play(cc(25, 120), cc(25, 90)) == []
    assert bench.play(cc(25, 64)) == [("mix", 64 / 127)]


def test_a_knob_loses_what_somebody_else_sets(bench: Bench) -> None:
    bench.router.values["mix"] = 64 / 127
    assert len(bench.play(cc(25, 64), cc(25, 70))) == 1  # (it stood at 64 / 127 already)
    bench.router.values["mix"] = 0.1
    assert bench.play(cc(25, 71), ms=300.0) == []
    assert bench.play(cc(25, 40), cc(25, 12)) == [("mix", 12 / 127)]


def test_answers_that_lag_behind_do_not_take_the_knob_away(bench: Bench) -> None:
    bench.router.values["mix"] = 0.0
    bench.play(cc(25, 0), ms=5)
    deeds = []
    for value in range(5, 128, 5):
        deeds += bench.play(cc(25, value), ms=5)
        bench.router.values["mix"] = max(0, value - 30) / 127
    assert deeds == [("mix", value / 127) for value in range(5, 128, 5)]


def test_a_whole_parameter_is_caught_between_its_steps(bench: Bench) -> None:
    bench.router.values["takes"] = 4  # 3 / 15 of the travel: 25.4
    assert bench.play(cc(24, 10)) == []
    assert bench.play(cc(24, 23), cc(24, 30)) == [("takes", 5)]  # 23: still 4; 30: 1 + 15 * 30 / 127 = 4.54


def test_fourteen_bits(bench: Bench) -> None:
    bench.router.takeover = TakeOver.JUMP
    assert bench.play(cc(25, 64)) == [("mix", 64 / 127)]  # nobody knows yet that fine values follow
    assert bench.play(cc(57, 32)) == [("mix", (64 * 128 + 32) / 16383)]
    assert bench.play(cc(25, 65), cc(57, 1)) == [("mix", (65 * 128 + 1) / 16383)]
    assert bench.play(cc(57, 2)) == [("mix", (65 * 128 + 2) / 16383)]
    assert bench.play(cc(25, 127), cc(57, 127)) == [("mix", 1.0)]


def test_a_coarse_value_alone_counts_after_a_moment(bench: Bench) -> None:
    bench.router.takeover = TakeOver.JUMP
    bench.play(cc(25, 64), cc(57, 32))
    assert bench.play(cc(25, 100)) == []
    bench.timers.pass_(0.011)
    assert bench.deeds.done[-1] == ("mix", 100 * 128 / 16383)


def test_an_encoder_moves_a_parameter_from_where_it_is() -> None:
    turn = Binding(action="gain", port="pads", channel=1, kind="cc", number=9, encoding="binary_offset")
    bench = Bench(MidiSettings(control=(turn,)))
    bench.router.values["gain"] = -10.0
    ((_, up),) = bench.play(cc(9, 66, channel=1))
    assert up == pytest.approx(-10.0 + 2 * 66 / 127)  # two steps of 1/127 of 66 dB
    assert bench.play(*[cc(9, 127, channel=1)] * 9)[-1] == ("gain", 6.0)
    assert bench.play(cc(9, 127, channel=1)) == []


def test_an_encoder_steps_through_choices() -> None:
    turn = Binding(action="fidelity", channel=1, kind="cc", number=9, encoding="signed_bit")
    bench = Bench(MidiSettings(control=(turn,)))
    bench.router.values["fidelity"] = "draft"
    played = bench.play(*[cc(9, value, channel=1) for value in (1, 1, 1, 65)])
    assert played == [("fidelity", "fine"), ("fidelity", "full"), ("fidelity", "fine")]


def test_a_learned_control_comes_before_the_default() -> None:
    moved = Binding(action="capture", port="pads", channel=16, kind="note", number=45)
    bench = Bench(MidiSettings(control=(moved,)))
    assert bench.play(note(45)) == [("capture", True)]
    other = Bench(MidiSettings(control=(moved,)), port="keys")
    assert other.play(note(45)) == [("generate", True)]


def test_the_apc_mini_has_its_own_places_on_channel_1() -> None:
    bench = Bench(port="APC MINI:APC MINI MIDI 1")
    played = bench.play(note(56, channel=1), note(49, channel=1), note(40, channel=1), note(39, channel=1))
    assert played == [("preset", 1), ("generate", True), ("take", 1), ("take", 16)]
    assert bench.play(note(45)) == [("generate", True)]  # the default map holds besides


def test_a_port_that_goes_takes_what_waits_with_it(bench: Bench) -> None:
    bench.play(note(46))
    bench.port.forget()
    bench.timers.pass_(1.0)
    assert bench.deeds.done == [("stop", True)]
