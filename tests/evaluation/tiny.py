"""A random model of three levels, small enough to sample in a test, and audio to measure it on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch

from engine.codec.config import CodecConfig
from engine.codec.vqvae import Codec
from engine.prior.config import PriorConfig, TimeConfig, UpperConfig
from engine.prior.prior import Prior
from engine.store import ModelConfig, save_model

RATE = 22050
ARTISTS = ("unknown", "ada", "bo")
GENRES = ("unknown", "house", "rock")


def tiny_config() -> ModelConfig:
    labels = {"artists": len(ARTISTS), "genres": len(GENRES), "n_ctx": 128, "blocks": 8, "bins": 32}
    labels |= {"sample_rate": RATE, "width": 16}
    upper = UpperConfig(bins=32, width=8, depth=2)
    return ModelConfig(
        name="tiny",
        codec=CodecConfig(sample_rate=RATE, embed_width=8, bins=32, width=8, depth=1, downs=(3, 2, 2)),
        priors=(
            PriorConfig(level=0, hop=8, depth=2, upper=upper, **labels),
            PriorConfig(level=1, hop=32, depth=2, upper=upper, **labels),
            PriorConfig(
                level=2, hop=128, depth=3, time=TimeConfig(bins=8, min_seconds=1, max_seconds=60), **labels
            ),
        ),
        artists=ARTISTS,
        genres=GENRES,
    )


def save_tiny(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    config = tiny_config()
    codec = Codec(config.codec)
    for level in codec.levels:
        features = level.encoder(0.3 * torch.randn(4, 1, 8192)).detach()
        spread = features.std(dim=(0, 2)) * torch.randn(32, 8)  # as wide as the features, so that codes vary
        level.bottleneck.codebook.copy_(features.mean(dim=(0, 2)) + spread)
    priors = {level: Prior(config.priors[level]) for level in range(3)}
    with torch.no_grad():
        priors[0].embed *= 20  # so that the prior says something, and the upper codes make a difference to it
    save_model(folder, config, codec, priors, dtype=torch.float32)
    return folder


def save_loops(folder: Path, songs: int = 4, seconds: float = 9.0) -> Path:
    """Drum loops with a chord, at a tempo, key and label of their own each."""
    from tests.analysis.synth import chords, drum_loop

    folder.mkdir(parents=True, exist_ok=True)
    rows = ["file,artist,genre"]
    for index in range(songs):
        loop = drum_loop(90 + 17 * index, seconds, RATE)
        harmony = chords([tuple(p + 2 * index for p in (57, 60, 64))] * 3, seconds / 3, RATE)
        mix = 0.6 * loop + 0.4 * np.pad(harmony, (0, max(0, loop.size - harmony.size)))[: loop.size]
        soundfile.write(folder / f"loop{index}.wav", mix, RATE)
        rows.append(f"loop{index}.wav,{ARTISTS[1 + index % 2]},{GENRES[1 + index % 2]}")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder
