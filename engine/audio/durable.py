"""Files that are either completely there or not at all, and named errors when the disk says no."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from engine.errors import DiskFull, NoFile, PathNotAllowed

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the operating system says while ``path`` is written into errors that a user can act on.

    Raises :class:`DiskFull`, :class:`PathNotAllowed` (no right to write there) or :class:`NoFile` (its folder
    is missing or is a file).
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(
                f"there is no room to write '{path}'; free some space or choose another takes folder, "
                "and the take can be resumed"
            ) from error
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


def write_durably(path: Path, data: bytes | memoryview) -> None:
    """Writes ``data`` so that ``path`` holds either its old content or all of the new, whatever happens.

    A temporary file in the same folder, fsync, rename, fsync of the folder. Raises as :func:`writing` does;
    the temporary file is gone then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with writing(path):
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
