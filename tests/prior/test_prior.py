"""Priors: what each attention kind sees (by gradient), cached steps against the full forward, conditioning."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from engine.errors import NoStyle
from engine.prior.conditioning import RangeEmbedding
from engine.prior.config import PriorConfig, TimeConfig
from engine.prior.labels import Labels, make_labels
from engine.prior.patterns import ORDERS, Kind
from engine.prior.prior import Prior
from engine.prior.transformer import Attention
from engine.prior.vocabulary import LabelVocabulary
from engine.request import Style
from tests.often import often
from tests.prior.build import ARTISTS, GENRES, prior_config

RATE = 44100
NAMES = LabelVocabulary.own(ARTISTS, GENRES)


def labels(lanes: int = 2) -> Labels:
    row = make_labels(Style(artists={"ada": 1}, genres={"house": 3, "dub": 1}), RATE * 10, RATE, NAMES)
    return Labels.stack([row] * lanes)


def allowed(kind: Kind, i: int, j: int, block_ctx: int) -> bool:
    """facts/jukebox.md §2.3, written out position by position."""
    row_i, row_j = i // block_ctx, j // block_ctx
    if kind is Kind.DENSE:
        return j <= i
    if kind is Kind.ROW:
        return row_i == row_j and j <= i
    if kind is Kind.COLUMN:
        return i % block_ctx == j % block_ctx and j <= i
    return row_j == row_i - 1


@pytest.mark.parametrize("kind", [Kind.DENSE, Kind.ROW, Kind.COLUMN, Kind.PREVIOUS_ROW])
def test_attention_pattern_by_gradient(kind: Kind) -> None:
    config = prior_config(n_ctx=24, blocks=4, width=8, heads=2)
    torch.manual_seed(0)
    attention = Attention(config.shape, kind)
    x = torch.randn(1, 24, 8, requires_grad=True)
    y = attention(x)
    for i in range(24):
        (gradient,) = torch.autograd.grad(y[0, i].pow(2).sum(), x, retain_graph=True)
        seen = gradient[0].abs().sum(1) > 0
        # a query always depends on its own input unless nothing may be read at all
        own = {i} if kind is not Kind.PREVIOUS_ROW or i >= 6 else set()
        expected = {j for j in range(24) if allowed(kind, i, j, 6)} | own
        assert set(seen.nonzero()[:, 0].tolist()) == expected, f"position {i}"


def test_the_first_row_of_previous_row_attention_is_the_projections_bias() -> None:
    config = prior_config(n_ctx=24, blocks=4, width=8, heads=2)
    attention = Attention(config.shape, Kind.PREVIOUS_ROW)
    torch.nn.init.normal_(attention.c_proj.bias)
    y = attention(torch.randn(1, 24, 8))
    torch.testing.assert_close(y[0, :6], attention.c_proj.bias.expand(6, -1))


def test_orders_of_the_facts() -> None:
    """facts/jukebox.md §2.3: order 2 is row, column, previous row, repeated."""
    assert [ORDERS[2](d) for d in range(6)] == [1, 2, 3, 1, 2, 3]
    assert [ORDERS[0](d) for d in range(3)] == [0, 0, 0]
    assert [ORDERS[9](d) for d in range(5)] == [1, 2, 3, 0, 1]


@pytest.mark.parametrize("order", often((0, 2, 9), but=(0,)))
@pytest.mark.parametrize("level", [0, 2])
def test_cached_steps_equal_the_full_forward_from_every_prefix(order: int, level: int) -> None:
    """Every prefix length, partial rows included, then steps to the end of the window."""
    torch.manual_seed(order)
    prior = Prior(prior_config(level, attention_order=order, n_ctx=40, blocks=5)).eval()
    tokens = torch.randint(0, 16, (2, 40))
    upper = torch.randint(0, 16, (2, 10)) if level == 0 else None
    with torch.no_grad():
        conditions = prior.condition(labels(), upper)
        full = prior(tokens, conditions)
    assert float(full.std()) > 0.5
    caches = prior.caches(2)  # one set for all prefixes: what an earlier window left must not matter
    for prefix in range(40):
        prior.prefill(caches, conditions, tokens[:, :prefix])
        for position in range(prefix, 40):
            logits = prior.step(caches, conditions, tokens[:, position - 1] if position else None, position)
            torch.testing.assert_close(logits, full[:, position], rtol=0, atol=2e-5)


def test_lanes_do_not_touch_each_other() -> None:
    prior = Prior(prior_config()).eval()
    tokens = torch.randint(0, 16, (3, 64))
    with torch.no_grad():
        together = prior(tokens, prior.condition(labels(3), None))
        alone = prior(tokens[1:2], prior.condition(labels(1), None))
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-5)


def test_a_short_window_is_the_beginning_of_a_long_one() -> None:
    prior = Prior(prior_config()).eval()
    tokens = torch.randint(0, 16, (1, 64))
    with torch.no_grad():
        conditions = prior.condition(labels(1), None)
        torch.testing.assert_close(
            prior(tokens[:, :13], conditions), prior(tokens, conditions)[:, :13], rtol=0, atol=1e-5
        )


def test_loss_is_bits_per_token_of_the_logits() -> None:
    prior = Prior(prior_config())
    tokens = torch.randint(0, 16, (2, 64))
    logits = prior(tokens, prior.condition(labels(), None))
    nats = F.nll_loss(logits.log_softmax(-1).flatten(0, 1), tokens.flatten(), reduction="none").view(2, 64)
    torch.testing.assert_close(prior.loss(tokens, labels()), nats.mean(1) / 0.6931471805599453)


def test_an_untrained_prior_of_the_paper_scale_is_near_uniform() -> None:
    prior = Prior(prior_config(init_scale=0.1, bins=16))
    bits = prior.loss(torch.randint(0, 16, (2, 64)), labels()).mean().item()
    assert bits == pytest.approx(4.0, abs=0.05)


def test_conditions_matter_and_mixes_lie_between() -> None:
    prior = Prior(prior_config()).eval()
    tokens = torch.randint(0, 16, (1, 64))

    def start(**weights: float) -> torch.Tensor:
        mix = make_labels(Style(artists=weights), RATE * 10, 0, NAMES)
        return prior.condition(mix, None).start

    both = start(ada=1, bix=1)
    torch.testing.assert_close(both, (start(ada=1) + start(bix=1)) / 2)  # genre row is the same in all
    with torch.no_grad():
        a = prior(tokens, prior.condition(labels(1), None))
        b = prior(tokens, prior.condition(replace(labels(1), offset=torch.tensor([RATE * 8])), None))
    assert not torch.allclose(a, b)  # the place in the song is heard


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(NoStyle, match="the model knows no genre 'houze'; nearest: house"):
        make_labels(Style(genres={"houze": 1}), 1, 0, NAMES)
    unnamed = make_labels(Style(), 1, 0, NAMES)
    assert unnamed.artists.tolist() == [[1, 0, 0]] and unnamed.genres.tolist() == [[1, 0, 0, 0]]


def test_range_embedding_bins() -> None:
    """facts/jukebox.md §4.1: position_i = start + (end - start) i / n; bin = floor(bins (pos - lo) / (hi - lo))."""
    table = RangeEmbedding(10, 0.0, 100.0, 1, 0.0)
    table.weight.data = torch.arange(10.0).unsqueeze(1)
    found = table(torch.tensor([20.0]), torch.tensor([60.0]), 8)[0, :, 0]
    assert found.tolist() == [2, 2, 3, 3, 4, 4, 5, 5]  # 20, 25, 30, ... 55
    assert table(torch.tensor([99.99]))[0, 0, 0] == 9
    assert table(torch.tensor([250.0]))[0, 0, 0] == 9  # beyond the range: the last bin, not an error


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_ctx": 100, "blocks": 8}, "n_ctx 100 is not a multiple of blocks 8; 5 blocks would do"),
        ({"heads": 5}, "attention width 12 .* is not a multiple of heads 5"),
        ({"attention_order": 77}, "attention_order 77 is unknown; choose from"),
        ({"artists": 0}, "artists and genres are given together or not at all"),
    ],
)
def test_configuration_says_what_is_wrong(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        prior_config(**changes)


def test_time_range_has_an_order() -> None:
    with pytest.raises(ValidationError, match=r"min_seconds 9.0 must be below max_seconds 8.0"):
        TimeConfig(min_seconds=9, max_seconds=8)


def released(**shape: int | float | bool) -> int:
    values: dict[str, object] = {"n_ctx": 8192, "blocks": 128, "artists": 4111, "genres": 120, "bins": 2048}
    with torch.device("meta"):
        return sum(p.numel() for p in Prior(PriorConfig(**(values | shape))).parameters())


def test_parameter_counts_of_released_top_priors() -> None:
    """facts/jukebox.md §2.1, unique parameters: prior_5b, and the parts of it."""
    top = {"level": 2, "hop": 128, "time": {"bins": 128, "min_seconds": 60, "max_seconds": 600}}
    assert released(width=4800, depth=72, heads=8, merged_decoder=True, **top) == 5_060_452_800


def test_parameter_counts_of_released_upsamplers() -> None:
    """facts/jukebox.md §2.1: 981,298,176 each."""
    upper = {"width": 1024, "depth": 16, "dilation_growth": 3, "dilation_cycle": 8}
    assert released(level=1, hop=32, width=1920, depth=72, heads=1, upper=upper) == 981_298_176
