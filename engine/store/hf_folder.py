"""A Hugging Face folder of a Jukebox model: its configuration and tensors, planned (facts/jukebox.md §6.4).

There the priors are counted from the top; the codec's levels are as ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.codec.config import CodecConfig
from engine.errors import BadFormat, NoFile
from engine.prior.config import EncoderConfig, LyricsConfig, PriorConfig, TimeConfig, UpperConfig
from engine.prior.patterns import ORDERS, Kind
from engine.prior.vocabulary import RELEASED_ROWS, LabelVocabulary, ReleasedVersion, read_label_json
from engine.store.importing import Plan, ReadLabels, plan_import, require_labels, sentence, take
from engine.store.keys import TIED
from engine.store.pickled import read_checkpoint
from engine.store.safefile import read_header
from engine.store.tensors import StoredTensor

Json = Mapping[str, Any]
_ORDERS = {
    "full_dense_attention": 0,
    "raw_column_previous_row_attention": 2,
    "large_separated_enc_dec_w_lyrics": 10,
    "enc_dec_with_lyrics": 12,
}
# The top of config.json speaks for every prior, whatever the prior itself says.
_SHARED = (
    "sampling_rate",
    "timing_dims",
    "min_duration",
    "max_duration",
    "max_nb_genres",
    "metadata_conditioning",
)
_SHARED_DEFAULTS: dict[str, Any] = {
    "sampling_rate": 44100,
    "timing_dims": 64,
    "min_duration": 0,
    "max_duration": 600.0,
    "max_nb_genres": 5,
    "metadata_conditioning": True,
}
# What the library takes for a setting that a file leaves out.
_PRIOR_DEFAULTS: dict[str, Any] = {
    "attention_multiplier": 0.25,
    "attention_pattern": "enc_dec_with_lyrics",
    "attn_res_scale": False,
    "alignment_layer": 68,
    "alignment_head": 2,
    "blocks": 64,
    "conv_res_scale": None,
    "num_layers": 72,
    "encoder_config": None,
    "encoder_loss_fraction": 0.4,
    "hidden_size": 2048,
    "init_scale": 0.2,
    "is_encoder_decoder": True,
    "lyric_vocab_size": 80,
    "metadata_dims": (604, 7898),
    "mlp_multiplier": 1.0,
    "n_ctx": 6144,
    "n_heads": 2,
    "nb_relevant_lyric_tokens": 384,
    "res_conv_depth": 3,
    "res_conv_width": 128,
    "res_convolution_multiplier": 1,
    "res_dilation_cycle": None,
    "res_dilation_growth_rate": 1,
    "res_downs_t": (3, 2, 2),
    "res_strides_t": (2, 2, 2),
}


def is_hf_folder(path: Path) -> bool:
    """Whether the folder says that it is a model of Hugging Face's library."""
    return (path / "config.json").is_file()


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadFormat(f"{path} cannot be read as JSON ({error}); get it again") from error
    if not isinstance(found, dict):
        raise BadFormat(f"{path} holds no settings; get it again")
    return found


def _codec(settings: Json, rate: int) -> CodecConfig:
    own = settings.get("vqvae_config", {})
    levels = len(own.get("res_downs_t", (3, 2, 2)))
    return CodecConfig(
        sample_rate=rate,
        downs=tuple(own.get("res_downs_t", (3, 2, 2))),
        strides=tuple(own.get("res_strides_t", (2, 2, 2))),
        embed_width=own.get("embed_dim", 64),
        bins=own.get("nb_discrete_codes", 2048),
        width=own.get("res_conv_width", 32),
        depth=own.get("res_conv_depth", 4),
        multipliers=tuple(own.get("multipliers", (2, 1, 1)) or (1,) * levels),
        m_conv=own.get("res_convolution_multiplier", 1),
        dilation_growth=own.get("res_dilation_growth_rate", 3),
        dilation_cycle=own.get("res_dilation_cycle"),
        residual_scale=bool(own.get("conv_res_scale", False)),
        codebook_decay=own.get("lmu", 0.99),
        commit=own.get("commit", 0.02),
    )


def _order(settings: Json, config: Path) -> int:
    pattern = settings["attention_pattern"]
    if pattern not in _ORDERS:
        raise BadFormat(f"{config} asks for the attention '{pattern}'; known are {', '.join(_ORDERS)}")
    return _ORDERS[pattern]


