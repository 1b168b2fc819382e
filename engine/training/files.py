"""Writing files so that a kill at any moment leaves the old or the new content, and naming a full disk."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.audio.durable import sync_folder
from engine.errors import DiskFull, TrainingError


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turn a full disk or an unwritable folder, met while writing below ``path``, into a named failure."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(
                f"the disk that holds '{path}' is full; free some space and run the same command again"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise TrainingError(
                f"'{path}' cannot be written ({error.strerror}); choose a folder that you may write to"
            ) from error
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``, atomically and flushed to the disk."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` by ``value`` as indented JSON, atomically."""
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())
