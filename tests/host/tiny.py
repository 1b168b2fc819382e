"""A model of the real code with a few thousand random weights: fast to sample, deterministic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from engine.codec.config import CodecConfig
from engine.codec.vqvae import Codec
from engine.prior.config import PriorConfig, TimeConfig, UpperConfig
from engine.prior.prior import Prior
from engine.request import PrimeRef, Request
from engine.store import ModelConfig, save_model

RATE = 44_100
ARTISTS, GENRES = ("unknown", "anna", "bert"), ("unknown", "house", "dub")


def make_tiny_model(
    folder: Path, seed: int = 0, top: dict[str, Any] | None = None, bottom_down: int = 3
) -> Path:
    """A model folder with windows of 64 tokens (186 / 46 / 12 ms); ``top``: what its top prior has besides.

    Each step more of ``bottom_down`` doubles what a token lasts at every level, and so halves the work of a second.
    """
    torch.manual_seed(seed)
    labels = {
        "artists": len(ARTISTS),
        "genres": len(GENRES),
        "n_ctx": 64,
        "blocks": 8,
        "bins": 32,
        "depth": 1,
    }
    upper = UpperConfig(bins=32, width=8, depth=1)
    codec_config = CodecConfig(bins=32, width=4, depth=1, embed_width=4, downs=(bottom_down, 2, 2))
    bottom, middle, upmost = codec_config.hops
    config = ModelConfig(
        name="tiny",
        codec=codec_config,
        priors=(
            PriorConfig(level=0, hop=bottom, width=8, upper=upper, **labels),
            PriorConfig(level=1, hop=middle, width=8, upper=upper, **labels),
            PriorConfig(
                level=2,
                hop=upmost,
                width=8,
                time=TimeConfig(bins=8, min_seconds=16.0, max_seconds=144.0),
                **labels | (top or {}),
            ),
        ),
        artists=ARTISTS,
        genres=GENRES,
    )
    codec = Codec(config.codec)
    for level in codec.levels:
        level.bottleneck.codebook.normal_()
    save_model(folder, config, codec, {n: Prior(prior) for n, prior in enumerate(config.priors)})
    return folder


def write_riff(path: Path, seconds: float = 1.0, rate: int = RATE, channels: int = 1) -> Path:
    """A plucked arpeggio as a 16-bit WAV."""
    time = np.arange(round(seconds * rate)) / rate
    notes = 220.0 * 2 ** (np.array([0, 4, 7, 12])[(time / 0.125).astype(int) % 4] / 12)
    riff = 0.5 * np.sin(2 * np.pi * notes * time) * np.exp(-8.0 * (time % 0.125))
    soundfile.write(path, np.repeat(riff[:, None], channels, axis=1), rate, subtype="PCM_16")
    return path


def make_request(model: Path, riff: Path, seconds: float = 0.5, seed: int = 7, **more: object) -> Request:
    """A request for ``seconds`` of continuation."""
    values: dict[str, object] = {"model": str(model), "prime": PrimeRef(path=str(riff)), "seed": seed}
    values["frames"] = round(seconds * RATE)
    return Request.model_validate({**values, **more})