def _encoder(settings: Json, config: Path) -> EncoderConfig:
    own = _PRIOR_DEFAULTS | dict(settings)
    return EncoderConfig(
        width=own["hidden_size"],
        depth=own["num_layers"],
        heads=own["n_heads"],
        attention_order=_order(own, config),
        blocks=own["blocks"],
        m_attn=own["attention_multiplier"],
        m_mlp=own["mlp_multiplier"],
        init_scale=own["init_scale"],
        residual_scale=bool(own["attn_res_scale"]),
    )


def _lyrics(own: Json, order: int, config: Path) -> LyricsConfig | None:
    joint = own["is_encoder_decoder"]
    if not own["nb_relevant_lyric_tokens"] or not (joint or own["encoder_config"]):
        return None
    if own["lyric_vocab_size"] not in (79, 80):
        raise BadFormat(
            f"{config} has {own['lyric_vocab_size']} characters; Jukebox's vocabularies have 80 (v2) or 79 (v3)"
        )
    layer, head = own["alignment_layer"], own["alignment_head"]
    readable = (
        layer is not None
        and head is not None
        and layer < own["num_layers"]
        and head < own["n_heads"]
        and ORDERS[order](layer) in (Kind.LYRICS, Kind.PRIME)
    )
    return LyricsConfig(
        tokens=own["nb_relevant_lyric_tokens"],
        vocabulary="v3" if own["lyric_vocab_size"] == 79 else "v2",
        loss_fraction=own["encoder_loss_fraction"],
        encoder=None if joint else _encoder(own["encoder_config"], config),
        alignment=(layer, head) if readable else None,
    )


def _prior(own: Json, place: int, codec: CodecConfig, version: ReleasedVersion, config: Path) -> PriorConfig:
    """The prior at ``place`` from the top. Whether its decoder is merged is the tensors' to say."""
    level = codec.levels - 1 - place
    top, labelled = place == 0, bool(own["metadata_conditioning"])
    genres, artists = own["metadata_dims"] if labelled else (0, 0)
    order = _order(own, config)
    time = upper = None
    if top and labelled:
        time = TimeConfig(
            bins=own["timing_dims"], min_seconds=own["min_duration"], max_seconds=own["max_duration"]
        )
    if not top:
        upper = UpperConfig(
            bins=own["music_vocab_size"],
            width=own["res_conv_width"],
            depth=own["res_conv_depth"],
            dilation_growth=own["res_dilation_growth_rate"],
            dilation_cycle=own["res_dilation_cycle"],
            m_conv=own["res_convolution_multiplier"],
            residual_scale=bool(own["conv_res_scale"]),
            ups=own["res_downs_t"][place],
            stride=own["res_strides_t"][place],
        )
    return PriorConfig(
        level=level,
        n_ctx=own["n_ctx"],
        hop=codec.hops[level],
        sample_rate=codec.sample_rate,
        bins=own["music_vocab_size"],
        width=own["hidden_size"],
        depth=own["num_layers"],
        heads=own["n_heads"],
        attention_order=order,
        blocks=own["blocks"],
        m_attn=own["attention_multiplier"],
        m_mlp=own["mlp_multiplier"],
        init_scale=own["init_scale"],
        residual_scale=bool(own["attn_res_scale"]),
        merged_decoder=bool(own["merged_decoder"]),
        artists=artists,
        genres=genres,
        label_version=version if labelled else "own",
        time=time,
        upper=upper,
        lyrics=_lyrics(own, order, config) if top else None,
    )


def _versions(folder: Path, priors: list[dict[str, Any]]) -> list[ReleasedVersion]:
    """Label version of each prior from the top: by the size of its tables, else as the tokenizer says."""
    tokenizer = folder / "tokenizer_config.json"
    listed = _json(tokenizer).get("version") if tokenizer.is_file() else None
    by_rows = {rows: version for version, rows in RELEASED_ROWS.items()}
    found: list[ReleasedVersion] = []
    for place, own in enumerate(priors):
        genres, artists = own["metadata_dims"] or (0, 0)
        told = listed[place] if isinstance(listed, list) and place < len(listed) else None
        guess: ReleasedVersion = "v3" if told == "v3" else "v2"
        found.append(by_rows.get((artists, genres), guess))
    return found


