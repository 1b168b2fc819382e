"""Model folders on disk: write, find, load, identify."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from engine.codec.vqvae import Codec
from engine.errors import NoModel
from engine.prior.int8 import matrix_names, quantise, quantised
from engine.prior.prior import Prior
from engine.store.config import ModelConfig
from engine.store.files import (
    CODEC_FILE,
    deciding_files,
    file_digest,
    model_hash,
    prior_file,
    read_config,
    write_digests,
)
from engine.store.home import CONFIG_FILE, Precision, model_folder, split_precision

DTYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "int8": torch.float16,  # of all that is not a matrix of the transformer, and of what flows between them
}
TRAINING_BUFFERS = (".bottleneck.sum", ".bottleneck.count", ".bottleneck.started")
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Model:
    """A loaded model in evaluation mode. ``hash``: SHA-256 over its weight files, the identity kept in takes;
    ``files``: digests of all that decides what it makes (:func:`engine.store.files.deciding_files`)."""

    config: ModelConfig
    codec: Codec
    priors: dict[int, Prior]
    hash: str
    folder: Path
    files: dict[str, str] = field(default_factory=dict)


def _restore(module: M, file: Path, device: str | torch.device, dtype: torch.dtype, int8: bool = False) -> M:
    """Give a module made on the meta device the tensors of ``file``; in evaluation mode, without gradients.

    One tensor at a time: those that change type or device are copied, the others stay mapped to the file, so a
    model needs its own size in memory and no more. ``int8``: its matrices become numbers of 8 bits on the way.
    """
    try:
        state = load_file(file)
    except FileNotFoundError as error:
        raise NoModel(f"{file} is missing; the model folder is incomplete") from error
    except (SafetensorError, OSError) as error:
        raise NoModel(f"{file} is damaged ({error}); copy the model folder again") from error
    own = module.state_dict()
    missing = [key for key in own if key not in state and not key.endswith(TRAINING_BUFFERS)]
    if missing or any(key not in own or own[key].shape != value.shape for key, value in state.items()):
        wrong = missing[:1] or [k for k, v in state.items() if k not in own or own[k].shape != v.shape][:1]
        raise NoModel(f"{file} does not fit model.json (first at '{wrong[0]}'); they are of different models")
    matrices = matrix_names(module) if int8 else set()
    for key in list(state):
        if key in matrices:
            numbers, scale = quantised(state[key])
            state[key], state[f"{key.removesuffix('weight')}scale"] = numbers.to(device), scale.to(device)
        else:
            state[key] = state[key].to(device, dtype if own[key].is_floating_point() else own[key].dtype)
    if int8:
        quantise(module)
    for key in own.keys() - state.keys():
        state[key] = torch.zeros(own[key].shape, dtype=own[key].dtype, device=device)
    module.load_state_dict(state, assign=True)
    return module.eval().requires_grad_(False)


def load_codec(folder: Path, config: ModelConfig | None = None, device: str | torch.device = "cpu") -> Codec:
    """The codec of a model folder, in evaluation mode; always float32, since nearest distances decide codes."""
    with torch.device("meta"):
        codec = Codec((config or read_config(folder)).codec)
    return _restore(codec, folder / CODEC_FILE, device, torch.float32)


def load_model(
    name: str | Path = "starter",
    levels: Iterable[int] | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    tell: Callable[[float, str], None] = lambda _fraction, _what: None,
) -> Model:
    """Load a model by name or a folder, with the priors of ``levels`` (default all) as ``dtype`` (default: as its
    name says behind ``@``, else float32); with ``@int8`` their matrices as numbers of 8 bits (engine/prior/int8.py).

    Shipped and imported models have names. Memory: the tensors in ``dtype``, one more tensor while loading. ``tell``
    hears how far it has come, in [0, 1], and what is loaded next.
    """
    folder = model_folder(name)
    config = read_config(folder)
    precision = split_precision(name)[1]
    dtype = dtype or DTYPES[precision]
    priors: dict[int, Prior] = {}
    wanted = list(range(len(config.priors)) if levels is None else levels)
    for level in wanted:
        tell(len(priors) / (len(wanted) + 1), f"the prior of level {level}")
        with torch.device("meta"):
            prior = Prior(config.priors[level])
        priors[level] = _restore(prior, folder / prior_file(level), device, dtype, precision == "int8")
    tell(len(wanted) / (len(wanted) + 1), "the codec")
    codec = load_codec(folder, config, device)
    files = deciding_files(folder, config)
    return Model(config, codec, priors, model_hash(folder, len(config.priors)), folder, files)


def _packed(module: nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    return {
        key: (value.to(dtype) if value.is_floating_point() else value).contiguous().cpu()
        for key, value in module.state_dict().items()
        if not key.endswith(TRAINING_BUFFERS)
    }


def save_model(
    folder: Path,
    config: ModelConfig,
    codec: Codec,
    priors: Mapping[int, Prior],
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a model folder; weights as ``dtype`` (half precision halves the repository; loading widens them).

    Every file is replaced as a whole: whoever has the old one mapped keeps it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The codec stays float32: it is small, and its codebook decides codes by nearest distance.
    _save(_packed(codec, torch.float32), folder / CODEC_FILE)
    for level, prior in priors.items():
        _save(_packed(prior, dtype), folder / prior_file(level))
    names = [CODEC_FILE, *(prior_file(level) for level in range(len(config.priors)))]
    write_digests(folder, {name: file_digest(folder / name) for name in names if (folder / name).is_file()})
    write_config(folder, config)


def _save(tensors: dict[str, Tensor], file: Path) -> None:
    part = file.with_name(f".{file.name}.part")
    save_file(tensors, part)
    part.replace(file)


def write_config(folder: Path, config: ModelConfig) -> None:
    """Write ``model.json``."""
    text = json.dumps(config.model_dump(mode="json"), indent=2)
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
