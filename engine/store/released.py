"""The released models as configurations of the same code as the starter (facts/jukebox.md §1.1, §2.1, §2.2).

Only shapes are here. The weights are their owners': ``segue models import`` reads them from the user's disk.
"""

from __future__ import annotations

from typing import Any

from engine.codec.config import CodecConfig, released
from engine.prior.config import EncoderConfig, LyricsConfig, PriorConfig, TimeConfig, UpperConfig
from engine.prior.vocabulary import UNKNOWN_NAME, LabelVocabulary, ReleasedVersion
from engine.store.config import ModelConfig

CODECS: dict[str, CodecConfig] = {
    "vqvae": released(),
    "small_vqvae": CodecConfig(
        sample_rate=22050, downs=(5, 3), strides=(2, 2), multipliers=(1, 1), bins=1024, lmix_linf=0.0
    ),
}

_V2: dict[str, Any] = {"artists": 4111, "genres": 120, "label_version": "v2"}
_V3: dict[str, Any] = {"artists": 7898, "genres": 604, "label_version": "v3"}
# The labels of the training recipes: the user's own lists, in the manner of v3.
_RECIPE: dict[str, Any] = {"artists": 100, "genres": 10, "label_version": "v3"}
_RECIPE_TIME = TimeConfig(bins=64, min_seconds=60.0, max_seconds=600.0)
_FIVE: dict[str, Any] = {
    "level": 2,
    "hop": 128,
    "n_ctx": 8192,
    "width": 4800,
    "heads": 8,
    "blocks": 128,
    "init_scale": 0.1,
    "merged_decoder": True,
    **_V2,
}
_SMALL: dict[str, Any] = {
    "level": 2,
    "hop": 128,
    "n_ctx": 8192,
    "width": 1024,
    "depth": 48,
    "blocks": 64,
    "init_scale": 0.7,
}


def _upsampler(level: int, hop: int, residual_scale: bool) -> PriorConfig:
    upper = UpperConfig(width=1024, depth=16, dilation_cycle=8, residual_scale=residual_scale)
    return PriorConfig(
        level=level,
        hop=hop,
        n_ctx=8192,
        width=1920,
        depth=72,
        blocks=128,
        init_scale=0.4,
        upper=upper,
        **_V2,
    )


PRIORS: dict[str, PriorConfig] = {
    "upsampler_level_0": _upsampler(0, 8, residual_scale=False),
    "upsampler_level_1": _upsampler(1, 32, residual_scale=True),
    "prior_5b": PriorConfig(depth=72, time=TimeConfig(min_seconds=60.0, max_seconds=600.0), **_FIVE),
    "prior_5b_lyrics": PriorConfig(
        depth=79,
        attention_order=10,
        time=TimeConfig(min_seconds=23.8, max_seconds=600.0),
        lyrics=LyricsConfig(
            tokens=512,
            vocabulary="v2",
            encoder=EncoderConfig(width=1280, depth=18, heads=4, init_scale=0.7),
            alignment=(68, 2),
        ),
        **_FIVE,
    ),
    "prior_1b_lyrics": PriorConfig(
        level=2,
        hop=128,
        n_ctx=6144,
        width=2048,
        depth=72,
        heads=2,
        attention_order=12,
        blocks=64,
        init_scale=0.2,
        time=TimeConfig(bins=64, min_seconds=17.84, max_seconds=600.0),
        lyrics=LyricsConfig(tokens=384, vocabulary="v3", alignment=(63, 0)),
        **_V3,
    ),
    "small_prior": PriorConfig(**_SMALL),
    "small_labelled_prior": PriorConfig(time=_RECIPE_TIME, **_SMALL, **_RECIPE),
    "small_single_enc_dec_prior": PriorConfig(
        time=_RECIPE_TIME,
        lyrics=LyricsConfig(tokens=384, vocabulary="v3"),
        **(_SMALL | _RECIPE | {"n_ctx": 6144, "heads": 2, "attention_order": 12}),
    ),
    "small_sep_enc_dec_prior": PriorConfig(
        time=_RECIPE_TIME,
        lyrics=LyricsConfig(
            tokens=384,
            vocabulary="v3",
            encoder=EncoderConfig(width=256, depth=9, heads=2, init_scale=0.7),
        ),
        **(_SMALL | _RECIPE | {"n_ctx": 6144, "depth": 50, "heads": 2, "attention_order": 8}),
    ),
    "small_upsampler": PriorConfig(
        **(_SMALL | {"level": 0, "hop": 32, "bins": 1024, "sample_rate": 22050}),
        upper=UpperConfig(bins=1024, width=512, depth=16, dilation_cycle=8, ups=3),
    ),
}

# Model name to its top prior; the codec and the two upsamplers are the same three files in all of them.
TOPS = {"5b": "prior_5b", "5b_lyrics": "prior_5b_lyrics", "1b_lyrics": "prior_1b_lyrics"}


def on_codec(prior: PriorConfig, codec: CodecConfig, level: int | None = None) -> PriorConfig:
    """The prior's shape for another codec: its hop, bins and rate at ``level`` (default the codec's top)."""
    level = codec.levels - 1 if level is None else level
    changes = {
        "level": level,
        "hop": codec.hops[level],
        "bins": codec.bins,
        "sample_rate": codec.sample_rate,
    }
    return PriorConfig.model_validate(prior.model_dump() | changes)


def unnamed(prior: PriorConfig) -> LabelVocabulary:
    """A vocabulary of a released version for the prior's tables that knows nobody but "unknown"."""
    if prior.label_version == "own":
        raise ValueError("a prior with its own labels names them in the model's artists and genres")
    nobody = {UNKNOWN_NAME: 0}
    return LabelVocabulary.released(prior.label_version, nobody, nobody, (prior.artists, prior.genres))


def released_model(
    name: str, vocabularies: dict[ReleasedVersion, LabelVocabulary] | None = None
) -> ModelConfig:
    """The configuration of ``5b``, ``5b_lyrics`` or ``1b_lyrics``; without vocabularies only "unknown" has a name."""
    priors = (PRIORS["upsampler_level_0"], PRIORS["upsampler_level_1"], PRIORS[TOPS[name]])
    known = vocabularies or {
        prior.label_version: unnamed(prior) for prior in priors if prior.label_version != "own"
    }
    return ModelConfig(name=name, codec=CODECS["vqvae"], priors=priors, vocabularies=known)
