"""Hugging Face's port of the released priors with the weights of ours, and how it samples (facts/jukebox.md §10)."""

from __future__ import annotations

from functools import partial
from importlib import metadata
from typing import Any

import torch
from torch import Tensor

from engine.backends.protocol import Codes, WindowInput
from engine.errors import BadArguments
from engine.prior.config import EncoderConfig, PriorConfig
from engine.prior.prior import Prior
from engine.store.keys import TIED, hf_prior_name

LAST_VERSION = "4.57.6"  # the last one that has Jukebox
PATTERNS = {
    2: "raw_column_previous_row_attention",
    10: "large_separated_enc_dec_w_lyrics",
    12: "enc_dec_with_lyrics",
}
MAX_GENRES = 5
CHUNK = 32  # positions that a known prefix, lyrics included, is passed through in at a time


def peer_name() -> str:
    """``transformers 4.57.6``. Raises BadArguments where a version with Jukebox is not installed."""
    try:
        version = metadata.version("transformers")
        _modules()
    except ImportError as error:
        raise BadArguments(
            "the Hugging Face sampler is not here; install the last version that has it: "
            f"pip install transformers=={LAST_VERSION}"
        ) from error
    return f"transformers {version}"


def _modules() -> tuple[Any, Any]:
    from transformers.models.deprecated.jukebox import configuration_jukebox, modeling_jukebox

    return configuration_jukebox.JukeboxPriorConfig, modeling_jukebox


def peer_prior(ours: Prior, levels: int = 3) -> Any:
    """Their prior in the shapes of ``ours`` and with its weights, ready to sample; levels are counted from the top
    there. Raises BadArguments for an attention order that they lack.
    """
    config = ours.config
    make, models = _modules()
    # It writes a line to the terminal at every token, which costs time that is not the sampler's.
    models.tqdm = partial(models.tqdm, disable=True)
    if config.attention_order not in PATTERNS:
        raise BadArguments(
            f"attention order {config.attention_order} has no name there; take one of {sorted(PATTERNS)}"
        )
    theirs = models.JukeboxPrior(make(**_settings(config)), level=levels - 1 - config.level)
    state = ours.state_dict()
    weights = {hf_prior_name(name): tensor for name, tensor in state.items()}
    second, first = TIED["hf"]
    if second not in weights:
        weights[second] = weights[first]
    theirs.load_state_dict(weights)
    return theirs.eval()


def _settings(config: PriorConfig) -> dict[str, Any]:
    lyrics, upper, time = config.lyrics, config.upper, config.time
    encoder = lyrics.encoder if lyrics else None
    found: dict[str, Any] = {
        **_shared(config),
        "hidden_size": config.width,
        "num_layers": config.depth,
        "n_heads": config.heads,
        "n_ctx": config.n_ctx,
        "blocks": config.blocks,
        "attention_multiplier": config.m_attn,
        "mlp_multiplier": config.m_mlp,
        "attn_res_scale": config.residual_scale,
        "attention_pattern": PATTERNS[config.attention_order],
        "is_encoder_decoder": bool(config.joint_lyrics),
        "merged_decoder": config.merged_decoder,
        "nb_relevant_lyric_tokens": lyrics.tokens if lyrics else 0,
    }
    if time is not None:
        found |= {
            "min_duration": time.min_seconds,
            "max_duration": time.max_seconds,
            "timing_dims": time.bins,
        }
    if lyrics is not None:
        found |= {"lyric_vocab_size": lyrics.characters, "encoder_loss_fraction": lyrics.loss_fraction}
    if encoder is not None and lyrics is not None:
        make, _ = _modules()
        found["encoder_config"] = make(**_encoder(config, encoder, lyrics.tokens)).to_dict()
    if upper is not None:
        found |= {
            "res_conv_width": upper.width,
            "res_conv_depth": upper.depth,
            "res_convolution_multiplier": int(upper.m_conv),
            "res_dilation_growth_rate": upper.dilation_growth,
            "res_dilation_cycle": upper.dilation_cycle,
            "conv_res_scale": upper.residual_scale,
        }
    return found


def _shared(config: PriorConfig) -> dict[str, Any]:
    return {
        "mask": True,  # False by default there, and then nothing is causal (facts/jukebox.md §10.2)
        "music_vocab_size": config.bins,
        "metadata_dims": [config.genres, config.artists],
        "max_nb_genres": MAX_GENRES,
        "sampling_rate": config.sample_rate,
    }


def _encoder(config: PriorConfig, encoder: EncoderConfig, tokens: int) -> dict[str, Any]:
    return {
        **_shared(config),
        "hidden_size": encoder.width,
        "num_layers": encoder.depth,
        "n_heads": encoder.heads,
        "n_ctx": tokens,
        "blocks": encoder.blocks,
        "attention_multiplier": encoder.m_attn,
        "mlp_multiplier": encoder.m_mlp,
        "attention_pattern": PATTERNS[encoder.attention_order],
        "is_encoder_decoder": False,
        "merged_decoder": False,
        "nb_relevant_lyric_tokens": 0,
    }


def metadata_row(config: PriorConfig, window: WindowInput) -> Tensor:
    """A window's first lane as their row: lengths and place in samples, artist and genre 0, lyrics: int64 [1, n]."""
    labels = [window.total, window.offsets[0], config.window_samples, 0, 0, *[-1] * (MAX_GENRES - 1)]
    sung = [] if window.lyrics is None else window.lyrics[0].tolist()
    return torch.tensor([labels + sung])


def sample_theirs(theirs: Any, config: PriorConfig, window: WindowInput, tokens: int) -> Tensor:
    """The first ``tokens`` of a window from nothing, by their own loop: int64 [1, tokens]."""
    found: Tensor = theirs.sample(
        1,
        None,
        None if window.upper is None else [torch.from_numpy(window.upper[:1])],
        metadata_row(config, window),
        temp=0.98,
        chunk_size=CHUNK,
        sample_tokens=tokens,
    )
    return found


@torch.no_grad()
def logits_theirs(theirs: Any, config: PriorConfig, window: WindowInput, codes: Codes) -> Tensor:
    """Logits of every position of the codes int64 [1, n_ctx], by their forward pass: float32 [n_ctx, bins]."""
    tokens = torch.from_numpy(codes)
    upper = None if window.upper is None else [torch.from_numpy(window.upper[:1])]
    row = metadata_row(config, window)
    if config.lyrics is not None:
        _, found = theirs.forward_tokens(tokens, [], row, get_preds=True)
        logits: Tensor = found["preds"]
    else:
        added, start, _ = theirs.get_cond(upper, row)
        _, logits = theirs.prior(tokens, added, start, None, get_preds=True)
    return logits[0, -config.n_ctx :, -config.bins :]
