"""Tiny random models of Hugging Face's port, and ours with the same weights (facts/jukebox.md §10)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers.models.deprecated.jukebox.configuration_jukebox import (
    JukeboxPriorConfig,
    JukeboxVQVAEConfig,
)
from transformers.models.deprecated.jukebox.modeling_jukebox import JukeboxPrior, JukeboxVQVAE

from engine.codec.config import CodecConfig
from engine.codec.vqvae import Codec
from engine.prior.config import EncoderConfig, LyricsConfig, PriorConfig, TimeConfig, UpperConfig
from engine.prior.labels import Labels
from engine.prior.prior import Prior
from engine.store.keys import hf_codec_name, hf_prior_name

RATE = 44100
BINS, ARTISTS, GENRES = 32, 7, 5
SHARED: dict[str, Any] = {
    "mask": True,  # False by default there, and then nothing is causal (facts §10.2)
    "music_vocab_size": BINS,
    "metadata_dims": [GENRES, ARTISTS],
    "max_nb_genres": 3,
    "sampling_rate": RATE,
    "min_duration": 1.0,
    "max_duration": 20.0,
    "timing_dims": 16,
}
OURS: dict[str, Any] = {"bins": BINS, "artists": ARTISTS, "genres": GENRES}
TIME = TimeConfig(bins=16, min_seconds=1.0, max_seconds=20.0)


def loud(module: nn.Module, seed: int) -> None:
    """Random weights that matter: the port leaves them uninitialised (facts §10.2)."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        is_norm = "layer_norm" in name and name.endswith("weight")
        fan_in = {2: parameter.shape[0], 3: parameter[0].numel()}.get(parameter.dim(), 4)
        parameter.data = 1 + 0.1 * noise if is_norm else noise / fan_in**0.5


def ours_of(theirs: nn.Module, made: nn.Module, name_there: Any) -> Any:
    """``made`` with the weights of ``theirs``."""
    there = theirs.state_dict()
    made.load_state_dict({name: there[name_there(name)] for name in made.state_dict()})
    return made.eval().requires_grad_(False)


def upsampler(level: int, residual_scale: bool) -> tuple[JukeboxPrior, Prior]:
    """A lower prior; ``residual_scale`` of its conditioner's residual stack (facts §2.1)."""
    theirs = JukeboxPrior(
        JukeboxPriorConfig(
            **SHARED, hidden_size=24, num_layers=6, n_heads=2, n_ctx=64, blocks=8, attention_multiplier=0.5,
            attention_pattern="raw_column_previous_row_attention", is_encoder_decoder=False, merged_decoder=False,
            nb_relevant_lyric_tokens=0, res_conv_width=12, res_conv_depth=4, res_dilation_growth_rate=3,
            res_dilation_cycle=2, conv_res_scale=residual_scale,
        ),
        level=2 - level,
    )  # fmt: skip
    loud(theirs, level)
    upper = UpperConfig(
        bins=BINS, width=12, depth=4, dilation_growth=3, dilation_cycle=2, residual_scale=residual_scale
    )
    config = PriorConfig(
        level=level, n_ctx=64, hop=(8, 32)[level], width=24, depth=6, heads=2, blocks=8, m_attn=0.5, upper=upper, **OURS
    )  # fmt: skip
    return theirs.eval(), ours_of(theirs, Prior(config), hf_prior_name)


def joint(merged: bool = False) -> tuple[JukeboxPrior, Prior]:
    """A top prior whose lyrics and music are one sequence: order 12, all four of its attention kinds."""
    theirs = JukeboxPrior(
        JukeboxPriorConfig(
            **SHARED, hidden_size=24, num_layers=48, n_heads=2, n_ctx=52, blocks=8, attention_multiplier=0.5,
            attention_pattern="enc_dec_with_lyrics", is_encoder_decoder=True, merged_decoder=merged,
            nb_relevant_lyric_tokens=20, lyric_vocab_size=79, encoder_loss_fraction=0.4,
        ),
        level=0,
    )  # fmt: skip
    loud(theirs, 3)
    config = PriorConfig(
        level=2, n_ctx=52, hop=128, width=24, depth=48, heads=2, blocks=8, m_attn=0.5, attention_order=12, time=TIME,
        merged_decoder=merged, lyrics=LyricsConfig(tokens=20, vocabulary="v3"), **OURS,
    )  # fmt: skip
    return theirs.eval(), ours_of(theirs, Prior(config), hf_prior_name)


