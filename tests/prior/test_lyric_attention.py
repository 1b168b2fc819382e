"""Lyrics in a top prior, both forms: what attention sees, cached steps, losses, where the lyrics are read."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from engine.prior.config import EncoderConfig, LyricsConfig, PriorConfig, Shape
from engine.prior.labels import Labels
from engine.prior.patterns import ORDERS, Kind
from engine.prior.prior import Prior
from engine.prior.transformer import Attention
from tests.prior.build import ARTISTS, prior_config

ENCODER = EncoderConfig(width=16, depth=4, heads=2, blocks=4, m_attn=0.5, init_scale=8.0)
SEPARATE: dict[str, Any] = {
    "attention_order": 8,
    "depth": 11,  # lyric attention at layer 9
    "lyrics": LyricsConfig(tokens=20, vocabulary="v2", encoder=ENCODER, alignment=(9, 1)),
}
JOINT: dict[str, Any] = {
    "attention_order": 12,
    "depth": 48,  # lyrics at 15 and 31, everything at 47
    "blocks": 7,
    "width": 12,
    "init_scale": 6.0,
    "lyrics": LyricsConfig(tokens=20, vocabulary="v3", alignment=(15, 0)),
}
FORMS = pytest.mark.parametrize("form", [SEPARATE, JOINT], ids=["separate", "joint"])


def lyric_prior(form: dict[str, Any], **changes: Any) -> Prior:
    """A prior that reads lyrics, with blocks that are no longer the identity they begin as."""
    prior = Prior(prior_config(**(form | changes))).eval()
    for name, parameter in prior.named_parameters():
        if name.endswith("c_proj.weight") and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.15)
    return prior


def labels(lanes: int = 2) -> Labels:
    artists, genres = F.one_hot(torch.tensor([1, 0]), 4).float().split(1)
    row = Labels(artists[:, : len(ARTISTS)], genres, torch.tensor([44100 * 10]), torch.tensor([44100]))
    return Labels.stack([row] * lanes)


def test_order_10_reads_lyrics_where_the_released_model_does_and_is_order_2_elsewhere() -> None:
    """facts/jukebox.md §2.3."""
    kinds = [ORDERS[10](layer) for layer in range(79)]
    assert [i for i, kind in enumerate(kinds) if kind == 6] == [18, 28, 38, 48, 58, 68, 78]
    assert [kind for kind in kinds if kind != 6] == [ORDERS[2](layer) for layer in range(72)]


def test_order_12_reads_the_first_positions_at_15_31_and_63_and_everything_at_47() -> None:
    """facts/jukebox.md §2.3."""
    kinds = [ORDERS[12](layer) for layer in range(72)]
    assert [i for i, kind in enumerate(kinds) if kind == 7] == [15, 31, 63]
    assert [i for i, kind in enumerate(kinds) if kind == 0] == [47]
    assert {kinds[i] for i in range(72) if i % 16 != 15} == {1, 2, 3}


@pytest.mark.parametrize("order, places", [(6, [3, 7, 11, 15]), (7, [15]), (8, [9])])
def test_other_orders_with_a_lyric_encoder(order: int, places: list[int]) -> None:
    """facts/jukebox.md §2.3."""
    assert [i for i in range(16) if ORDERS[order](i) == 6] == places


def test_prime_attention_sees_448_positions_for_384_characters() -> None:
    """The released 1b model's trap (facts/jukebox.md §2.3): the lyrics and the first 64 positions of music."""
    config = PriorConfig(
        level=2, n_ctx=6144, hop=128, width=8, depth=16, blocks=64, m_attn=0.5, attention_order=12,
        lyrics=LyricsConfig(tokens=384),
    )  # fmt: skip
    shape = config.shape
    assert (shape.ctx, shape.block_ctx, shape.prime) == (6528, 102, 448)
    torch.manual_seed(0)
    attention = Attention(shape, Kind.PRIME)
    x = torch.randn(1, 6528, 8, requires_grad=True)
    y = attention(x)
    for i in (0, 383, 384, 446, 447, 448, 449, 6527):
        (gradient,) = torch.autograd.grad(y[0, i].pow(2).sum(), x, retain_graph=True)
        seen = set((gradient[0].abs().sum(1) > 0).nonzero()[:, 0].tolist())
        assert seen == set(range(min(i, 447) + 1)) | {i}, f"position {i}"


def test_lyric_attention_sees_every_state_and_no_other_position() -> None:
    shape = Shape(24, 4, 8, 2, 4, 8, (Kind.LYRICS,), 8.0, False, source=5)
    torch.manual_seed(0)
    attention = Attention(shape, Kind.LYRICS)
    torch.nn.init.normal_(attention.c_proj.weight)
    x, states = torch.randn(1, 24, 8, requires_grad=True), torch.randn(1, 5, 8, requires_grad=True)
    y = attention(x, states)
    for i in (0, 11, 23):
        own, read = torch.autograd.grad(y[0, i].pow(2).sum(), (x, states), retain_graph=True)
        assert (own[0].abs().sum(1) > 0).nonzero()[:, 0].tolist() == [i]
        assert bool((read[0].abs().sum(1) > 0).all())


@FORMS
def test_cached_steps_equal_the_full_forward_from_every_prefix(form: dict[str, Any]) -> None:
    torch.manual_seed(1)
    n = 64 if form is SEPARATE else 43  # 20 + 43 characters and tokens are 7 rows of 9
    prior = lyric_prior(form, n_ctx=n)
    tokens, lyrics = torch.randint(0, 16, (2, n)), torch.randint(0, 79, (2, 20))
    conditions = prior.condition(labels(), None, 2, lyrics)
    full = prior(tokens, conditions)
    for prefix in range(n):
        caches = prior.caches(2)
        for cache in caches:  # whatever an earlier window left
            cache.keys.fill_(7.0)
            cache.values.fill_(-7.0)
        prior.prefill(caches, conditions, tokens[:, :prefix])
        for position in range(prefix, min(n, prefix + 12)):
            before = tokens[:, position - 1] if position else None
            logits = prior.step(caches, conditions, before, position)
            torch.testing.assert_close(logits, full[:, position], atol=2e-5, rtol=1e-4)


