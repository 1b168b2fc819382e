"""A checked plan of what is imported, and its execution: all of a model, or nothing (facts/jukebox.md §6)."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil
import torch
from pydantic import ValidationError
from torch import nn

from engine.codec.config import CodecConfig
from engine.codec.vqvae import Codec
from engine.errors import BadFormat, DiskFull, NoFile, PathNotAllowed
from engine.prior.config import PriorConfig
from engine.prior.prior import Prior
from engine.prior.vocabulary import (
    LabelVocabulary,
    ReleasedVersion,
    read_label_lists,
)
from engine.store.config import ModelConfig
from engine.store.files import CODEC_FILE, prior_file, write_digests
from engine.store.folder import TRAINING_BUFFERS, write_config
from engine.store.home import new_model_folder
from engine.store.keys import TIED, hf_codec_name, hf_prior_name, openai_codec_name, openai_prior_name
from engine.store.released import unnamed
from engine.store.safefile import write_tensors
from engine.store.tensors import StoredTensor

Tensors = Mapping[str, StoredTensor]
ReadLabels = Callable[[ReleasedVersion, tuple[int, int]], LabelVocabulary]


@dataclass(frozen=True)
class Plan:
    """What an import will write: the configuration, and each weight file's tensors by our names."""

    config: ModelConfig
    files: dict[str, dict[str, StoredTensor]]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for file in self.files.values() for tensor in file.values())

    @property
    def parameters(self) -> int:
        """Elements of all tensors, codebooks included."""
        return sum(tensor.elements for file in self.files.values() for tensor in file.values())


