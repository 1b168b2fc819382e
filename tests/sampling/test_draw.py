"""Noise and drawing: counter-based, unbiased, filtered as scipy and hand-written probabilities say."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from engine.request import LevelSampling
from engine.sampling.draw import draw, keep_top_k, keep_top_p
from engine.sampling.noise import uniforms


def test_noise_is_numpys_philox_stream() -> None:
    """The n-th number of a (seed, level) is that of numpy's own generator with this key."""
    reference = np.random.Generator(np.random.Philox(key=[7, 2])).random(1000)
    np.testing.assert_array_equal(uniforms(7, 2, 0, 1000), reference)


@given(start=st.integers(0, 10_000), length=st.integers(0, 50), cut=st.integers(0, 50))
def test_any_span_can_be_drawn_alone(start: int, length: int, cut: int) -> None:
    whole = uniforms(3, 1, start, start + length)
    at = min(cut, length)
    parts = np.concatenate((uniforms(3, 1, start, start + at), uniforms(3, 1, start + at, start + length)))
    np.testing.assert_array_equal(whole, parts)


def test_noise_is_uniform_and_differs_by_seed_and_level() -> None:
    a = uniforms(1, 0, 0, 20_000)
    assert scipy.stats.kstest(a, "uniform").pvalue > 0.01
    assert a.min() >= 0 and a.max() < 1
    for other in (uniforms(2, 0, 0, 20_000), uniforms(1, 1, 0, 20_000)):
        assert abs(np.corrcoef(a, other)[0, 1]) < 0.03


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_draws_follow_the_softmax(temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal(12).astype(np.float32) * 2
    settings = LevelSampling(temperature=temperature)
    counts = np.bincount([draw(logits, u, settings) for u in rng.random(20_000)], minlength=12)
    expected = scipy.special.softmax(logits.astype(np.float64) / temperature)
    assert scipy.stats.chisquare(counts, expected * 20_000).pvalue > 0.001


def test_top_k_keeps_the_largest() -> None:
    logits = np.array([0.0, 3.0, 1.0, 2.0])
    assert keep_top_k(logits, 2).tolist() == [-np.inf, 3.0, -np.inf, 2.0]
    assert keep_top_k(logits, 9).tolist() == logits.tolist()
    assert {draw(logits.astype(np.float32), u, LevelSampling(top_k=1)) for u in (0.0, 0.5, 0.999)} == {1}


def test_top_p_keeps_the_token_that_crosses() -> None:
    """Probabilities 0.5, 0.3, 0.15, 0.05: at 0.6 the second crosses and stays (facts/jukebox.md §5.3)."""
    logits = np.log(np.array([0.15, 0.5, 0.05, 0.3]))
    assert np.isfinite(keep_top_p(logits, 0.6)).tolist() == [False, True, False, True]
    assert np.isfinite(keep_top_p(logits, 0.4)).tolist() == [False, True, False, False]
    assert np.isfinite(keep_top_p(logits, 1.0)).all()


def test_extreme_logits_still_give_a_token() -> None:
    logits = np.array([-1e30, 1e30, -1e30], dtype=np.float32)
    assert draw(logits, 0.999999, LevelSampling()) == 1
    assert draw(np.zeros(2048, dtype=np.float32), 1 - 2**-53, LevelSampling()) == 2047
