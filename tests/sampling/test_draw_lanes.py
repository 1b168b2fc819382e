"""Lanes are drawn as each would be alone, and as the inverse transform of a distribution says."""

from __future__ import annotations

import numpy as np
import pytest

from engine.request import LevelSampling
from engine.sampling.draw import draw, draw_lanes


@pytest.mark.parametrize(
    "settings",
    [LevelSampling(), LevelSampling(temperature=0.7), LevelSampling(top_k=5), LevelSampling(top_p=0.6)],
)
def test_a_lane_draws_what_it_draws_alone(settings: LevelSampling) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        logits, uniforms = rng.normal(0, 3, (8, 300)).astype(np.float32), rng.random(8)
        alone = [draw(row, float(uniform), settings) for row, uniform in zip(logits, uniforms, strict=True)]
        assert draw_lanes(logits, uniforms, settings).tolist() == alone


def test_tokens_come_out_as_often_as_their_logits_say() -> None:
    wanted = np.array([0.5, 0.2, 0.0, 0.3])
    with np.errstate(divide="ignore"):
        logits = np.tile(np.log(wanted).astype(np.float32), (1000, 1))
    found = draw_lanes(logits, (np.arange(1000) + 0.5) / 1000, LevelSampling(temperature=1.0))
    np.testing.assert_allclose(np.bincount(found, minlength=4) / 1000, wanted, atol=1e-3)
