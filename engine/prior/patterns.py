"""Attention kinds and their order over the layers (facts/jukebox.md §2.3).

A sequence of length L is viewed as rows of ``block_ctx`` positions; position i is (row i // block_ctx,
column i % block_ctx).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum


class Kind(IntEnum):
    """What a position attends to. The numbers are the paper code's."""

    DENSE = 0  # every earlier position
    ROW = 1  # earlier positions of its own row
    COLUMN = 2  # the same column of earlier rows, itself included
    PREVIOUS_ROW = 3  # all of the row before; nothing in row 0
    LYRICS = 6  # every state of the lyric encoder
    PRIME = 7  # earlier positions among the first rows, those that hold the lyrics (engine.prior.config)


_FACTORED = (Kind.ROW, Kind.COLUMN, Kind.PREVIOUS_ROW)


def _repeat(*kinds: Kind) -> Callable[[int], Kind]:
    return lambda layer: kinds[layer % len(kinds)]


def _joint(layer: int) -> Kind:
    """Every sixteenth layer looks at the lyrics; every third of those at everything."""
    if layer % 16 == 15:
        return (Kind.PRIME, Kind.PRIME, Kind.DENSE)[layer % 3]
    return _FACTORED[layer % 3]


# Orders 3, 4, 5 and 11 use kinds that no release has (summaries; cross-attention in the joint order).
ORDERS: dict[int, Callable[[int], Kind]] = {
    0: _repeat(Kind.DENSE),
    1: _repeat(Kind.ROW, Kind.COLUMN),
    2: _repeat(*_FACTORED),
    6: _repeat(*_FACTORED, Kind.LYRICS),
    7: _repeat(*_FACTORED * 5, Kind.LYRICS),
    8: _repeat(*_FACTORED * 3, Kind.LYRICS),
    9: _repeat(*_FACTORED, Kind.DENSE),
    10: _repeat(*_FACTORED * 3, *((*_FACTORED * 3, Kind.LYRICS) * 7)),
    12: _joint,
}
