"""Priors of every form of the released ones, tiny and loud, and what their windows begin with."""

from __future__ import annotations

from typing import Any

import torch

from engine.prior.config import EncoderConfig, LyricsConfig
from engine.prior.labels import Labels, make_labels
from engine.prior.prior import Conditions, Prior
from engine.prior.vocabulary import LabelVocabulary
from engine.request import Style
from tests.prior.build import ARTISTS, GENRES, prior_config

RATE, BINS = 44100, 16
FORMS: dict[str, dict[str, Any]] = {
    "dense": {"attention_order": 0},
    "row-column": {"attention_order": 1},
    "order-2": {},
    "order-9": {"attention_order": 9},
    "lower": {"level": 0},
    "merged": {"merged_decoder": True},
    "residual-scale": {"residual_scale": True},
    "unlabelled": {"artists": 0, "genres": 0, "time": None},
    "separate": {
        "attention_order": 8,
        "depth": 11,  # lyric attention at layer 9
        "lyrics": LyricsConfig(
            tokens=20,
            vocabulary="v2",
            encoder=EncoderConfig(width=16, depth=4, heads=2, blocks=4, m_attn=0.5, init_scale=8.0),
        ),
    },
    "joint": {
        "attention_order": 12,
        "depth": 48,  # lyrics at 15 and 31, everything at 47
        "n_ctx": 43,
        "blocks": 7,
        "width": 12,
        "init_scale": 6.0,
        "lyrics": LyricsConfig(tokens=20, vocabulary="v3"),
    },
}

# Of the forms these are tried with ``--all`` only where every one costs seconds; order 9 has every kind of layer but
# lyrics, "lower" what lies above it.
SELDOM = ("dense", "row-column", "residual-scale", "unlabelled", "separate", "joint")

# Layers enough for every kind that a form has.
DEPTHS = {"dense": 1, "order-2": 3, "lower": 3, "residual-scale": 3, "separate": 10, "joint": 16}


def form_prior(form: str, **changes: Any) -> Prior:
    """A prior of this form whose blocks that read lyrics are no longer the identity that they begin as."""
    torch.manual_seed(sorted(FORMS).index(form))
    prior = Prior(prior_config(**(FORMS[form] | changes))).eval().requires_grad_(False)
    for name, parameter in prior.named_parameters():
        if name.endswith("c_proj.weight") and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.15)
    return prior


def conditions_of(prior: Prior, lanes: int, seed: int = 0) -> Conditions:
    """Conditions of a window whose lanes differ in everything that they may differ in."""
    generator = torch.Generator().manual_seed(seed)
    config = prior.config
    labels = upper = lyrics = None
    if config.artists:
        names = LabelVocabulary.own(ARTISTS, GENRES)
        styles = [Style(artists={ARTISTS[lane % 3]: 1.0}) for lane in range(lanes)]
        rows = [make_labels(style, RATE * 10, RATE + 999 * i, names) for i, style in enumerate(styles)]
        labels = Labels.stack(rows).to(prior.embed.device)
    if config.upper is not None:
        upper = torch.randint(0, BINS, (lanes, config.n_ctx // config.upper.ratio), generator=generator)
    if config.lyrics is not None:
        lyrics = torch.randint(0, 79, (lanes, config.lyrics.tokens), generator=generator)
    upper, lyrics = (None if part is None else part.to(prior.embed.device) for part in (upper, lyrics))
    with torch.no_grad():
        return prior.condition(labels, upper, lanes, lyrics)


def tokens_of(prior: Prior, lanes: int, seed: int = 0) -> torch.Tensor:
    """Codes int64 [lanes, n_ctx]."""
    generator = torch.Generator().manual_seed(seed + 1000)
    codes = torch.randint(0, BINS, (lanes, prior.config.n_ctx), generator=generator)
    return codes.to(prior.embed.device)
