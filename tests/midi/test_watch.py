"""Ports that come and go, by a list that the test writes."""

from __future__ import annotations

from bridge.midi.watch import Changes, PortWatch
from tests.midi.fakes import FakeSystem, cc

APC, APC_AGAIN = "APC MINI:APC MINI MIDI 1 20:0", "APC MINI:APC MINI MIDI 1 24:0"
PLAIN = "APC MINI:APC MINI MIDI 1"


class Bench:
    def __init__(self, system: FakeSystem, *ports: str, virtual: bool = False) -> None:
        self.heard: list[tuple[str, bytes, int]] = []
        self.told: list[Changes] = []
        self.watch = PortWatch(system, lambda *a: self.heard.append(a), self.told.append, ports, virtual)


def test_only_what_is_wanted_is_opened() -> None:
    system = FakeSystem(APC, "Piano 28:0", "Midi Through 14:0")
    bench = Bench(system, "apc mini")
    changes = bench.watch.look()
    assert changes.came == [PLAIN]
    assert list(changes.outputs_came) == [PLAIN]
    assert {name for name, _ in system.opened} == {APC}
    system.arrive(APC, cc(20, 1), at_ns=7)
    assert bench.heard == [(PLAIN, b"\xbf\x14\x01", 7)]


def test_a_star_opens_all_and_several_at_once() -> None:
    system = FakeSystem(APC, "Piano 28:0")
    bench = Bench(system, "*")
    assert bench.watch.look().came == [PLAIN, "Piano"]
    system.arrive(APC, cc(20, 1))
    system.arrive("Piano 28:0", cc(20, 2))
    assert [port for port, _, _ in bench.heard] == [PLAIN, "Piano"]


def test_pulled_out_and_put_back_under_another_number() -> None:
    system = FakeSystem(APC)
    bench = Bench(system, "APC")
    bench.watch.look()
    port = system.opened[0][1]
    system.names = []
    changes = bench.watch.look()
    assert (changes.went, changes.outputs_went, port.open) == ([PLAIN], [PLAIN], False)
    assert changes.told == ["the MIDI port 'APC' is not there; it is used when it comes"]
    assert not bench.watch.look().any  # it is said once
    system.names = [APC_AGAIN]
    assert bench.watch.look().came == [PLAIN]
    system.arrive(APC_AGAIN, cc(20, 9))
    assert bench.heard[-1][:2] == (PLAIN, b"\xbf\x14\x09")
    system.names = []
    assert bench.watch.look().told  # it was right in between


def test_a_hundred_times_in_and_out() -> None:
    system = FakeSystem()
    bench = Bench(system, "APC")
    for _ in range(100):
        system.names = [APC]
        assert bench.watch.look().came == [PLAIN]
        system.names = []
        assert bench.watch.look().went == [PLAIN]
    assert [port.open for _, port in system.opened] == [False] * 200


def test_a_port_that_will_not_open_is_tried_again() -> None:
    system = FakeSystem(APC)
    system.stuck = {APC}
    bench = Bench(system, "APC")
    changes = bench.watch.look()
    assert (changes.came, changes.told) == (
        [],
        [f"the MIDI port '{APC}' cannot be opened (busy); close what uses it"],
    )
    assert not bench.watch.look().any
    system.stuck = set()
    assert bench.watch.look().came == [PLAIN]


def test_the_system_goes_and_comes_back_with_our_own_ports() -> None:
    system = FakeSystem(APC, has_virtual=True)
    bench = Bench(system, "APC", virtual=True)
    assert sorted(bench.watch.look().came) == [PLAIN, "Segue in"]
    system.broken = "the MIDI system does not answer (gone)"
    changes = bench.watch.look()
    assert sorted(changes.went) == [PLAIN, "Segue in"]
    assert sorted(changes.outputs_went) == [PLAIN, "Segue out"]
    assert changes.told == ["the MIDI system does not answer (gone)"]
    assert not any(port.open for _, port in system.opened)
    system.broken = ""
    assert sorted(bench.watch.look().came) == [PLAIN, "Segue in"]


def test_no_ports_of_our_own_where_the_system_has_none() -> None:
    bench = Bench(FakeSystem(), virtual=True)
    assert not bench.watch.look().any


def test_other_wishes_at_run_time() -> None:
    system = FakeSystem(APC, "Piano 28:0")
    bench = Bench(system, "APC")
    bench.watch.look()
    bench.watch.want(["Piano"], virtual=False)
    changes = bench.watch.look()
    assert (changes.came, changes.went) == (["Piano"], [PLAIN])
    bench.watch.close()
    assert not any(port.open for _, port in system.opened)
