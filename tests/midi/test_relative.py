"""The four encodings; every pair is read off the table in facts/daw.md §2.2."""

from __future__ import annotations

import pytest

from bridge.midi.relative import Encoding, of_left_turn, steps

# encoding, value as sent, steps to the right
BY_HAND = [
    ("twos_complement", 1, 1),
    ("twos_complement", 2, 2),
    ("twos_complement", 64, 64),
    ("twos_complement", 65, -63),
    ("twos_complement", 126, -2),
    ("twos_complement", 127, -1),
    ("binary_offset", 1, -63),
    ("binary_offset", 62, -2),
    ("binary_offset", 63, -1),
    ("binary_offset", 64, 0),
    ("binary_offset", 65, 1),
    ("binary_offset", 66, 2),
    ("binary_offset", 127, 63),
    ("signed_bit", 1, 1),
    ("signed_bit", 64, 64),
    ("signed_bit", 65, -1),
    ("signed_bit", 66, -2),
    ("signed_bit", 127, -63),
    ("signed_bit_2", 1, -1),
    ("signed_bit_2", 2, -2),
    ("signed_bit_2", 64, -64),
    ("signed_bit_2", 65, 1),
    ("signed_bit_2", 127, 63),
]


@pytest.mark.parametrize(("encoding", "value", "expected"), BY_HAND)
def test_steps_are_those_of_the_table(encoding: str, value: int, expected: int) -> None:
    assert steps(Encoding(encoding), value) == expected


@pytest.mark.parametrize("encoding", list(Encoding))
def test_zero_is_no_movement(encoding: Encoding) -> None:
    assert steps(encoding, 0) == 0


def test_there_are_exactly_four() -> None:
    assert {str(encoding) for encoding in Encoding} == {name for name, _, _ in BY_HAND}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([127, 127, 126], "twos_complement"),
        ([63, 63, 62], "binary_offset"),
        ([65, 65, 66], "signed_bit"),
        ([1, 1, 2], "signed_bit_2"),
    ],
)
def test_a_slow_left_turn_tells_the_encoding(values: list[int], expected: str) -> None:
    assert of_left_turn(values) == Encoding(expected)


def test_other_values_tell_nothing() -> None:
    assert of_left_turn([]) is None
    assert of_left_turn([127, 1]) is None
    assert of_left_turn([30, 30, 30]) is None
