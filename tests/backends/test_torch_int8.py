"""Weights in 8 bits: how far they may be off, what the starter loses by them, and that they load by name."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.backends.torch_backend import TorchBackend
from engine.prior.int8 import Int8Linear, quantise, quantised
from engine.prior.labels import Labels, make_labels
from engine.prior.patterns import Kind
from engine.prior.prior import Prior
from engine.prior.transformer import Linear
from engine.request import Style
from engine.store import load_model
from engine.store.home import split_precision
from engine.store.memory import plan_memory, require_memory
from tests.backends.priors import FORMS, conditions_of, form_prior, tokens_of
from tests.prior.build import tiny_model

RIFFS = Path(__file__).resolve().parents[2] / "presets" / "riffs"


@pytest.mark.parametrize("std", [1e-5, 0.02, 3.0])
def test_every_weight_is_off_by_half_a_scale_at_most(std: float) -> None:
    torch.manual_seed(0)
    weight = torch.randn(50, 30) * std
    weight[:, 7] = 0.0
    numbers, scale = quantised(weight)
    assert numbers.dtype == torch.int8 and numbers.shape == (30, 50) and scale.shape == (30,)
    largest = weight.abs().amax(0)
    filled = largest > 0
    torch.testing.assert_close(scale[filled] * 127, largest[filled])
    off = (numbers.t() * scale - weight).abs()
    assert bool((off <= scale * (0.5 + 1e-5)).all())
    assert numbers.abs().amax(1).tolist() == [127 if full else 0 for full in filled]


def test_a_product_is_off_by_no_more_than_theory_allows() -> None:
    """|x . (q s - w)| <= s / 2 * sum |x|, and as noise of s / sqrt(12) a weight about s * |x| / sqrt(12)."""
    torch.manual_seed(0)
    linear = Linear(400, 300, 0.02)
    torch.nn.init.normal_(linear.bias)
    held, x = Int8Linear(linear), torch.randn(20, 400)
    with torch.no_grad():
        off = held(x) - linear(x)
    assert bool((off.abs() <= held.scale / 2 * x.abs().sum(1, keepdim=True) * 1.001).all())
    expected = held.scale / math.sqrt(12) * x.norm(dim=1, keepdim=True)
    assert float((off / expected).std()) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_neither_overflows_nor_loses_small_scales(dtype: torch.dtype) -> None:
    """Sums of unscaled numbers would be beyond float16, and scales of small weights below its exact ones."""
    linear = Linear(4800, 16, 0.0)
    torch.nn.init.constant_(linear.weight, 1e-4)
    held = Int8Linear(linear)
    x = torch.full((1, 4800), 2.0)
    assert float(x @ held.weight.float()[0]) > torch.finfo(torch.float16).max
    assert float(held.scale[0]) < torch.finfo(torch.float16).smallest_normal
    with torch.no_grad():
        exact = linear(x)
        held.bias.data = held.bias.data.to(dtype)
        torch.testing.assert_close(held(x.to(dtype)).float(), exact, rtol=0.01, atol=0)


@pytest.mark.parametrize("form", FORMS)
def test_logits_of_a_prior_are_off_as_the_noise_of_its_matrices(form: str) -> None:
    """A matrix adds about s / sqrt(12) = max / (127 sqrt(12)) a weight: 0.6 % of normal weights whose largest is
    2.6 sigma; four matrices a layer add up as squares, and what a layer adds to itself can double it."""
    prior, held = form_prior(form), form_prior(form)
    quantise(held)
    assert not any(isinstance(part, Linear) for part in held.modules())
    tokens = tokens_of(prior, 2)
    with torch.no_grad():
        exact = prior(tokens, conditions_of(prior, 2))
        found = held(tokens, conditions_of(held, 2))
    noise = 0.006 * math.sqrt(4 * prior.config.depth)
    assert 0 < (found - exact).norm() < 2 * noise * exact.norm()


def starter_bits(name: str, codes: torch.Tensor) -> torch.Tensor:
    model = load_model(name, levels=[2], dtype=torch.float32)
    prior = model.priors[2]
    row = make_labels(Style(), 60 * 44100, 0, model.config.vocabulary(2))
    with torch.no_grad():
        return prior.loss(codes, Labels.stack([row] * len(codes)))


def test_the_starter_is_as_good_in_8_bits() -> None:
    """Bits per token of the top prior, on random codes and on riffs it was not trained on, within 0.02."""
    codec = load_model("starter", levels=[]).codec
    samples = np.concatenate(
        [soundfile.read(path, dtype="float32", always_2d=True)[0][:, 0] for path in riffs()]
    )
    riff = codec.encode(torch.from_numpy(samples[: 128 * 1024]), (2,))[2].reshape(1, -1)
    torch.manual_seed(0)
    for codes in (torch.randint(0, 2048, (2, 1024)), riff):
        exact, found = starter_bits("starter", codes), starter_bits("starter@int8", codes)
        assert not torch.equal(found, exact)
        assert float((found - exact).abs().max()) < 0.02


def riffs() -> list[Path]:
    found = sorted(path for path in RIFFS.iterdir() if path.suffix in (".wav", ".flac"))
    assert found
    return found


def test_the_name_loads_it_and_the_plan_is_what_it_takes() -> None:
    assert split_precision("starter@int8") == ("starter", "int8")
    model = load_model("starter@int8")
    plan = plan_memory(model.config, lanes=2, precision="int8")
    for level in plan.levels:
        prior = model.priors[level.level]
        # Four a layer; one more where it reads lyrics, and one between their encoder and the prior.
        wanted = 4 * prior.config.depth
        if (lyrics := prior.config.lyrics) is not None and lyrics.encoder is not None:
            wanted += prior.config.kinds.count(Kind.LYRICS) + 4 * lyrics.encoder.depth + 1
        assert sum(isinstance(part, Int8Linear) for part in prior.modules()) == wanted
        assert not any(parameter.requires_grad for parameter in prior.parameters())
        tensors = [*prior.parameters(), *prior.buffers()]
        assert level.weights == sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        caches = TorchBackend(model).runner(level.level, 2).caches
        held = [tensor for cache in caches for tensor in (cache.keys, cache.values)]
        assert level.caches == sum(tensor.numel() * tensor.element_size() for tensor in held)
    assert require_memory(model.config, 10**12, precision="int8").precision == "int8"


def test_loading_quantises_what_is_in_the_file(tmp_path: Path) -> None:
    """The same numbers as a model that was loaded whole and quantised then."""
    tiny_model(tmp_path)
    for level in range(3):
        whole: Prior = load_model(tmp_path).priors[level]
        quantise(whole)
        loaded = load_model(f"{tmp_path}@int8", dtype=torch.float32).priors[level]
        wanted, found = whole.state_dict(), loaded.state_dict()
        assert wanted.keys() == found.keys()
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)