def _tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of the folder: one file or shards, safetensors or pickled."""
    for stem, read in (
        ("model.safetensors", read_header),
        ("pytorch_model.bin", lambda path: read_checkpoint(path).tensors),
    ):
        index = folder / f"{stem}.index.json"
        names = [stem]
        if index.is_file():
            names = sorted(set(map(str, _json(index).get("weight_map", {}).values())))
        elif not (folder / stem).is_file():
            continue
        found: dict[str, StoredTensor] = {}
        for name in names:
            shard = folder / Path(name).name
            if not shard.is_file():
                raise NoFile(f"{shard} is missing; the folder is incomplete, download the whole model")
            found |= read(shard)
        return found
    raise NoFile(f"{folder} holds neither model.safetensors nor pytorch_model.bin; download the whole model")


def _below(tensors: Mapping[str, StoredTensor], prefix: str) -> dict[str, StoredTensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _is_merged(tensors: Mapping[str, StoredTensor], said: bool) -> bool:
    """Whether the output table is a table of its own: files may say so of priors that were trained with one."""
    copy, original = TIED["hf"]
    if not said or copy not in tensors:
        return False
    return original not in tensors or not tensors[copy].same_as(tensors[original])


def _configured(folder: Path, settings: Json) -> list[dict[str, Any]]:
    """Settings of each prior from the top, with what the top of the file says in their place."""
    listed = settings.get("prior_config_list")
    if listed is None:
        listed = [settings[key] for key in sorted(settings) if key.startswith("prior_") and key[6:].isdigit()]
    if not listed:
        raise BadFormat(
            f"{folder / 'config.json'} describes no priors; give the folder of a whole Jukebox model"
        )
    shared = {key: settings.get(key, _SHARED_DEFAULTS[key]) for key in _SHARED}
    codes = settings.get("vqvae_config", {}).get("nb_discrete_codes", 2048)
    defaults = _PRIOR_DEFAULTS | {"music_vocab_size": codes, "merged_decoder": True}
    return [defaults | own | shared for own in listed]


def plan_hf(folder: Path, name: str | None, read_labels: ReadLabels | None) -> Plan:
    """What importing a Hugging Face folder will write. Raises NoFile for a missing part, BadFormat for a wrong one."""
    config_file = folder / "config.json"
    settings = _json(config_file)
    if settings.get("model_type") != "jukebox":
        raise BadFormat(f"{config_file} is of a '{settings.get('model_type')}' model; give a Jukebox folder")
    configured = _configured(folder, settings)
    tensors = _tensors(folder)
    versions = _versions(folder, configured)
    parts = []
    try:
        codec = _codec(settings, configured[0]["sampling_rate"])
        for place, own in enumerate(configured):
            below = _below(tensors, f"priors.{place}.")
            own = own | {"merged_decoder": _is_merged(below, own["merged_decoder"])}
            prior = _prior(own, place, codec, versions[place], config_file)
            parts.append((prior, take(prior, below, "hf", f"{folder} (priors.{place})")))
    except (ValidationError, IndexError, TypeError) as error:
        words = sentence(error) if isinstance(error, ValidationError) else str(error)
        raise BadFormat(f"{config_file} describes no model: {words}") from error
    codec_tensors = take(codec, _below(tensors, "vqvae."), "hf", f"{folder} (vqvae)")
    return plan_import(name or _plain_name(folder), (codec, codec_tensors), reversed(parts), read_labels)


def _plain_name(folder: Path) -> str:
    """The model's name by its folder's, also where that lies in the library's cache (``models--owner--name``)."""
    folder = folder.resolve()
    if folder.parent.name == "snapshots":
        folder = folder.parent.parent
    return folder.name.rpartition("--")[2].removeprefix("jukebox-").replace("-", "_")


def json_labels(folder: Path) -> ReadLabels:
    """The label lists in a Hugging Face folder: ``artists.json`` and ``genres.json``."""

    def read(version: ReleasedVersion, rows: tuple[int, int]) -> LabelVocabulary:
        require_labels([folder / "artists.json", folder / "genres.json"])
        return read_label_json(folder, version, rows)

    return read
