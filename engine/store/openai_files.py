"""OpenAI's checkpoint files of a model: found, told apart by their shapes, and planned (facts/jukebox.md §6.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from engine.codec.config import CodecConfig
from engine.errors import BadArguments, BadFormat, NoFile
from engine.prior.config import PriorConfig
from engine.store.importing import Plan, ReadLabels, misfit, plan_import, take
from engine.store.keys import tidy_openai_name
from engine.store.openai_settings import (
    CODEC_NEEDS,
    PRIOR_NEEDS,
    codec_from_settings,
    explained,
    missing_settings,
    prior_from_settings,
)
from engine.store.pickled import Checkpoint, read_checkpoint
from engine.store.released import CODECS, PRIORS, TOPS
from engine.store.tensors import StoredTensor

SUFFIXES = (".pth.tar", ".pth", ".pt", ".tar")
_LEVEL = re.compile(r"prior_level_(\d+)")
_GET = "get it from where the others came from and put it beside them"


@dataclass(frozen=True)
class _File:
    """One checkpoint: ``tensors`` under tidy names; ``kind``: codec, upsampler or top."""

    checkpoint: Checkpoint
    tensors: dict[str, StoredTensor]
    kind: str

    @property
    def path(self) -> Path:
        return self.checkpoint.path

    @property
    def named_level(self) -> int | None:
        """The level that the file's name says."""
        match = _LEVEL.search(self.path.name)
        return int(match[1]) if match else None


def find_files(paths: Iterable[Path]) -> list[Path]:
    """The given files, and the checkpoints in given folders and their ``5b``, ``5b_lyrics``, ... folders."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            here = (child for depth in ("*", "*/*") for child in sorted(path.glob(depth)))
            found += [child for child in here if child.is_file() and child.name.endswith(SUFFIXES)]
        elif path.is_file():
            found.append(path)
        else:
            raise NoFile(
                f"'{path}' is not there; give the folder that holds vqvae.pth.tar and prior_level_0.pth.tar"
            )
    return found


def _read(path: Path) -> _File:
    checkpoint = read_checkpoint(path)
    tensors = {tidy_openai_name(name): tensor for name, tensor in checkpoint.tensors.items()}
    if "encoders.0.level_blocks.0.model.0.0.weight" in tensors:
        kind = "codec"
    elif "prior.x_emb.weight" in tensors:
        kind = "upsampler" if "conditioner_blocks.0.x_emb.weight" in tensors else "top"
    else:
        first = min(tensors)
        raise BadFormat(
            f"{path} is neither Jukebox's VQ-VAE nor one of its priors (its first tensor is '{first}'); "
            "give vqvae.pth.tar and prior_level_0, 1 and 2"
        )
    return _File(checkpoint, tensors, kind)


def _codec_config(file: _File) -> CodecConfig:
    for config in CODECS.values():
        if misfit(config, file.tensors, "openai") is None:
            return config
    hps = file.checkpoint.settings
    if missing_settings(hps, CODEC_NEEDS):
        wrong = misfit(CODECS["vqvae"], file.tensors, "openai")
        raise BadFormat(f"{file.path} is incomplete or of another model than the released VQ-VAE: {wrong}")
    try:
        return codec_from_settings(hps)
    except (KeyError, ValidationError) as error:
        raise explained(file.path, error) from error


def _agrees(file: _File, config: PriorConfig) -> bool:
    """Whether the shapes are the released prior's, and what shapes do not tell is not said to be otherwise."""
    hps = file.checkpoint.settings
    said = {"heads": config.heads, "blocks": config.blocks, "attn_order": config.attention_order}
    if any(name in hps and hps[name] != value for name, value in said.items()):
        return False
    return misfit(config, file.tensors, "openai") is None


def _prior_config(file: _File, codec: CodecConfig, level: int) -> tuple[str | None, PriorConfig]:
    """The released prior that the file is, by name, else the one that its settings describe."""
    hps = file.checkpoint.settings
    if codec == CODECS["vqvae"]:
        for name, config in PRIORS.items():
            if config.level == level and _agrees(file, config):
                return name, config
    if missing_settings(hps, PRIOR_NEEDS):
        near = "upsampler_level_0" if file.kind == "upsampler" else _nearest(file)
        wrong = misfit(PRIORS[near], file.tensors, "openai") or "the codec is not the released one"
        raise BadFormat(f"{file.path} is incomplete or of another model than the released {near}: {wrong}")
    try:
        return None, prior_from_settings(dict(hps) | {"level": level}, codec)
    except (KeyError, IndexError, ValidationError) as error:
        raise explained(file.path, error) from error


