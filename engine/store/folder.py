"""Model folders on disk: write, find, load, identify."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from engine.codec.vqvae import Codec
from engine.errors import NoModel
from engine.prior.prior import Prior
from engine.store.config import ModelConfig

SHIPPED = Path(__file__).resolve().parent.parent / "models"
CODEC_FILE = "codec.safetensors"
TRAINING_BUFFERS = (".bottleneck.sum", ".bottleneck.count", ".bottleneck.started")


def prior_file(level: int) -> str:
    """File name of a level's prior."""
    return f"prior_{level}.safetensors"


@dataclass(frozen=True)
class Model:
    """A loaded model in evaluation mode. ``hash``: SHA-256 over its weight files, the identity kept in takes."""

    config: ModelConfig
    codec: Codec
    priors: dict[int, Prior]
    hash: str
    folder: Path


def model_folder(name: str | Path) -> Path:
    """Folder of a shipped model by name, or the given folder; raises NoModel with the known names."""
    for folder in (SHIPPED / str(name), Path(name).expanduser()):
        if (folder / "model.json").is_file():
            return folder
    known = sorted(p.parent.name for p in SHIPPED.glob("*/model.json"))
    raise NoModel(
        f"there is no model '{name}'; give a shipped one ({', '.join(known) or 'none here'}) or a folder "
        "that holds model.json"
    )


def read_config(folder: Path) -> ModelConfig:
    """The validated ``model.json`` of a folder."""
    try:
        return ModelConfig.model_validate_json((folder / "model.json").read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "model.json"
        raise NoModel(
            f"{folder / 'model.json'} does not describe a model: {place}: {first['msg']}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise NoModel(f"{folder / 'model.json'} cannot be read: {error}; give a model folder") from error


def _restore(module: nn.Module, file: Path, ignore_missing: tuple[str, ...] = ()) -> None:
    try:
        state = load_file(file)
    except FileNotFoundError as error:
        raise NoModel(f"{file} is missing; the model folder is incomplete") from error
    except (SafetensorError, OSError) as error:
        raise NoModel(f"{file} is damaged ({error}); copy the model folder again") from error
    own = module.state_dict()
    missing = [key for key in own if key not in state and not key.endswith(ignore_missing or ("\0",))]
    if missing or any(key not in own or own[key].shape != value.shape for key, value in state.items()):
        wrong = missing[:1] or [k for k, v in state.items() if k not in own or own[k].shape != v.shape][:1]
        raise NoModel(f"{file} does not fit model.json (first at '{wrong[0]}'); they are of different models")
    module.load_state_dict({key: value.to(own[key].dtype) for key, value in state.items()}, strict=False)


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_hash(folder: Path, levels: int) -> str:
    """SHA-256 over the digests of the weight files that are there."""
    names = [CODEC_FILE, *(prior_file(level) for level in range(levels))]
    digests = [f"{name} {_file_digest(folder / name)}" for name in names if (folder / name).is_file()]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def load_codec(folder: Path, config: ModelConfig | None = None) -> Codec:
    """The codec of a model folder, in evaluation mode."""
    codec = Codec((config or read_config(folder)).codec)
    _restore(codec, folder / CODEC_FILE, TRAINING_BUFFERS)
    return codec.eval().requires_grad_(False)


def load_model(
    name: str | Path = "starter", levels: Iterable[int] | None = None, device: str | torch.device = "cpu"
) -> Model:
    """Load a shipped model by name or a folder, with the priors of ``levels`` (default all)."""
    folder = model_folder(name)
    config = read_config(folder)
    codec = load_codec(folder, config).to(device)
    priors = {}
    for level in range(len(config.priors)) if levels is None else levels:
        prior = Prior(config.priors[level])
        _restore(prior, folder / prior_file(level))
        priors[level] = prior.eval().requires_grad_(False).to(device)
    return Model(config, codec, priors, model_hash(folder, len(config.priors)), folder)


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
    """Write a model folder; weights as ``dtype`` (half precision halves the repository; loading widens them)."""
    folder.mkdir(parents=True, exist_ok=True)
    # The codec stays float32: it is small, and its codebook decides codes by nearest distance.
    save_file(_packed(codec, torch.float32), folder / CODEC_FILE)
    for level, prior in priors.items():
        save_file(_packed(prior, dtype), folder / prior_file(level))
    text = json.dumps(config.model_dump(mode="json"), indent=2)
    (folder / "model.json").write_text(text + "\n", encoding="utf-8")
