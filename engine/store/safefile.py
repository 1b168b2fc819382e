"""Safetensors files, read without their data and written as a stream (header, then tensor after tensor).

The library's own writer wants every tensor in memory at once; a 22 GB checkpoint does not fit there.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.errors import BadFormat
from engine.store.tensors import SIZES, StoredTensor, all_finite, truncated

_LONGEST_HEADER = 100_000_000  # bytes, the format's own limit


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Where the tensors of a safetensors file lie, by name. Raises BadFormat for a damaged or truncated file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if not 2 <= length <= _LONGEST_HEADER:
            raise BadFormat(f"{path} is not a safetensors file; get it again")
        if 8 + length > size:
            raise truncated(path)
        text = file.read(length)
    try:
        entries = json.loads(text)
        found = {
            name: _entry(path, 8 + length, entry) for name, entry in entries.items() if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadFormat(f"{path} has a damaged header ({error}); get it again") from error
    if any(tensor.offset + tensor.nbytes > size for tensor in found.values()):
        raise truncated(path)
    return found


def _entry(path: Path, start: int, entry: Mapping[str, Any]) -> StoredTensor:
    begin, end = entry["data_offsets"]
    tensor = StoredTensor(path, start + begin, entry["dtype"], tuple(entry["shape"]))
    if not 0 <= begin <= end or tensor.dtype not in SIZES or tensor.nbytes != end - begin:
        raise ValueError(f"a tensor of {tensor.dtype} {list(tensor.shape)} in {end - begin} bytes")
    return tensor


def write_tensors(
    path: Path, tensors: Mapping[str, StoredTensor], step: Callable[[int], None] | None = None
) -> str:
    """Write the tensors to a new safetensors file; its SHA-256. ``step`` gets the bytes of each piece written.

    Larger element types come first, so that every tensor is aligned for memory mapping. Raises BadFormat for
    a value that is not finite.
    """
    order = sorted(tensors, key=lambda name: (-SIZES[tensors[name].dtype], name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name in order:
        tensor = tensors[name]
        places = [position, position + tensor.nbytes]
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": places}
        position = places[1]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    digest = hashlib.sha256()
    with path.open("xb") as file:
        for piece in (struct.pack("<Q", len(text)), text):
            file.write(piece)
            digest.update(piece)
        for name in order:
            tensor = tensors[name]
            for piece in tensor.pieces():
                if not all_finite(piece, tensor.dtype):
                    raise BadFormat(
                        f"{tensor.path} holds values that are not numbers in '{name}'; it is damaged, get it again"
                    )
                file.write(piece)
                digest.update(piece)
                if step is not None:
                    step(len(piece))
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()
