"""Random weights in the shapes of a model: as fast as trained ones, without a folder or a download."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import psutil
import torch
from torch import nn

from engine.backends.choose import CARD_RESERVE, runners_bytes
from engine.codec.vqvae import Codec
from engine.errors import BadArguments, NoMemory
from engine.prior.config import PriorConfig
from engine.prior.int8 import quantise
from engine.prior.prior import Prior
from engine.store import Model, ModelConfig, starter_config
from engine.store.folder import DTYPES
from engine.store.home import Precision
from engine.store.memory import plan_memory
from engine.store.released import TOPS, released_model


def shapes_named(name: str) -> ModelConfig:
    """The starter's shapes or released ones; raises BadArguments with the names for others."""
    if name == "starter":
        return starter_config()
    if name in TOPS:
        return released_model(name)
    raise BadArguments(f"there are no shapes '{name}'; choose from starter, {', '.join(TOPS)}")


def shorten(config: ModelConfig, layers: int | None) -> tuple[ModelConfig, str | None]:
    """The shapes with at most ``layers`` layers in every prior (and its lyric encoder), and what was cut, in words."""
    if layers is None or all(prior.depth <= layers for prior in config.priors):
        return config, None
    priors = tuple(_short(prior, layers) for prior in config.priors)
    cut = [
        f"{layers} of {prior.depth} layers at level {prior.level}"
        for prior in config.priors
        if prior.depth > layers
    ]
    return config.model_copy(update={"priors": priors}), ", ".join(cut)


def _short(prior: PriorConfig, layers: int) -> PriorConfig:
    lyrics = prior.lyrics
    if lyrics is not None:
        encoder = lyrics.encoder
        if encoder is not None:
            encoder = encoder.model_copy(update={"depth": min(encoder.depth, layers)})
        lyrics = lyrics.model_copy(update={"encoder": encoder, "alignment": None})
    return prior.model_copy(update={"depth": min(prior.depth, layers), "lyrics": lyrics})


def require_room(
    config: ModelConfig, levels: Iterable[int], lanes: int, precision: Precision, device: torch.device
) -> None:
    """Raises NoMemory, by the memory plan, before anything is made."""
    available, reserve = psutil.virtual_memory().available, 0
    levels = tuple(levels)
    if device.type == "cuda":
        available = torch.cuda.mem_get_info(device)[0]
        reserve = CARD_RESERVE + runners_bytes(
            config, dict.fromkeys(levels, lanes), DTYPES[precision].itemsize
        )
    plan = plan_memory(
        config,
        levels=levels,
        lanes=lanes,
        precision=precision,
        available=available,
        reserve=reserve,
        move=False,
    )
    if not plan.fits:
        raise NoMemory(
            f"'{config.name}' {plan.describe()} and {available / 1e9:.1f} GB are free; give a smaller --precision, "
            "fewer --lanes, one --level, or --layers N for N layers of each prior"
        )


def random_model(
    config: ModelConfig,
    device: torch.device,
    levels: Iterable[int] | None = None,
    precision: Precision = "fp32",
) -> Model:
    """A model of ``config``'s shapes with random weights in ``precision``, with the priors of ``levels`` (all)."""
    torch.manual_seed(0)
    codec = Codec(config.codec)
    for name, buffer in codec.named_buffers():
        if name.endswith("codebook"):
            buffer.normal_()
    chosen = range(len(config.priors)) if levels is None else levels
    priors = {level: random_prior(config.priors[level], device, precision) for level in chosen}
    return Model(config, codec.eval().requires_grad_(False).to(device), priors, "", Path())


def random_prior(config: PriorConfig, device: torch.device, precision: Precision = "fp32") -> Prior:
    """Random weights made in place: no more memory than the prior itself, before its matrices become 8 bits."""
    with torch.device("meta"):
        prior = Prior(config)
    prior = prior.to(DTYPES[precision]).to_empty(device=device).eval().requires_grad_(False)
    norms = {id(part.weight) for part in prior.modules() if isinstance(part, nn.LayerNorm)}
    for name, parameter in prior.named_parameters():
        if id(parameter) in norms:
            parameter.fill_(1.0)
        elif name.endswith("bias"):
            parameter.zero_()
        else:
            # As loud after as before, whatever the width: 79 layers neither overflow half precision nor fall silent.
            parameter.normal_(0.0, (parameter.numel() / parameter.shape[-1]) ** -0.5)
    if precision == "int8":
        quantise(prior)
    return prior
