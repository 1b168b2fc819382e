"""Tensors where they lie in a file: described without being read, then copied piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadFormat

PIECE = 1 << 23  # bytes held in memory at a time
# Element types by their names in safetensors, with their sizes in bytes.
SIZES = {
    "F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1
}  # fmt: skip


@dataclass(frozen=True)
class StoredTensor:
    """``shape`` elements of ``dtype`` (a safetensors name) that begin ``offset`` bytes into ``path``.

    ``strides``: in elements, or None if the elements lie one after the other.
    """

    path: Path
    offset: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None = None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements, one after the other."""
        return self.elements * SIZES[self.dtype]

    @property
    def span(self) -> int:
        """Bytes from the first element to behind the last one in the file."""
        if self.strides is None or not self.elements:
            return self.nbytes
        last = sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        return (last + 1) * SIZES[self.dtype]

    def pieces(self) -> Iterator[bytes]:
        """The elements as bytes in row-major order, at most :data:`PIECE` at a time where they lie in order.

        Raises BadFormat if the file ends before they do.
        """
        if self.strides is not None:
            yield self._gathered()
            return
        left = self.nbytes
        with self.path.open("rb") as file:
            file.seek(self.offset)
            while left:
                piece = file.read(min(PIECE, left))
                if not piece:
                    raise truncated(self.path)
                left -= len(piece)
                yield piece

    def _gathered(self) -> bytes:
        assert self.strides is not None
        size = SIZES[self.dtype]
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read(self.span)
        if len(data) < self.span:
            raise truncated(self.path)
        flat = np.frombuffer(data, dtype=f"u{size}")
        steps = tuple(stride * size for stride in self.strides)
        return np.lib.stride_tricks.as_strided(flat, self.shape, steps, writeable=False).tobytes()

    def same_as(self, other: StoredTensor) -> bool:
        """Whether the two hold the same elements; the same place in the file is enough."""
        if (self.dtype, self.shape) != (other.dtype, other.shape):
            return False
        if (self.path, self.offset, self.strides) == (other.path, other.offset, other.strides):
            return True
        return all(a == b for a, b in zip(self.pieces(), other.pieces(), strict=True))


def truncated(path: Path) -> BadFormat:
    """The failure of a file that ends before its tensors do."""
    return BadFormat(f"{path} ends in the middle; it was not downloaded completely, get it again")


def row_major(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether elements of these strides lie one after the other. Axes of one element may have any stride."""
    expected = 1
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1 and stride != expected:
            return False
        expected *= n
    return True


def all_finite(piece: bytes, dtype: str) -> bool:
    """Whether no element of a piece of a float type is infinite or NaN; other types always are finite."""
    if dtype in ("F64", "F32", "F16"):
        values: NDArray = np.frombuffer(piece, dtype=f"<f{SIZES[dtype]}")
        return bool(np.isfinite(values).all())
    if dtype == "BF16":  # the upper half of a float32: the exponent is all ones
        return bool(((np.frombuffer(piece, dtype="<u2") & 0x7F80) != 0x7F80).all())
    return True
