"""Endless encoders: the four ways in which a control change says "so many steps" (facts/daw.md §2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

_SLOW = 8  # steps a message: a slow turn makes no more


class Encoding(StrEnum):
    """How an encoder writes steps; the names are Live's."""

    TWOS_COMPLEMENT = "twos_complement"  # right 1..64, left 127..65
    BINARY_OFFSET = "binary_offset"  # right 65..127, left 63..1
    SIGNED_BIT = "signed_bit"  # right 1..64, left 65..127
    SIGNED_BIT_2 = "signed_bit_2"  # right 65..127, left 1..64


def steps(encoding: Encoding, value: int) -> int:
    """Steps of one message, right positive; ``value`` is 0..127. Values outside the tables above are no movement."""
    if value == 0:
        return 0
    if encoding is Encoding.TWOS_COMPLEMENT:
        return value if value <= 64 else value - 128
    if encoding is Encoding.BINARY_OFFSET:
        return value - 64
    if encoding is Encoding.SIGNED_BIT:
        return value if value <= 64 else 64 - value
    return -value if value <= 64 else value - 64


def of_left_turn(values: Sequence[int]) -> Encoding | None:
    """The encoding of an encoder that was turned slowly to the left; None when the values fit none.

    One slow step left is 127, 63, 65 or 1 in the order of :class:`Encoding`, so the four tell themselves apart.
    """
    for encoding in Encoding:
        if values and all(-_SLOW <= steps(encoding, value) < 0 for value in values):
            return encoding
    return None