@lru_cache(maxsize=64)
def shapes_of(config: CodecConfig | PriorConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every saved tensor of a codec or prior by our names, without making it."""
    with torch.device("meta"):
        module: nn.Module = Codec(config) if isinstance(config, CodecConfig) else Prior(config)
    return {
        name: tuple(value.shape)
        for name, value in module.state_dict().items()
        if not name.endswith(TRAINING_BUFFERS)
    }


def their_names(config: CodecConfig | PriorConfig, naming: str) -> dict[str, str]:
    """Our name to theirs of every tensor of a codec or prior; ``naming`` is "openai" or "hf"."""
    ours = shapes_of(config)
    if isinstance(config, CodecConfig):
        if naming == "openai":
            return {name: openai_codec_name(name, config) for name in ours}
        return {name: hf_codec_name(name) for name in ours}
    prior_name = openai_prior_name if naming == "openai" else hf_prior_name
    return {name: prior_name(name) for name in ours}


def misfit(config: CodecConfig | PriorConfig, tensors: Tensors, naming: str) -> str | None:
    """The first difference between the tensors of a file and a configuration, in words; None if they fit."""
    names, shapes = their_names(config, naming), shapes_of(config)
    for ours, theirs in names.items():
        if theirs not in tensors:
            return f"'{theirs}' is missing"
        if tensors[theirs].shape != shapes[ours]:
            return f"'{theirs}' is {list(tensors[theirs].shape)} and should be {list(shapes[ours])}"
    over = sorted(set(tensors) - set(names.values()) - {TIED[naming][0]})
    return f"'{over[0]}' belongs to no such model" if over else None


def take(
    config: CodecConfig | PriorConfig, tensors: Tensors, naming: str, source: str
) -> dict[str, StoredTensor]:
    """The tensors by our names. Raises BadFormat, naming ``source``, if they do not fit the configuration."""
    wrong = misfit(config, tensors, naming)
    if wrong is None and isinstance(config, PriorConfig) and not config.merged_decoder:
        copy, original = TIED[naming]
        if copy in tensors and not tensors[copy].same_as(tensors[original]):
            wrong = f"'{copy}' differs from '{original}', which should be the same table"
    if wrong is not None:
        raise BadFormat(f"{source} is incomplete or of another model: {wrong}")
    return {ours: tensors[theirs] for ours, theirs in their_names(config, naming).items()}


def plan_import(
    name: str,
    codec: tuple[CodecConfig, dict[str, StoredTensor]],
    priors: Iterable[tuple[PriorConfig, dict[str, StoredTensor]]],
    read_labels: ReadLabels | None,
) -> Plan:
    """Put the parts of a model together, bottom prior first. ``read_labels``: None leaves every label unnamed."""
    parts = list(priors)
    vocabularies: dict[ReleasedVersion, LabelVocabulary] = {}
    for prior, _ in reversed(parts):
        version = prior.label_version
        if version != "own" and version not in vocabularies:
            known = read_labels(version, (prior.artists, prior.genres)) if read_labels else unnamed(prior)
            vocabularies[version] = in_order(known)
    try:
        config = ModelConfig(
            name=name,
            codec=codec[0],
            priors=tuple(prior for prior, _ in parts),
            vocabularies=vocabularies,
            training={"origin": "imported"},
        )
    except ValidationError as error:
        raise BadFormat(f"the files do not make one model: {sentence(error)}") from error
    files = {CODEC_FILE: codec[1]} | {prior_file(prior.level): tensors for prior, tensors in parts}
    return Plan(config, files)


def in_order(vocabulary: LabelVocabulary) -> LabelVocabulary:
    """The same vocabulary with its names in the order of their ids, however the lists were ordered."""
    sides = {
        side: dict(sorted(getattr(vocabulary, side).items(), key=lambda entry: (entry[1], entry[0])))
        for side in ("artists", "genres")
    }
    return vocabulary.model_copy(update=sides)


def sentence(error: ValidationError) -> str:
    """What a rule of the configuration says, without the wrapping."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    words = first["msg"].removeprefix("Value error, ")
    return f"{place}: {words}" if place else words


def lists_in(folder: Path) -> ReadLabels:
    """Label lists as OpenAI named them (``v2_artist_ids.txt`` ...) from a folder of the user's."""

    def read(version: ReleasedVersion, rows: tuple[int, int]) -> LabelVocabulary:
        require_labels([folder / f"{version}_{what}_ids.txt" for what in ("artist", "genre")])
        return read_label_lists(folder, version, rows)

    return read


def require_labels(files: Iterable[Path]) -> None:
    """Raise NoFile for the first label list that is not there, saying how to give it."""
    for file in files:
        if not file.is_file():
            raise NoFile(
                f"the label list {file.name} is not in {file.parent}; give its folder with --labels, or import "
                "with --no-labels (then every artist and genre is 'unknown')"
            )


def execute(plan: Plan, home: Path | None, step: Callable[[int], None] | None = None) -> Path:
    """Write a planned model under the folder ``home`` (default: the imported models'); its new folder.

    Tensor after tensor, at most a few megabytes in memory, into a hidden folder that is renamed when it is
    whole. ``step`` gets the bytes of each piece written. Raises DiskFull before or while writing.
    """
    folder = new_model_folder(plan.config.name, home)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _clear_killed(folder)
        _require_room(folder.parent, plan.nbytes)
        part.mkdir()
        digests = {file: write_tensors(part / file, tensors, step) for file, tensors in plan.files.items()}
        write_digests(part, digests)
        write_config(part, plan.config)
        part.rename(folder)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"the disk of {folder.parent} is full; free {plan.nbytes / 1e9:.1f} GB or choose another folder "
                "with --out"
            ) from error
        raise PathNotAllowed(
            f"{folder} cannot be written ({error.strerror}); choose another with --out"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _clear_killed(folder: Path) -> None:
    """Remove what imports of this name left behind that were killed."""
    for part in folder.parent.glob(f".{folder.name}.*.part"):
        pid = part.name.split(".")[-2]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(part, ignore_errors=True)


def _require_room(folder: Path, nbytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < nbytes:
        raise DiskFull(
            f"the model needs {nbytes / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} GB free; free some space or "
            "choose another folder with --out"
        )
