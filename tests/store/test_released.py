"""The released shapes: every tensor of every released file has a place in ours, and nothing is over."""

from __future__ import annotations

import pytest
import torch

from engine.codec.vqvae import Codec
from engine.prior.config import PriorConfig
from engine.prior.prior import Prior
from engine.store.folder import TRAINING_BUFFERS
from engine.store.keys import TIED, hf_codec_name, hf_prior_name, openai_codec_name, openai_prior_name
from engine.store.released import CODECS, PRIORS, TOPS, on_codec, released_model
from tests.store.tables import Table, released_table

# Table name to the configuration it lists.
PRIOR_TABLES: dict[str, PriorConfig] = {
    "upsampler_level_0": PRIORS["upsampler_level_0"],
    "upsampler_level_1": PRIORS["upsampler_level_1"],
    "prior_5b": PRIORS["prior_5b"],
    "prior_5b_lyrics": PRIORS["prior_5b_lyrics"],
    "prior_1b_lyrics": PRIORS["prior_1b_lyrics"],
    "small_prior_on_vqvae": PRIORS["small_prior"],
    "small_prior_on_small_vqvae": on_codec(PRIORS["small_prior"], CODECS["small_vqvae"]),
    "small_labelled_prior_on_vqvae": PRIORS["small_labelled_prior"],
    "small_single_enc_dec_prior_on_vqvae": PRIORS["small_single_enc_dec_prior"],
    "small_sep_enc_dec_prior_on_vqvae": PRIORS["small_sep_enc_dec_prior"],
    "small_upsampler_on_small_vqvae": PRIORS["small_upsampler"],
}


def prior_shapes(config: PriorConfig) -> Table:
    with torch.device("meta"):
        prior = Prior(config)
    return {name: tuple(value.shape) for name, value in prior.state_dict().items()}


def codec_shapes(name: str) -> Table:
    with torch.device("meta"):
        codec = Codec(CODECS[name])
    return {
        key: tuple(value.shape)
        for key, value in codec.state_dict().items()
        if not key.endswith(TRAINING_BUFFERS)
    }


def with_tied(table: Table, config: PriorConfig, naming: str) -> Table:
    """The names plus the second copy of a table that a file holds when its decoder is not merged."""
    copy, original = TIED[naming]
    return table if config.merged_decoder else table | {copy: table[original]}


@pytest.mark.parametrize("table", sorted(PRIOR_TABLES))
def test_every_tensor_of_a_released_prior_is_ours(table: str) -> None:
    config = PRIOR_TABLES[table]
    ours = prior_shapes(config)
    named = {openai_prior_name(name): shape for name, shape in ours.items()}
    assert len(named) == len(ours)  # one to one
    assert with_tied(named, config, "openai") == released_table(table)


@pytest.mark.parametrize("name", sorted(CODECS))
def test_every_tensor_of_a_released_codec_is_ours(name: str) -> None:
    ours = codec_shapes(name)
    named = {openai_codec_name(key, CODECS[name]): shape for key, shape in ours.items()}
    assert len(named) == len(ours)
    assert named == released_table(name)


@pytest.mark.parametrize(("model", "tensors"), [("1b_lyrics", 3553), ("5b_lyrics", 3875)])
def test_every_tensor_of_a_hugging_face_model_is_ours(model: str, tensors: int) -> None:
    """facts/jukebox.md §6.4: prefixes, and levels counted from the top."""
    named = {f"vqvae.{hf_codec_name(key)}": shape for key, shape in codec_shapes("vqvae").items()}
    for place, prior in enumerate((TOPS[model], "upsampler_level_1", "upsampler_level_0")):
        below = {hf_prior_name(key): shape for key, shape in prior_shapes(PRIORS[prior]).items()}
        below = with_tied(below, PRIORS[prior], "hf")
        named |= {f"priors.{place}.{key}": shape for key, shape in below.items()}
    assert len(named) == tensors
    assert named == released_table(f"hf_{model}")


@pytest.mark.parametrize(
    ("name", "tensors"),  # facts/jukebox.md §6.3
    [
        ("upsampler_level_0", 1006),
        ("upsampler_level_1", 1006),
        ("prior_5b", 872),
        ("prior_5b_lyrics", 1194),
        ("prior_1b_lyrics", 872),
    ],
)
def test_tensor_counts(name: str, tensors: int) -> None:
    assert len(with_tied({openai_prior_name(k): s for k, s in prior_shapes(PRIORS[name]).items()},
                         PRIORS[name], "openai")) == tensors  # fmt: skip


def parameters(config: PriorConfig) -> int:
    with torch.device("meta"):
        prior = Prior(config)
    return sum(p.numel() for p in prior.parameters())


@pytest.mark.parametrize(
    ("name", "count"),  # facts/jukebox.md §2.1
    [
        ("upsampler_level_0", 981_298_176),
        ("upsampler_level_1", 981_298_176),
        ("prior_5b", 5_060_452_800),
        ("prior_5b_lyrics", 5_640_506_800),
        ("prior_1b_lyrics", 942_643_200),
    ],
)
def test_released_parameter_counts(name: str, count: int) -> None:
    assert parameters(PRIORS[name]) == count


@pytest.mark.parametrize(
    ("table", "millions"),  # facts/jukebox.md §2.2
    [
        ("small_prior_on_vqvae", 161.9),
        ("small_prior_on_small_vqvae", 160.8),
        ("small_labelled_prior_on_vqvae", 162.2),
        ("small_single_enc_dec_prior_on_vqvae", 160.5),
        ("small_sep_enc_dec_prior_on_vqvae", 168.6),
        ("small_upsampler_on_small_vqvae", 218.0),
    ],
)
def test_recipe_parameter_counts(table: str, millions: float) -> None:
    assert round(parameters(PRIOR_TABLES[table]) / 1e6, 1) == millions


def test_small_codec_parameter_count() -> None:
    with torch.device("meta"):
        codec = Codec(CODECS["small_vqvae"])
    assert sum(p.numel() for p in codec.parameters()) == 586_050  # facts/jukebox.md §1.6
    assert CODECS["small_vqvae"].hops == (32, 256)


@pytest.mark.parametrize(
    ("name", "seconds"),  # one window of each level, facts/jukebox.md §2.1
    [
        ("5b", (1.486, 5.944, 23.777)),
        ("5b_lyrics", (1.486, 5.944, 23.777)),
        ("1b_lyrics", (1.486, 5.944, 17.833)),
    ],
)
def test_released_models(name: str, seconds: tuple[float, ...]) -> None:
    config = released_model(name)
    assert tuple(round(prior.window_samples / config.rate, 3) for prior in config.priors) == seconds
    assert config.priors[1].upper is not None and config.priors[0].upper is not None
    assert (config.priors[0].upper.residual_scale, config.priors[1].upper.residual_scale) == (False, True)
    versions = ["v2", "v2", "v3" if name == "1b_lyrics" else "v2"]
    assert [prior.label_version for prior in config.priors] == versions


def test_a_name_without_a_counterpart_is_refused() -> None:
    with pytest.raises(KeyError, match=r"the tensor 'levels.0.bottleneck.sum' has no name"):
        openai_codec_name("levels.0.bottleneck.sum", CODECS["vqvae"])
