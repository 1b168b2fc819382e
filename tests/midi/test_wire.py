"""Bytes to messages. The byte strings are written out from the MIDI 1.0 status table, not by a library."""

from __future__ import annotations

import random

from bridge.midi.wire import Parser


def read(data: bytes) -> list[str]:
    return [str(message) for message in Parser().feed(data)]


def test_running_status_over_packets() -> None:
    parser = Parser()
    found = [str(m) for packet in (b"\x9f\x2c\x64", b"\x2d", b"\x64\x2e\x00") for m in parser.feed(packet)]
    assert found == [
        "note_on channel=15 note=44 velocity=100 time=0",
        "note_on channel=15 note=45 velocity=100 time=0",
        "note_on channel=15 note=46 velocity=0 time=0",
    ]


def test_clock_in_the_middle_of_a_message_harms_neither() -> None:
    assert read(b"\xbf\x14\xf8\x40") == [
        "clock time=0",
        "control_change channel=15 control=20 value=64 time=0",
    ]


def test_clock_does_not_end_running_status() -> None:
    assert len(read(b"\xbf\x14\x40\xf8\x15\x41")) == 3


def test_system_exclusive_is_left_out_with_clock_inside_it() -> None:
    assert read(b"\xf0\x00\x20\xf8\x29\xf7\xcf\x05") == [
        "clock time=0",
        "program_change channel=15 program=5 time=0",
    ]


def test_system_exclusive_that_never_ends_gives_way_to_the_next_status() -> None:
    assert read(b"\xf0\x01\x02\x03\xcf\x05") == ["program_change channel=15 program=5 time=0"]


def test_song_position_is_fourteen_bits_low_first() -> None:
    assert read(b"\xf2\x10\x02") == [f"songpos pos={2 * 128 + 16} time=0"]


def test_system_common_ends_running_status() -> None:
    parser = Parser()
    assert len(parser.feed(b"\xbf\x14\x40\xf2\x00\x00\x14\x41")) == 2
    assert parser.skipped == 2


def test_active_sensing_is_dropped() -> None:
    assert read(b"\xfe\xfe\xfa") == ["start time=0"]


def test_a_message_that_breaks_off_is_skipped() -> None:
    parser = Parser()
    assert [m.type for m in parser.feed(b"\x9f\x2c\xcf\x05")] == ["program_change"]
    assert parser.skipped == 1


def test_noise_never_raises() -> None:
    random_ = random.Random(5)
    parser = Parser()
    count = sum(len(parser.feed(random_.randbytes(3))) for _ in range(20_000))
    assert count > 5_000