def separate() -> tuple[JukeboxPrior, Prior]:
    """A top prior with a lyric encoder: order 10 up to its second block that reads lyrics, merged decoder."""
    encoder = JukeboxPriorConfig(
        **SHARED, hidden_size=16, num_layers=4, n_heads=2, n_ctx=20, blocks=4, attention_multiplier=0.5,
        attention_pattern="raw_column_previous_row_attention", is_encoder_decoder=False, merged_decoder=False,
        nb_relevant_lyric_tokens=0,
    )  # fmt: skip
    theirs = JukeboxPrior(
        JukeboxPriorConfig(
            **SHARED, hidden_size=24, num_layers=29, n_heads=2, n_ctx=64, blocks=8, attention_multiplier=0.5,
            attention_pattern="large_separated_enc_dec_w_lyrics", is_encoder_decoder=False, merged_decoder=True,
            nb_relevant_lyric_tokens=20, lyric_vocab_size=80, encoder_loss_fraction=0.4,
            encoder_config=encoder.to_dict(),
        ),
        level=0,
    )  # fmt: skip
    loud(theirs, 4)
    lyrics = LyricsConfig(
        tokens=20, vocabulary="v2", encoder=EncoderConfig(width=16, depth=4, heads=2, blocks=4, m_attn=0.5)
    )
    config = PriorConfig(
        level=2, n_ctx=64, hop=128, width=24, depth=29, heads=2, blocks=8, m_attn=0.5, attention_order=10, time=TIME,
        merged_decoder=True, lyrics=lyrics, **OURS,
    )  # fmt: skip
    return theirs.eval(), ours_of(theirs, Prior(config), hf_prior_name)


def codec() -> tuple[JukeboxVQVAE, Codec]:
    """A codec with random codebooks; level 0 has twice the width and depth, as released."""
    theirs = JukeboxVQVAE(
        JukeboxVQVAEConfig(
            nb_discrete_codes=BINS,
            embed_dim=8,
            res_conv_width=6,
            res_conv_depth=2,
            multipliers=[2, 1, 1],
            res_dilation_growth_rate=3,
            sample_length=5120,
        )
    )
    loud(theirs, 5)
    generator = torch.Generator().manual_seed(6)
    audio = torch.rand(1, 1, 20480, generator=generator) * 2 - 1
    for level, block in enumerate(theirs.bottleneck.level_blocks):
        with torch.no_grad():
            features = theirs.encoders[level](audio)[-1][0].T
        chosen = torch.randperm(len(features), generator=generator)[:BINS]
        block.codebook = features[chosen] + 0.01 * torch.randn(BINS, 8, generator=generator)
    config = CodecConfig(bins=BINS, embed_width=8, width=6, depth=2, multipliers=(2, 1, 1))
    made = Codec(config)
    there = theirs.state_dict()
    averages = {name for name in made.state_dict() if ".bottleneck." in name and "codebook" not in name}
    saved = {name: there[hf_codec_name(name)] for name in made.state_dict() if name not in averages}
    made.load_state_dict(saved, strict=False)
    return theirs.eval(), made.eval().requires_grad_(False)


def label_pair(lyrics: torch.Tensor | None, window: int) -> tuple[torch.Tensor, Labels]:
    """The same labels as their metadata rows [2, ...] and as ours: one and two genres, two places in the song."""
    total, offset = torch.tensor([RATE * 9, RATE * 12]), torch.tensor([0, RATE * 3])
    artists, genres = torch.zeros(2, ARTISTS), torch.zeros(2, GENRES)
    artists[0, 3] = artists[1, 6] = genres[0, 2] = genres[1, 1] = genres[1, 4] = 1.0
    rows = torch.tensor(
        [[total[0], offset[0], window, 3, 2, -1, -1], [total[1], offset[1], window, 6, 1, 4, -1]]
    )
    metadata = rows if lyrics is None else torch.cat((rows, lyrics), 1)
    return metadata, Labels(artists, genres, total, offset)
