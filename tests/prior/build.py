"""Tiny priors and models with loud random weights, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from engine.codec.config import CodecConfig
from engine.codec.vqvae import Codec
from engine.prior.config import PriorConfig, TimeConfig, UpperConfig
from engine.prior.prior import Prior
from engine.store import ModelConfig, load_model, save_model
from engine.store.folder import Model

ARTISTS = ("unknown", "ada", "bix")
GENRES = ("unknown", "house", "dub", "jazz")


def prior_config(level: int = 2, **changes: Any) -> PriorConfig:
    """A prior of 64-token windows and 16 codes; the top one with a time signal, lower ones with upper codes."""
    values: dict[str, Any] = {
        "level": level,
        "n_ctx": 64,
        "hop": (8, 32, 128)[level],
        "bins": 16,
        "width": 24,
        "depth": 5,
        "heads": 2,
        "blocks": 8,
        "m_attn": 0.5,
        "init_scale": 8.0,  # loud: attention that matters, so that a wrong cache shows
        "artists": len(ARTISTS),
        "genres": len(GENRES),
        "time": TimeConfig(bins=8, min_seconds=0.2, max_seconds=20.0) if level == 2 else None,
        "upper": UpperConfig(bins=16, width=8, depth=2) if level < 2 else None,
    }
    return PriorConfig(**(values | changes))


def tiny_model(folder: Path, seed: int = 0) -> Model:
    """A whole random model, written and loaded again."""
    torch.manual_seed(seed)
    config = ModelConfig(
        name="tiny",
        codec=CodecConfig(width=8, depth=2, embed_width=8, bins=16),
        priors=tuple(prior_config(level) for level in range(3)),
        artists=ARTISTS,
        genres=GENRES,
    )
    codec = Codec(config.codec)
    for level in codec.levels:
        level.bottleneck.codebook.normal_()
    save_model(folder, config, codec, {level: Prior(prior) for level, prior in enumerate(config.priors)})
    return load_model(folder)
