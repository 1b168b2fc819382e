"""What is in the model folders: summaries for ``list`` and ``show``, checks for ``verify``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.errors import NoModel, SegueError
from engine.store.config import ModelConfig
from engine.store.files import CODEC_FILE, file_digest, prior_file, read_config, read_digests
from engine.store.home import SHIPPED
from engine.store.importing import shapes_of
from engine.store.safefile import read_header
from engine.store.tensors import StoredTensor, all_finite

Step = Callable[[int], None]


@dataclass(frozen=True)
class Summary:
    """One line of ``segue models list``. ``parameters``: elements of all tensors, codebooks included."""

    name: str
    origin: str
    levels: int
    parameters: int
    nbytes: int
    folder: str


def weight_files(config: ModelConfig) -> list[str]:
    """Names of a model's weight files, the codec first."""
    return [CODEC_FILE, *(prior_file(level) for level in range(len(config.priors)))]


def origin(folder: Path, config: ModelConfig) -> str:
    """Where a model comes from: shipped, imported or own (DESIGN.md §5)."""
    if folder.parent == SHIPPED:
        return "shipped"
    return str(config.training.get("origin", "own"))


def _headers(folder: Path, config: ModelConfig) -> dict[str, dict[str, StoredTensor]]:
    missing = [name for name in weight_files(config) if not (folder / name).is_file()]
    if missing:
        raise NoModel(f"{folder / missing[0]} is missing; the model folder is incomplete")
    return {name: read_header(folder / name) for name in weight_files(config)}


def summarise(name: str, folder: Path) -> Summary:
    """Size and origin of a model, from its headers. Raises NoModel or BadFormat for a broken folder."""
    config = read_config(folder)
    tensors = [tensor for file in _headers(folder, config).values() for tensor in file.values()]
    return Summary(
        name,
        origin(folder, config),
        len(config.priors),
        sum(tensor.elements for tensor in tensors),
        sum((folder / file).stat().st_size for file in weight_files(config)),
        str(folder),
    )


def describe(name: str, folder: Path) -> dict[str, Any]:
    """Everything about a model but its tensors: summary, configuration, labels, training record, metrics."""
    config = read_config(folder)
    dumped = config.model_dump(mode="json")
    top = config.vocabulary(config.top)
    return {
        **asdict(summarise(name, folder)),
        "codec": dumped["codec"],
        "priors": dumped["priors"],
        "labels": {"artists": list(top.artist_names), "genres": list(top.genre_names)},
        "training": dumped["training"],
        "metrics": dumped["metrics"],
    }


def bytes_to_verify(folder: Path) -> int:
    """How many bytes :func:`verify` reads: every weight file for its values, and for its digest if one is recorded."""
    config, digests = read_config(folder), read_digests(folder)
    return sum((folder / name).stat().st_size * (1 + (name in digests)) for name in weight_files(config))


def verify(folder: Path, step: Step | None = None) -> dict[str, Any]:
    """Check every weight file: recorded digest, tensors as ``model.json`` wants them, no value that is no number.

    Returns ``ok``, ``hashed`` (whether digests were recorded) and ``files``: what is wrong with each, or None.
    """
    config = read_config(folder)
    digests = read_digests(folder)
    shapes = [shapes_of(config.codec), *(shapes_of(prior) for prior in config.priors)]
    files = {
        name: _wrong(folder / name, wanted, digests.get(name), step)
        for name, wanted in zip(weight_files(config), shapes, strict=True)
    }
    return {"ok": not any(files.values()), "hashed": bool(digests), "files": files}


def _wrong(
    path: Path, shapes: dict[str, tuple[int, ...]], digest: str | None, step: Step | None
) -> str | None:
    if not path.is_file():
        return "missing"
    try:
        tensors = read_header(path)
    except SegueError as error:
        return error.message
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found != shapes:
        first = min(name for name in found.keys() | shapes.keys() if found.get(name) != shapes.get(name))
        return f"'{first}' is not as model.json wants it"
    if digest is not None and file_digest(path, step) != digest:
        return "its SHA-256 is not the recorded one; copy or import the model again"
    for name, tensor in tensors.items():
        for piece in tensor.pieces():
            if not all_finite(piece, tensor.dtype):
                return f"'{name}' holds values that are not numbers"
            if step is not None:
                step(len(piece))
    return None
