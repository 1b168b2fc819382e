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


ORDERS: dict[int, Callable[[int], Kind]] = {
    0: lambda layer: Kind.DENSE,
    1: lambda layer: (Kind.ROW, Kind.COLUMN)[layer % 2],
    2: lambda layer: (Kind.ROW, Kind.COLUMN, Kind.PREVIOUS_ROW)[layer % 3],
    9: lambda layer: (Kind.ROW, Kind.COLUMN, Kind.PREVIOUS_ROW, Kind.DENSE)[layer % 4],
}
