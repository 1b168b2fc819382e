"""The settings (``hps``) that OpenAI's trainer kept in its checkpoints, read as our configurations.

Needed for checkpoints of a user's own training; those of the released models are known by their shapes
(facts/jukebox.md §1.1, §2.1, §6.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.codec.config import CodecConfig
from engine.errors import BadFormat
from engine.prior.config import EncoderConfig, LyricsConfig, PriorConfig, TimeConfig, UpperConfig

Settings = Mapping[str, Any]
CODEC_NEEDS = ("downs_t", "strides_t", "emb_width", "l_bins", "width", "depth")
PRIOR_NEEDS = (
    "level",
    "n_ctx",
    "prior_width",
    "prior_depth",
    "heads",
    "attn_order",
    "blocks",
    "init_scale",
)  # fmt: skip


def missing_settings(hps: Settings, needs: tuple[str, ...]) -> list[str]:
    """The names among ``needs`` that are not in the settings."""
    return [name for name in needs if name not in hps]


def codec_from_settings(hps: Settings) -> CodecConfig:
    """The codec that the settings describe. Raises KeyError or ValidationError (see :func:`missing_settings`)."""
    squared = hps.get("loss_fn", "l2") == "l2"
    return CodecConfig(
        sample_rate=hps.get("sr", 44100),
        downs=tuple(hps["downs_t"]),
        strides=tuple(hps["strides_t"]),
        embed_width=hps["emb_width"],
        bins=hps["l_bins"],
        width=hps["width"],
        depth=hps["depth"],
        multipliers=tuple(hps.get("hvqvae_multipliers") or (1,) * len(hps["downs_t"])),
        m_conv=hps.get("m_conv", 1.0),
        dilation_growth=hps.get("dilation_growth_rate", 1),
        dilation_cycle=hps.get("dilation_cycle"),
        reverse_decoder_dilation=hps.get("vqvae_reverse_decoder_dilation", True),
        codebook_decay=hps.get("l_mu", 0.99),
        restart_threshold=hps.get("revival_threshold", 1.0),
        commit=hps.get("commit", 1.0),
        lmix_l1=0.0 if squared else hps.get("lmix_l1", 0.0),
        lmix_l2=1.0 if squared else hps.get("lmix_l2", 1.0),
        lmix_linf=0.0 if squared else hps.get("lmix_linf", 0.0),
        linf_k=hps.get("linf_k", 2048),
        spectral=hps.get("spectral", 0.0),
        multispectral=hps.get("multispectral", 1.0),
    )


def _encoder(hps: Settings) -> EncoderConfig:
    return EncoderConfig(
        width=hps["prime_width"],
        depth=hps["prime_depth"],
        heads=hps["prime_heads"],
        attention_order=hps.get("prime_attn_order", 2),
        blocks=hps["prime_blocks"],
        m_attn=hps.get("prime_m_attn", 0.25),
        m_mlp=hps.get("prime_m_mlp", 1.0),
        init_scale=hps.get("prime_init_scale", 0.7),
        residual_scale=bool(hps.get("prime_res_scale", False)),
    )


def _lyrics(hps: Settings) -> LyricsConfig | None:
    if not hps.get("use_tokens"):
        return None
    alignment = (hps.get("alignment_layer"), hps.get("alignment_head"))
    return LyricsConfig(
        tokens=hps["n_tokens"],
        vocabulary="v3" if hps.get("n_vocab", 80) == 79 else "v2",
        loss_fraction=hps.get("prime_loss_fraction", 0.4),
        encoder=None if hps.get("single_enc_dec") else _encoder(hps),
        alignment=None if None in alignment else alignment,
    )


def prior_from_settings(hps: Settings, codec: CodecConfig) -> PriorConfig:
    """The prior on ``codec`` that the settings describe. Raises KeyError, ValidationError or IndexError."""
    level = int(hps["level"])
    top = level == codec.levels - 1
    labelled = bool(hps.get("labels", True))
    genres, artists = hps["y_bins"] if labelled else (0, 0)
    upper = time = None
    if not top:
        upper = UpperConfig(
            bins=codec.bins,
            width=hps["cond_width"],
            depth=hps["cond_depth"],
            dilation_growth=hps.get("cond_dilation_growth_rate", 1),
            dilation_cycle=hps.get("cond_dilation_cycle"),
            m_conv=hps.get("cond_m_conv", 1.0),
            residual_scale=bool(hps.get("cond_res_scale", False)),
            ups=codec.downs[level + 1],
            stride=codec.strides[level + 1],
        )
    elif labelled:
        time = TimeConfig(
            bins=hps["t_bins"], min_seconds=hps["min_duration"], max_seconds=hps["max_duration"]
        )
    return PriorConfig(
        level=level,
        n_ctx=hps["n_ctx"],
        hop=codec.hops[level],
        sample_rate=codec.sample_rate,
        bins=codec.bins,
        width=hps["prior_width"],
        depth=hps["prior_depth"],
        heads=hps["heads"],
        attention_order=hps["attn_order"],
        blocks=hps["blocks"],
        m_attn=hps.get("m_attn", 0.25),
        m_mlp=hps.get("m_mlp", 1.0),
        init_scale=hps["init_scale"],
        residual_scale=bool(hps.get("res_scale", False)),
        merged_decoder=bool(hps.get("merged_decoder", False)),
        artists=artists,
        genres=genres,
        label_version=("v3" if hps.get("labels_v3") else "v2") if labelled else "own",
        time=time,
        upper=upper,
        lyrics=_lyrics(hps) if top else None,
    )


def explained(path: Path, error: Exception) -> BadFormat:
    """The failure of settings that make no model."""
    if isinstance(error, KeyError):
        return BadFormat(f"the settings in {path} lack {error}; import a checkpoint with its whole 'hps'")
    words = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)
    return BadFormat(f"the settings in {path} make no model: {words.removeprefix('Value error, ')}")
