"""What lies in a model folder: names, configuration, digests. No model runtime is needed to look."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from engine.errors import NoModel
from engine.store.config import ModelConfig
from engine.store.home import CONFIG_FILE
from engine.store.tensors import PIECE

CODEC_FILE = "codec.safetensors"
DIGEST_FILE = "SHA256SUMS"
GRAPHS_FILE = "onnx.json"  # there when the model was exported


def prior_file(level: int) -> str:
    """File name of a level's prior."""
    return f"prior_{level}.safetensors"


def read_config(folder: Path) -> ModelConfig:
    """The validated ``model.json`` of a folder."""
    try:
        return ModelConfig.model_validate_json((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or CONFIG_FILE
        raise NoModel(f"{folder / CONFIG_FILE} does not describe a model: {place}: {first['msg']}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise NoModel(f"{folder / CONFIG_FILE} cannot be read: {error}; give a model folder") from error


def file_digest(path: Path, step: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file; ``step`` gets the bytes of each piece read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            if step is not None:
                step(len(piece))
    return digest.hexdigest()


def write_digests(folder: Path, digests: Mapping[str, str]) -> None:
    """Write the weight files' digests as ``sha256sum --check`` reads them."""
    lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items())]
    (folder / DIGEST_FILE).write_text("".join(lines), encoding="ascii")


def read_digests(folder: Path) -> dict[str, str]:
    """Recorded SHA-256 by file name; empty where none were recorded. Raises NoModel for a damaged list."""
    path = folder / DIGEST_FILE
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [re.fullmatch(r"([0-9a-f]{64}) [ *](\S.*)", line) for line in lines if line.strip()]
    if not all(found):
        raise NoModel(f"{path} is damaged; delete it, or copy the model folder again")
    return {match[2]: match[1] for match in found if match}


def model_hash(folder: Path, levels: int) -> str:
    """SHA-256 over the digests of the weight files that are there.

    A digest recorded after its file was written is believed (:func:`read_digests`): hashing tens of gigabytes
    at every start would take longer than loading them. ``segue models verify`` reads the files.
    """
    return hash_of(weight_digests(folder, levels))


def weight_digests(folder: Path, levels: int) -> dict[str, str]:
    """SHA-256 by name of the weight files that are there, recorded ones believed."""
    recorded = read_digests(folder)
    since = (folder / DIGEST_FILE).stat().st_mtime_ns if recorded else 0
    digests = {}
    for name in (CODEC_FILE, *(prior_file(level) for level in range(levels))):
        file = folder / name
        if file.is_file():
            fresh = name in recorded and file.stat().st_mtime_ns <= since
            digests[name] = recorded[name] if fresh else file_digest(file)
    return digests


def hash_of(weights: Mapping[str, str]) -> str:
    """The identity of a model with these digests of its weight files."""
    lines = [f"{name} {digest}" for name, digest in weights.items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def deciding_files(folder: Path, config: ModelConfig, graphs: bool = False) -> dict[str, str]:
    """SHA-256 by name of all that decides what a request gives: what takes are recorded with.

    The weights; ``model.json`` but for what it records of training and measuring, which changes without changing any
    sample; with ``graphs`` the list of graphs too, which has the digest of each.
    """
    digests = weight_digests(folder, len(config.priors))
    # As it is written, not as it is understood: a setting that a later version adds, at the value that changes
    # nothing, must not make another model of it.
    written = json.loads((folder / CONFIG_FILE).read_bytes())
    deciding = {name: value for name, value in written.items() if name not in ("training", "metrics")}
    digests[CONFIG_FILE] = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
    if graphs:
        digests[GRAPHS_FILE] = file_digest(folder / GRAPHS_FILE)
    return digests
