"""Drawing in torch: token for token what the processor draws, ties and edges included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.backends.torch_draw import device_draw, filter_of, threshold_of
from engine.request import LevelSampling
from engine.sampling.draw import draw_lanes

SETTINGS = [
    LevelSampling(temperature=temperature, **kept)
    for temperature in (0.3, 0.98, 1.0, 2.0)
    for kept in (
        {},
        {"top_k": 1},
        {"top_k": 7},
        {"top_k": 2048},
        {"top_p": 0.01},
        {"top_p": 0.9},
        {"top_p": 1.0},
    )
]


def drawn(logits: NDArray[np.float32], uniforms: NDArray[np.float64], settings: LevelSampling) -> list[int]:
    numbers = torch.tensor([settings.temperature, threshold_of(settings)], dtype=torch.float64)
    return device_draw(
        torch.from_numpy(logits), torch.from_numpy(uniforms), numbers[:1], filter_of(settings), numbers[1:]
    ).tolist()


def named(settings: LevelSampling) -> str:
    return settings.model_dump_json(exclude_defaults=True)


@pytest.mark.parametrize("settings", SETTINGS, ids=named)
def test_tokens_are_the_processors(settings: LevelSampling) -> None:
    rng = np.random.default_rng(1)
    logits = (rng.standard_normal((3000, 257)) * rng.uniform(0, 12, (3000, 1))).astype(np.float32)
    uniforms = rng.random(3000)
    assert drawn(logits, uniforms, settings) == draw_lanes(logits, uniforms, settings).tolist()


@pytest.mark.parametrize("settings", SETTINGS, ids=named)
def test_ties_are_the_processors(settings: LevelSampling) -> None:
    """Logits of few values: the k-th is one of many equals, and p is crossed among equals."""
    rng = np.random.default_rng(2)
    logits = rng.integers(-2, 3, (3000, 64)).astype(np.float32)
    uniforms = rng.random(3000)
    assert drawn(logits, uniforms, settings) == draw_lanes(logits, uniforms, settings).tolist()


@pytest.mark.parametrize("settings", SETTINGS, ids=named)
def test_edges(settings: LevelSampling) -> None:
    """The smallest and largest uniform numbers, logits that exclude all but one token, and bins of the models."""
    almost = 1 - 2.0**-53
    logits = np.zeros((6, 2048), np.float32)
    logits[2:4, 5] = 1e30
    logits[4:, :] = -np.inf
    logits[4:, 9] = 3.0
    uniforms = np.array([0.0, almost] * 3)
    found = drawn(logits, uniforms, settings)
    assert found == draw_lanes(logits, uniforms, settings).tolist()
    assert found[2:] == [5, 5, 9, 9] and found[0] == 0 and found[1] <= 2047


def test_probabilities_are_the_softmax() -> None:
    """A thousand even numbers fall on tokens as often as their probabilities say: 0.5, 0.2, 0, 0.3."""
    with np.errstate(divide="ignore"):
        logits = np.tile(np.log(np.array([0.5, 0.2, 0.0, 0.3])).astype(np.float32), (1000, 1))
    found = drawn(logits, (np.arange(1000) + 0.5) / 1000, LevelSampling(temperature=1.0))
    np.testing.assert_allclose(np.bincount(found, minlength=4) / 1000, [0.5, 0.2, 0, 0.3], atol=1e-3)


@pytest.mark.parametrize("settings", [LevelSampling(), LevelSampling(top_k=3), LevelSampling(top_p=0.5)])
def test_logits_that_are_not_finite_give_no_token(settings: LevelSampling) -> None:
    logits = np.zeros((3, 8), np.float32)
    logits[0, 3] = np.nan
    logits[1, 3] = np.inf
    assert drawn(logits, np.full(3, 0.4), settings)[:2] == [-1, -1]
    assert drawn(logits, np.full(3, 0.4), settings)[2] >= 0
