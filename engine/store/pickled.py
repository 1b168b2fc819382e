"""PyTorch checkpoints (``torch.save`` files, zip or legacy), described without running or reading them.

A pickle may name any function of any module and have it called. Here it gets none: the few names that saved
tensors need are answered with stand-ins of our own that only take notes, every other name is refused, and
nothing is ever imported. Tensor data stays in the file (:class:`engine.store.tensors.StoredTensor`).
"""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from engine.errors import BadFormat, NoFile, UnsafeFile
from engine.store.tensors import SIZES, StoredTensor, row_major, truncated

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # first object of a legacy file
_LEGACY_PROTOCOL = 1001
_STORAGES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}  # fmt: skip
_BEGINNINGS = (
    (b"version https://git-lfs", "is a pointer of Git LFS and not the weights; fetch the file itself"),
    (b"<", "is a web page and not weights; the download failed, get it again"),
)


@dataclass(frozen=True)
class Checkpoint:
    """``tensors`` of the state dictionary by name; ``settings``: the entry ``hps``, as far as it is plain values."""

    path: Path
    tensors: dict[str, StoredTensor]
    settings: dict[str, Any]


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    elements: int
    first: int  # element where a view of old files begins


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int  # elements into the storage
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Inert:
    """Takes the place of an object that nobody needs; keeps nothing, does nothing."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


class _Settings(dict):
    """Takes the place of dictionaries of any type; attributes set on them are dropped."""

    def __setstate__(self, _: object) -> None:
        pass


def _rebuild(storage: _Storage, offset: int, shape: Any, strides: Any, *_: object) -> _Tensor:
    return _Tensor(storage, offset + storage.first, tuple(shape), tuple(strides))


def _parameter(data: _Tensor, *_: object) -> _Tensor:
    return data


_STAND_INS: dict[tuple[str, str], Callable[..., object]] = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    ("torch._utils", "_rebuild_tensor"): _rebuild,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): tuple,
    ("torch", "device"): _Inert,
    ("collections", "OrderedDict"): _Settings,
    ("jukebox.hparams", "Hyperparams"): _Settings,
    # Figures that a trainer kept beside the weights.
    ("numpy.core.multiarray", "scalar"): _Inert,
    ("numpy._core.multiarray", "scalar"): _Inert,
    ("numpy.core.multiarray", "_reconstruct"): _Inert,
    ("numpy._core.multiarray", "_reconstruct"): _Inert,
    ("numpy", "ndarray"): _Inert,
    ("numpy", "dtype"): _Inert,
    ("_codecs", "encode"): _Inert,
}


class _Reader(pickle.Unpickler):
    """An unpickler that knows the stand-ins and nothing else."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        super().__init__(file, encoding="utf-8")
        self.path = path
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module_name: str, global_name: str) -> Any:
        if module_name in ("torch", "torch.cuda") and global_name in _STORAGES:
            return _STORAGES[global_name]
        known = _STAND_INS.get((module_name, global_name))
        if known is None:
            raise UnsafeFile(
                f"{self.path} asks for '{module_name}.{global_name}', which no weights need, so it was not "
                "opened; get the file from a source you trust, or save only its tensors again"
            )
        return known

    def persistent_load(self, pid: Any) -> _Storage:
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage" and pid[1] in SIZES):
            raise BadFormat(f"{self.path} holds more than tensors; save its state dictionary instead")
        view = pid[5] if len(pid) > 5 else None
        storage = _Storage(str(pid[2]), pid[1], int(pid[4]), int(view[1]) if view else 0)
        self.storages[storage.key] = storage
        return storage


def _load(reader: _Reader) -> Any:
    try:
        return reader.load()
    except (UnsafeFile, BadFormat):
        raise
    except EOFError:
        raise truncated(reader.path) from None
    except Exception as error:  # a damaged pickle fails in any way it likes
        if "truncated" in str(error) or "exhausted" in str(error):
            raise truncated(reader.path) from error
        raise BadFormat(f"{reader.path} is damaged ({error}); get it again") from error


