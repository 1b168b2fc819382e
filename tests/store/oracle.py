"""Tiny random Jukebox models of Hugging Face's library, as its folders and as OpenAI-style files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.store.importing import their_names
from engine.store.keys import TIED

RATE, CODES, N_CTX, ARTISTS, GENRES = 44100, 32, 32, 7, 5
LISTS = {
    "v2": ({"unknown": 0, "various": 0, "ada": 1, "zac_brown": 6}, {"unknown": 0, "country": 1, "rock": 4}),
    "v3": ({"unknown": 0, "ada lace": 2, "bix": 3}, {"unknown": 0, "country rock": 3}),
}
FORMS = ("joint", "separate")


def _shared() -> dict[str, Any]:
    return {
        "n_ctx": N_CTX,
        "music_vocab_size": CODES,
        "metadata_dims": [GENRES, ARTISTS],
        "mask": True,
        "hidden_size": 16,
        "n_heads": 2,
        "blocks": 4,
        "init_scale": 4.0,
        "attention_multiplier": 0.5,
        "res_conv_width": 8,
        "res_conv_depth": 2,
        "res_dilation_growth_rate": 3,
        "res_dilation_cycle": 2,
        "sampling_rate": RATE,
    }


def _top(form: str) -> dict[str, Any]:
    if form == "joint":
        own = {
            "attention_pattern": "enc_dec_with_lyrics",
            "num_layers": 17,
            "is_encoder_decoder": True,
            "merged_decoder": False,
            "nb_relevant_lyric_tokens": 12,
            "lyric_vocab_size": 79,
            "alignment_layer": 15,
            "alignment_head": 1,
        }
        return _shared() | own
    encoder = _shared() | {
        "n_ctx": 12,
        "hidden_size": 8,
        "num_layers": 3,
        "attention_pattern": "raw_column_previous_row_attention",
        "is_encoder_decoder": False,
        "nb_relevant_lyric_tokens": 12,
    }
    own = {
        "attention_pattern": "large_separated_enc_dec_w_lyrics",
        "num_layers": 20,
        "is_encoder_decoder": False,
        "merged_decoder": True,
        "nb_relevant_lyric_tokens": 12,
        "lyric_vocab_size": 80,
        "encoder_config": encoder,
        "alignment_layer": 18,
        "alignment_head": 0,
    }
    return _shared() | own


def _upsampler(level: int) -> dict[str, Any]:
    return _shared() | {
        "attention_pattern": "raw_column_previous_row_attention",
        "num_layers": 4,
        "is_encoder_decoder": False,
        "merged_decoder": False,
        "nb_relevant_lyric_tokens": 0,
        "conv_res_scale": True if level == 1 else None,
        "level": 2 - level,
    }


def oracle_model(form: str, seed: int = 0) -> Any:
    """A random model of three levels whose top prior has lyrics in the given form; initialised by hand, since the
    library leaves weights as memory was (facts/jukebox.md §10.2)."""
    from transformers import JukeboxConfig, JukeboxModel

    torch.manual_seed(seed)
    config = JukeboxConfig(
        vqvae_config={
            "embed_dim": 8,
            "nb_discrete_codes": CODES,
            "res_conv_width": 8,
            "res_conv_depth": 2,
            "sample_length": N_CTX * 128,
        },
        prior_config_list=[_top(form), _upsampler(1), _upsampler(0)],
        sampling_rate=RATE,
        timing_dims=9,
        min_duration=0.1,
        max_duration=60.0,
        max_nb_genres=5,
        metadata_conditioning=True,
    )
    model = JukeboxModel(config)
    for part in (model.vqvae, *model.priors):
        part.apply(part._init_weights)
    for name, parameter in model.named_parameters():
        if name.endswith("start_token") or "lm_head" in name or "fc_proj_out" in name:
            parameter.data.normal_(std=0.5)
        elif name.endswith("bias"):
            parameter.data.normal_(std=0.1)
        elif name.startswith("vqvae."):  # convolutions that keep the loudness, so that codes differ
            parameter.data.normal_(std=parameter[0].numel() ** -0.5)
    for block in model.vqvae.bottleneck.level_blocks:
        block.codebook.normal_(std=0.3)
    return model.eval()


def write_hf(model: Any, folder: Path, form: str) -> Path:
    """The model as the library saves it, with the tokenizer's files."""
    model.save_pretrained(folder, safe_serialization=False)
    for place, what in enumerate(("artists", "genres")):
        v2, v3 = LISTS["v2"][place], LISTS["v3"][place]
        both = v3 | {f"{name}.v2": row for name, row in v2.items()}
        (folder / f"{what}.json").write_text(json.dumps(both))
    versions = ["v3" if form == "joint" else "v2", "v2", "v2"]
    (folder / "tokenizer_config.json").write_text(json.dumps({"version": versions}))
    return folder


