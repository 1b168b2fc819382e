"""Legacy checkpoints of any size that take no room: the pickle is real, the weights are holes (zeros)."""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch


class _Storage:
    def __init__(self, key: str, elements: int) -> None:
        self.key, self.elements = key, elements


class _Tensor:
    """Pickles as a tensor of the given shape does."""

    def __init__(self, storage: _Storage, shape: tuple[int, ...]) -> None:
        self.storage, self.shape = storage, shape

    def __reduce__(self) -> tuple[Any, ...]:
        strides = tuple(prod(self.shape[i + 1 :]) for i in range(len(self.shape)))
        return torch._utils._rebuild_tensor_v2, (self.storage, 0, self.shape, strides, False, OrderedDict())


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: object) -> tuple[Any, ...] | None:
        if isinstance(obj, _Storage):
            return ("storage", torch.FloatStorage, obj.key, "cpu", obj.elements, None)
        return None


def write_sparse(
    file: Path, shapes: Mapping[str, tuple[int, ...]], tied: tuple[str, str] | None = None, **outer: Any
) -> Path:
    """A checkpoint of float32 zeros. ``tied``: a second name for the storage of a first one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    storages = {name: _Storage(str(n), prod(shape)) for n, (name, shape) in enumerate(shapes.items())}
    state = {name: _Tensor(storages[name], shape) for name, shape in shapes.items()}
    if tied is not None:
        state[tied[0]] = state[tied[1]]
    with file.open("wb") as out:
        for head in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(head, out, 2)
        _Pickler(out, 2).dump({"model": state, **outer})
        pickle.dump([storage.key for storage in storages.values()], out, 2)
        for storage in storages.values():
            out.write(struct.pack("<q", storage.elements))
            out.seek(storage.elements * 4, 1)
        out.truncate()
    return file