def _nearest(file: _File) -> str:
    """The released top prior whose tensors' names have most in common with the file's, widths first."""
    width = file.tensors["prior.x_emb.weight"].shape[-1]
    return next((name for name in TOPS.values() if PRIORS[name].width == width), "prior_5b")


def _level(file: _File, top: int) -> int:
    """The level of a prior. Raises BadFormat if name and content disagree, or nothing tells.

    The two upsamplers have the same shapes: only the settings in the file, or else its name, tell them apart.
    """
    named, said = file.named_level, file.checkpoint.settings.get("level")
    level = top if file.kind == "top" else named if said is None else int(said)
    if level is None:
        raise BadFormat(
            f"nothing tells whether {file.path} is the upsampler of level 0 or of level 1; call it "
            "prior_level_0.pth.tar or prior_level_1.pth.tar"
        )
    if file.kind == "upsampler" and level >= top:
        raise BadFormat(
            f"{file.path} should be the top prior and is an upsampler; give each file its own name"
        )
    if named is not None and named != level:
        held = "the top prior" if file.kind == "top" else f"the prior of level {level}"
        raise BadFormat(
            f"{file.path} is called the prior of level {named} and is {held}; give each file its own name"
        )
    return level


def _one(files: list[_File], what: str, name: str) -> _File:
    if not files:
        raise NoFile(f"{what} is missing; {_GET} as {name}")
    if len(files) > 1:
        both = " and ".join(str(file.path) for file in files[:2])
        raise BadArguments(f"{both} are both {what}; give one of them")
    return files[0]


def _choose_top(
    tops: list[tuple[_File, str | None, PriorConfig]], model: str | None, level: int
) -> tuple[str, _File, PriorConfig]:
    """The top prior that is wanted, with the name of the model that it makes."""
    names = {prior: model_name for model_name, prior in TOPS.items()}
    known = {names.get(name or "", "own"): (file, config) for file, name, config in tops}
    here = ", ".join(sorted(known))
    if model is not None:
        if model not in known:
            raise NoFile(
                f"the top prior of {model} is missing (here: {here or 'none'}); {_GET} as "
                f"{model}/prior_level_{level}.pth.tar"
            )
        return model, *known[model]
    if not tops:
        raise NoFile(f"the top prior is missing; {_GET} as prior_level_{level}.pth.tar")
    if len(tops) > 1:
        raise BadArguments(f"there are several top priors here ({here}); choose one with --model")
    ((name, (file, config)),) = known.items()
    return name, file, config


def plan_openai(
    paths: Iterable[Path], model: str | None, name: str | None, read_labels: ReadLabels | None
) -> Plan:
    """What importing these files and folders will write.

    ``model``: which top prior to take where there are several. The released priors are known by their shapes,
    others by the settings in their files. Raises NoFile for a missing part, BadFormat for a wrong one.
    """
    found = find_files(paths)
    if not found:
        raise NoFile("there are no .pth.tar files there; give the folder with vqvae.pth.tar and its priors")
    files = [_read(path) for path in found]
    codec_file = _one([file for file in files if file.kind == "codec"], "the VQ-VAE", "vqvae.pth.tar")
    codec = _codec_config(codec_file)
    by_level: Mapping[int, list[_File]] = {level: [] for level in range(codec.levels)}
    for file in files:
        if file.kind != "codec":
            level = _level(file, codec.levels - 1)
            if level not in by_level:
                raise BadFormat(
                    f"{file.path} is of level {level}; the VQ-VAE has levels 0 to {codec.levels - 1}"
                )
            by_level[level].append(file)
    top = codec.levels - 1
    tops = [(file, *_prior_config(file, codec, top)) for file in by_level[top]]
    chosen, top_file, top_config = _choose_top(tops, model, top)
    priors = []
    for level in range(top):
        file = _one(by_level[level], f"the prior of level {level}", f"prior_level_{level}.pth.tar")
        config = _prior_config(file, codec, level)[1]
        priors.append((config, take(config, file.tensors, "openai", str(file.path))))
    priors.append((top_config, take(top_config, top_file.tensors, "openai", str(top_file.path))))
    codec_tensors = take(codec, codec_file.tensors, "openai", str(codec_file.path))
    name = name or (chosen if chosen in TOPS else "imported")
    return plan_import(name, (codec, codec_tensors), priors, read_labels)