def write_lists(folder: Path) -> Path:
    """OpenAI's label lists, in another order than the JSON files."""
    folder.mkdir(parents=True, exist_ok=True)
    for version, sides in LISTS.items():
        for what, names in zip(("artist", "genre"), sides, strict=True):
            lines = [f"{name};{row}\n" for name, row in reversed(names.items())]
            (folder / f"{version}_{what}_ids.txt").write_text("".join(lines))
    return folder


def openai_settings(form: str, level: int) -> dict[str, Any]:
    """The trainer's settings of one prior, as OpenAI names them (facts/jukebox.md §2.1)."""
    common = {
        "level": level, "n_ctx": N_CTX, "prior_width": 16, "prior_depth": 4, "heads": 2, "attn_order": 2,
        "blocks": 4, "m_attn": 0.5, "init_scale": 4.0, "labels": True, "labels_v3": False,
        "y_bins": (GENRES, ARTISTS), "sr": RATE, "l_bins": CODES,
    }  # fmt: skip
    if level < 2:
        return common | {
            "cond_width": 8, "cond_depth": 2, "cond_dilation_growth_rate": 3, "cond_dilation_cycle": 2,
            "cond_res_scale": level == 1,
        }  # fmt: skip
    top = common | {
        "t_bins": 9, "min_duration": 0.1, "max_duration": 60.0, "use_tokens": True, "n_tokens": 12,
        "prime_loss_fraction": 0.4,
    }  # fmt: skip
    if form == "joint":
        return top | {
            "prior_depth": 17, "attn_order": 12, "single_enc_dec": True, "n_vocab": 79, "labels_v3": True,
            "alignment_layer": 15, "alignment_head": 1,
        }  # fmt: skip
    return top | {
        "prior_depth": 20, "attn_order": 10, "merged_decoder": True, "n_vocab": 80, "alignment_layer": 18,
        "alignment_head": 0, "prime_width": 8, "prime_depth": 3, "prime_heads": 2, "prime_blocks": 4,
        "prime_m_attn": 0.5, "prime_init_scale": 4.0,
    }  # fmt: skip


CODEC_SETTINGS: dict[str, Any] = {
    "sr": RATE, "levels": 3, "downs_t": (3, 2, 2), "strides_t": (2, 2, 2), "emb_width": 8, "l_bins": CODES,
    "width": 8, "depth": 2, "hvqvae_multipliers": (2, 1, 1), "dilation_growth_rate": 3, "commit": 0.02,
    "loss_fn": "lmix", "lmix_l2": 1.0, "lmix_linf": 0.02,
}  # fmt: skip


def openai_states(model: Any, form: str) -> dict[str, dict[str, Tensor]]:
    """File name to state dictionary under OpenAI's names, translated by our own maps."""
    from engine.store.openai_settings import codec_from_settings, prior_from_settings

    codec = codec_from_settings(CODEC_SETTINGS)
    whole = model.state_dict()
    states = {}
    for file, prefix, config in (
        ("vqvae.pth.tar", "vqvae.", codec),
        *(
            (
                f"prior_level_{n}.pth.tar",
                f"priors.{2 - n}.",
                prior_from_settings(openai_settings(form, n), codec),
            )
            for n in range(3)
        ),
    ):
        theirs, hf = their_names(config, "openai"), their_names(config, "hf")
        state = {theirs[name]: whole[prefix + hf[name]] for name in theirs}
        copy, original = TIED["openai"]
        if original in state and copy not in state:
            state[copy] = state[original]
        states[file] = state
    return states


def write_openai(model: Any, folder: Path, form: str, *, zipped: bool = False, settings: bool = True) -> Path:
    """The model as OpenAI's trainer saved its checkpoints: legacy pickles with an outer dictionary."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, state in openai_states(model, form).items():
        hps = CODEC_SETTINGS if file == "vqvae.pth.tar" else openai_settings(form, int(file[12]))
        outer = {"hps": hps if settings else {}, "model": state, "opt": None, "step": 1234}
        torch.save(outer, folder / file, _use_new_zipfile_serialization=zipped)
    return folder
