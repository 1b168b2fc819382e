"""Files that are either completely there or not at all, and named errors when the disk says no."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from engine.errors import DiskFull, NoFile, PathNotAllowed

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


RESUMED = "choose another takes folder, and the take can be resumed"


@contextlib.contextmanager
def writing(path: Path, room: str = RESUMED) -> Iterator[None]:
    """Turns what the operating system says while ``path`` is written into errors that a user can act on.

    ``room``: what helps against a full disk, besides freeing some space. Raises :class:`DiskFull`,
    :class:`PathNotAllowed` (no right to write there) or :class:`NoFile` (its folder is missing or is a file).
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(f"there is no room to write '{path}'; free some space or {room}") from error
        if error.errno in _FORBIDDEN:
            raise PathNotAllowed(
                f"'{path}' may not be written; choose a folder that you may write to"
            ) from error
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EEXIST}:
            raise NoFile(f"'{path}' cannot be written because its folder is missing or is a file") from error
        raise


def sync_folder(folder: Path) -> None:
    """Makes renames and new files in ``folder`` survive a power cut, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path, room: str = RESUMED) -> Iterator[BinaryIO]:
    """A file to write to, which becomes ``path`` when the block ends: all of it, or the old content stays.

    A temporary file in the same folder, fsync, rename, fsync of the folder. Raises as :func:`writing` does;
    the temporary file is gone then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with writing(path, room):
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_durably(path: Path, data: bytes | memoryview) -> None:
    """Writes ``data`` as :func:`replacing` does."""
    with replacing(path) as file:
        file.write(data)


def write_new(folder: Path, names: Iterable[str], data: bytes | memoryview) -> Path:
    """Writes a file that replaces no other, under the first of ``names`` that is free; returns its path.

    A file that holds exactly this already is left as it is, and returned. All or nothing, as :func:`write_durably`;
    also where several processes do it at once.
    """
    temporary = folder / f".{os.getpid()}.{secrets.token_hex(4)}.part"
    with writing(temporary):
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            for name in names:
                path = folder / name
                if placed(temporary, path):
                    sync_folder(folder)
                    return path
                if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
                    return path
        finally:
            temporary.unlink(missing_ok=True)
    raise FileExistsError(f"every name is taken in '{folder}'")


def placed(temporary: Path, path: Path) -> bool:
    """Gives a file a name that nothing has: whether it has it now; False where something else has it."""
    try:
        os.link(temporary, path)  # the one way to rename that never replaces
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if (
            path.exists()
        ):  # (exFAT, some network folders: nobody else names files like this at the same moment)
            return False
        os.rename(temporary, path)
    return True