def _legacy(path: Path, file: IO[bytes], size: int) -> tuple[Any, dict[str, int]]:
    """The outer object of a legacy file, and where its storages begin."""
    try:
        begins = _load(_Reader(file, path)) == _LEGACY_MAGIC
    except BadFormat:
        begins = False
    if not begins or _load(_Reader(file, path)) != _LEGACY_PROTOCOL:
        raise _not_weights(path)
    _load(_Reader(file, path))  # sizes of C types on the machine that wrote it
    reader = _Reader(file, path)
    outer = _load(reader)
    places: dict[str, int] = {}
    keys = _load(_Reader(file, path))
    position = file.tell()
    for key in keys:
        file.seek(position)
        count = file.read(8)
        storage = reader.storages.get(str(key))
        if len(count) < 8:
            raise truncated(path)
        if storage is None or struct.unpack("<q", count)[0] < storage.elements:
            raise BadFormat(f"{path} is damaged (storage {key}); get it again")
        places[str(key)] = position + 8
        position += 8 + struct.unpack("<q", count)[0] * SIZES[storage.dtype]
        if position > size:
            raise truncated(path)
    return outer, places


def _zipped(path: Path, file: IO[bytes]) -> tuple[Any, dict[str, int]]:
    """The outer object of a zip file, and where its storages begin."""
    try:
        archive = zipfile.ZipFile(file)
        entries = {info.filename.partition("/")[2]: info for info in archive.infolist()}
        reader = _Reader(BytesIO(archive.read(entries["data.pkl"])), path)
        order = archive.read(entries["byteorder"]) if "byteorder" in entries else b"little"
    except zipfile.BadZipFile:
        raise truncated(path) from None  # it began as a zip file; the directory is at its end
    except KeyError:
        raise _not_weights(path) from None
    if order != b"little":
        raise BadFormat(f"{path} was saved on a machine of another byte order; save it again on this one")
    outer = _load(reader)
    places = {}
    for key, storage in reader.storages.items():
        info = entries.get(f"data/{key}")
        if info is None or info.compress_type != zipfile.ZIP_STORED:
            raise BadFormat(f"{path} is damaged (storage {key}); get it again")
        if info.file_size < storage.elements * SIZES[storage.dtype]:
            raise truncated(path)
        file.seek(
            info.header_offset + 26
        )  # the local header repeats the name, with an extra field of its own
        name_length, extra_length = struct.unpack("<HH", file.read(4))
        places[key] = info.header_offset + 30 + name_length + extra_length
    return outer, places


def _not_weights(path: Path) -> BadFormat:
    return BadFormat(f"{path} is not a PyTorch checkpoint; give the .pth.tar file as it was downloaded")


def _begin(path: Path, file: IO[bytes]) -> bytes:
    start = file.read(512)
    file.seek(0)
    for beginning, sentence in _BEGINNINGS:
        if start.startswith(beginning):
            raise BadFormat(f"{path} {sentence}")
    if start[257:262] == b"ustar":
        raise BadFormat(f"{path} is a tar archive; unpack it and give what is inside")
    if not start:
        raise BadFormat(f"{path} is empty; get it again")
    return start


def _stored(path: Path, tensor: _Tensor, places: dict[str, int]) -> StoredTensor:
    size = SIZES[tensor.storage.dtype]
    strides = None if row_major(tensor.shape, tensor.strides) else tensor.strides
    start = places[tensor.storage.key]
    stored = StoredTensor(path, start + tensor.offset * size, tensor.storage.dtype, tensor.shape, strides)
    inside = tensor.offset >= 0 and min((0, *tensor.shape, *tensor.strides)) >= 0
    if not inside or tensor.offset * size + stored.span > tensor.storage.elements * size:
        raise BadFormat(f"{path} is damaged (a tensor reaches out of its storage); get it again")
    return stored


def read_checkpoint(path: Path) -> Checkpoint:
    """What a ``torch.save`` file holds: a dictionary with the state dictionary as ``model``, or that alone.

    Raises NoFile, BadFormat (truncated, damaged, not weights, no state dictionary) or UnsafeFile.
    """
    try:
        with path.open("rb") as file:
            start = _begin(path, file)
            if start.startswith(b"PK\x03\x04"):
                outer, places = _zipped(path, file)
            else:
                outer, places = _legacy(path, file, path.stat().st_size)
    except OSError as error:
        raise NoFile(f"{path} cannot be read: {error.strerror}") from error
    if not isinstance(outer, dict):
        raise BadFormat(f"{path} holds no dictionary; a checkpoint with an entry 'model' is needed")
    state = outer.get("model", outer)
    if not isinstance(state, dict) or not any(isinstance(value, _Tensor) for value in state.values()):
        held = ", ".join(sorted(map(str, outer))[:6]) or "nothing"
        raise BadFormat(
            f"{path} has no entry 'model' with tensors (it holds: {held}); give the whole checkpoint"
        )
    tensors = {
        str(name): _stored(path, value, places) for name, value in state.items() if isinstance(value, _Tensor)
    }
    settings = outer.get("hps")
    return Checkpoint(path, tensors, dict(settings) if isinstance(settings, dict) else {})
