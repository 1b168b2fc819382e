"""Checkpoints: a folder of small safetensors files and a ``state.json``, there completely or not at all.

A checkpoint is written under a temporary name, flushed, and renamed; the one before it is removed afterwards.
``kill -9`` at any moment therefore leaves a loadable one. No file is above 16 MB, so that a run can move
between machines through channels with small limits; larger tensors are cut into pieces.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from engine.audio.durable import sync_folder
from engine.errors import BadFormat
from engine.training.files import writing_to

MAX_FILE_BYTES = 16_000_000
_HEADER_ROOM = 400_000
_PREFIX = "checkpoint-"
VERSION = 1


def save_checkpoint(run: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> Path:
    """Write ``tensors`` and ``state`` (JSON values) as the newest checkpoint of ``run``; returns its folder.

    Raises :class:`engine.errors.DiskFull` when the disk is full; the previous checkpoint is then still there.
    """
    with writing_to(run):
        run.mkdir(parents=True, exist_ok=True)
        _clear_parts(run)
        older = _folders(run)
        # The same step may be saved again after a resume; it gets a name of its own, so nothing is overwritten.
        saved = [folder.name for folder in older if folder.name.startswith(f"{_PREFIX}{step:08d}-")]
        again = int(saved[-1].rpartition("-")[2]) + 1 if saved else 0
        final = run / f"{_PREFIX}{step:08d}-{again}"
        part = run / f".{final.name}.part"
        part.mkdir()
        try:
            _write(part, tensors, {**state, "step": step})
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        part.rename(final)
        sync_folder(run)
        for folder in older:
            shutil.rmtree(folder, ignore_errors=True)
    return final


def load_checkpoint(run: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest checkpoint of ``run`` as (tensors on the CPU, state), or None when there is none.

    One that another process replaces while it is read is read again. Raises :class:`BadFormat` when it is damaged.
    """
    while (folder := newest_checkpoint(run)) is not None:
        try:
            return _read(folder)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            if newest_checkpoint(run) == folder:
                raise _damaged(folder, error) from error
    return None


def _read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    state = json.loads((folder / "state.json").read_bytes())
    pieces: dict[str, dict[int, Tensor]] = {}
    for name in state["files"]:
        for key, value in load_file(folder / name).items():
            whole, _, number = key.rpartition("#")
            pieces.setdefault(whole, {})[int(number)] = value
    tensors = {
        name: torch.cat([piece for _, piece in sorted(pieces[name].items())]).reshape(shape)
        for name, shape in state["shapes"].items()
    }
    return tensors, state


def load_state(run: Path) -> dict[str, Any] | None:
    """State of the newest checkpoint of ``run`` without its tensors, or None; raises as :func:`load_checkpoint`."""
    folder = newest_checkpoint(run)
    if folder is None:
        return None
    try:
        return dict(json.loads((folder / "state.json").read_bytes()))
    except (OSError, ValueError) as error:
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> BadFormat:
    return BadFormat(
        f"the checkpoint '{folder}' is damaged ({error}); copy it again or start over with --resume never"
    )


def newest_checkpoint(run: Path) -> Path | None:
    """Folder of the newest complete checkpoint of ``run``, or None."""
    folders = _folders(run)
    return folders[-1] if folders else None


def remove_checkpoints(run: Path) -> None:
    """Forget every checkpoint of ``run``."""
    for folder in _folders(run):
        shutil.rmtree(folder)


def _folders(run: Path) -> list[Path]:
    return sorted(folder for folder in run.glob(f"{_PREFIX}*") if (folder / "state.json").is_file())


def _clear_parts(run: Path) -> None:
    for left_over in run.glob(f".{_PREFIX}*.part"):
        shutil.rmtree(left_over, ignore_errors=True)


def _write(folder: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    shards: list[dict[str, Tensor]] = [{}]
    room = MAX_FILE_BYTES - _HEADER_ROOM
    for name, tensor in tensors.items():
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        per_piece = (MAX_FILE_BYTES - _HEADER_ROOM) // flat.element_size()
        for number, piece in enumerate(flat.split(per_piece) if flat.numel() else (flat,)):
            if piece.nbytes > room:
                shards.append({})
                room = MAX_FILE_BYTES - _HEADER_ROOM
            shards[-1][f"{name}#{number}"] = piece.clone()
            room -= piece.nbytes
    files = []
    for number, shard in enumerate(shards):
        files.append(f"part-{number:03d}.safetensors")
        _write_file(folder / files[-1], save(shard))
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    record = {"version": VERSION, **state, "files": files, "shapes": shapes}
    _write_file(folder / "state.json", (json.dumps(record, indent=1) + "\n").encode())
    sync_folder(folder)


def _write_file(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