@FORMS
def test_what_the_music_says_depends_on_the_lyrics(form: dict[str, Any]) -> None:
    torch.manual_seed(2)
    prior = lyric_prior(form, n_ctx=64 if form is SEPARATE else 43)
    tokens = torch.randint(0, 16, (1, 30))
    one, other = (torch.randint(1, 79, (1, 20)) for _ in range(2))
    first, second = (prior(tokens, prior.condition(labels(1), None, 1, text)) for text in (one, other))
    assert (first - second).abs().max() > 1e-3
    padding = prior(tokens, prior.condition(labels(1), None, 1))
    zeros = prior(tokens, prior.condition(labels(1), None, 1, torch.zeros(1, 20, dtype=torch.int64)))
    torch.testing.assert_close(padding, zeros, atol=0, rtol=0)


def test_blocks_that_read_lyrics_begin_as_the_identity() -> None:
    """facts/jukebox.md §3: so that they can be inserted into a trained prior (§7.3)."""
    torch.manual_seed(3)
    prior = Prior(prior_config(**SEPARATE)).eval()
    tokens = torch.randint(0, 16, (1, 64))
    one, other = (
        prior(tokens, prior.condition(labels(1), None, 1, torch.randint(1, 79, (1, 20)))) for _ in "ab"
    )
    torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_joint_losses_are_those_of_the_two_parts_of_the_sequence() -> None:
    """facts/jukebox.md §3: characters keep their ids, codes come after them; the losses part where the music begins."""
    torch.manual_seed(4)
    prior = lyric_prior(JOINT, n_ctx=43)
    codes, lyrics = torch.randint(0, 16, (2, 43)), torch.randint(0, 79, (2, 20))
    music, sung = prior.losses(codes, labels(), None, lyrics)
    logits = prior(codes, prior.condition(labels(), None, 2, lyrics))
    assert logits.shape == (2, 43, 79 + 16)
    expected = F.cross_entropy(logits[0], codes[0] + 79) / math.log(2)
    torch.testing.assert_close(music[0], expected)
    assert sung is not None
    # 20 characters and 43 tokens: music counts 43/63, lyrics 0.4 x 20/63
    torch.testing.assert_close(prior.objective(music, sung, 43), music * 43 / 63 + sung * 0.4 * 20 / 63)


def test_the_lyric_encoder_is_a_language_model_that_sees_only_earlier_characters() -> None:
    torch.manual_seed(5)
    prior = lyric_prior(SEPARATE)
    assert prior.lyrics is not None
    characters = torch.randint(1, 80, (1, 20))
    changed = characters.clone()
    changed[0, 12] = (changed[0, 12] + 1) % 80
    before, after = (prior.lyrics.logits(prior.lyrics(text)) for text in (characters, changed))
    assert torch.equal(before[:, :13], after[:, :13])
    assert (before[:, 13:] - after[:, 13:]).abs().max() > 1e-4
    _, sung = prior.losses(torch.randint(0, 16, (1, 64)), labels(1), None, characters)
    expected = F.cross_entropy(before[0], characters[0]) / math.log(2)
    assert sung is not None
    torch.testing.assert_close(sung[0], expected)


@FORMS
def test_attention_to_the_lyrics_is_a_share_of_each_character(form: dict[str, Any]) -> None:
    torch.manual_seed(6)
    prior = lyric_prior(form, n_ctx=64 if form is SEPARATE else 43)
    codes = torch.randint(0, 16, (2, 43))
    lyrics = torch.randint(1, 79, (2, 20))
    found = prior.attention(codes, prior.condition(labels(), None, 2, lyrics))
    assert found.shape == (2, 43, 20)
    assert bool((found >= 0).all())
    total = found.sum(2)
    assert float(total.max()) <= 1 + 1e-5
    # the encoder's layer reads nothing but characters, the joint one also the first music
    if form is SEPARATE:
        torch.testing.assert_close(total, torch.ones_like(total))
    else:
        assert float(total[:, 10:].max()) < 1.0


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"attention_order": 10, "depth": 19},
            "attention_order 10 needs a lyric encoder; without it order 2",
        ),
        ({"attention_order": 12, "depth": 16}, "attention_order 12 needs joint lyrics; without it order 2"),
        ({"level": 1, "lyrics": LyricsConfig(tokens=16)}, "lyrics belong to the top prior"),
        (
            {"lyrics": LyricsConfig(tokens=15)},
            "lyric tokens and n_ctx together 79 is not a multiple of blocks 8; 1 blocks would do",
        ),
        (
            SEPARATE | {"lyrics": LyricsConfig(tokens=20, encoder=ENCODER, alignment=(3, 0))},
            "layers that do: .9.",
        ),
    ],
)
def test_configuration_says_what_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        prior_config(**changes)


def test_an_encoder_of_the_wrong_order_or_length_is_refused() -> None:
    with pytest.raises(ValidationError, match="reads lyrics; an encoder takes 0, 1, 2 or 9"):
        EncoderConfig(width=8, depth=16, attention_order=12)
    with pytest.raises(
        ValidationError, match="lyric tokens 18 is not a multiple of blocks 4; 3 blocks would do"
    ):
        LyricsConfig(tokens=18, encoder=ENCODER)
