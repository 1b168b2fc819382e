"""Random weights in released shapes: what is made, what is cut off, and what there is no room for."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest
import torch

from engine.bench.random_model import random_prior, require_room, shapes_named, shorten
from engine.errors import NoMemory
from engine.prior.config import PriorConfig
from engine.store.released import PRIORS
from tests.prior.build import prior_config

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "depth"), [("5b", 72), ("5b_lyrics", 79), ("1b_lyrics", 72), ("starter", 10)]
)
def test_shapes_are_those_of_the_release(name: str, depth: int) -> None:
    config = shapes_named(name)
    assert (config.name, config.priors[2].depth, len(config.priors)) == (name, depth, 3)


def test_shorter_priors_are_whole_but_for_their_layers() -> None:
    config, cut = shorten(shapes_named("5b_lyrics"), 2)
    assert cut == "2 of 72 layers at level 0, 2 of 72 layers at level 1, 2 of 79 layers at level 2"
    top = PriorConfig.model_validate(config.priors[2].model_dump())  # still a prior that is allowed
    assert (top.depth, top.width, top.n_ctx) == (2, 4800, 8192)
    assert top.lyrics is not None and top.lyrics.encoder is not None and top.lyrics.encoder.depth == 2
    same, nothing = shorten(config, 100)
    assert same is config and nothing is None


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8"])
def test_random_priors_speak_in_every_precision(precision: str) -> None:
    config = prior_config(2, width=64, depth=6, init_scale=1.0)
    prior = random_prior(config, CPU, precision)  # type: ignore[arg-type]
    sizes = {tensor.element_size() for tensor in prior.transformer.state_dict().values()}
    assert sizes == {"fp32": {4}, "fp16": {2}, "bf16": {2}, "int8": {1, 2, 4}}[precision]
    start = torch.zeros(2, 1, 64, dtype=prior.embed.dtype)
    said = prior.transformer.float()(start.float() + torch.randn(2, 64, 64))
    assert bool(torch.isfinite(said).all()) and float(said.std()) > 0.05


def test_a_prior_is_as_loud_with_72_layers_as_it_may_be_in_half_precision() -> None:
    config = PriorConfig.model_validate(
        PRIORS["upsampler_level_1"].model_dump() | {"width": 128, "upper": None, "level": 2, "n_ctx": 256, "artists": 0,
                                                    "genres": 0, "label_version": "own"}
    )  # fmt: skip
    said = random_prior(config, CPU).transformer(torch.randn(1, 256, 128))
    assert 0.1 < float(said.abs().max()) < 1000.0  # float16 ends at 65504


def test_too_little_memory_is_said_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=4_000_000_000))
    config = shapes_named("5b_lyrics")
    with pytest.raises(NoMemory) as caught:
        require_room(config, range(3), 4, "fp16", CPU)
    words = caught.value.message
    assert words.startswith("'5b_lyrics' needs ") and "as fp16 with 4 lanes" in words
    assert (
        "and 4.0 GB are free; give a smaller --precision, fewer --lanes, one --level, or --layers N" in words
    )
    short, _ = shorten(config, 2)
    require_room(short, [0], 1, "fp16", CPU)
