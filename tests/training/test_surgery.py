"""A trained prior is given lyrics: what it says is unchanged, then it learns to listen (facts/jukebox.md §7.3)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from engine.errors import TrainingError
from engine.prior.config import EncoderConfig, LyricsConfig
from engine.prior.labels import Labels
from engine.prior.patterns import Kind
from engine.prior.prior import Prior
from engine.training.surgery import give_lyrics, with_lyrics
from tests.prior.build import prior_config

LYRICS = LyricsConfig(tokens=16, encoder=EncoderConfig(width=16, depth=2, heads=2, blocks=4, m_attn=1.0))


def trained(**changes: Any) -> Prior:
    """A labelled prior with weights that matter everywhere."""
    torch.manual_seed(0)
    prior = Prior(prior_config(depth=9, **changes)).eval()
    for parameter in prior.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return prior


def labels(prior: Prior, lanes: int) -> Labels:
    artists = F.one_hot(torch.arange(lanes) % 3, prior.config.artists).float()
    genres = F.one_hot(torch.arange(lanes) % 4, prior.config.genres).float()
    return Labels(artists, genres, torch.full((lanes,), 44100 * 9), torch.full((lanes,), 44100))


@pytest.mark.parametrize("order, depth, reading", [(6, 12, [3, 7, 11]), (8, 10, [9])])
@pytest.mark.parametrize("merged", [False, True])
def test_logits_are_unchanged_whatever_the_lyrics(
    order: int, depth: int, reading: list[int], merged: bool
) -> None:
    prior = trained(merged_decoder=merged)
    made = give_lyrics(prior, LYRICS, order).eval()
    assert made.config.depth == depth
    assert [i for i, kind in enumerate(made.config.kinds) if kind is Kind.LYRICS] == reading
    tokens = torch.randint(0, 16, (3, 64))
    before = prior(tokens, prior.condition(labels(prior, 3), None))
    for text in (None, torch.randint(1, 79, (3, 16))):
        after = made(tokens, made.condition(labels(made, 3), None, 3, text))
        torch.testing.assert_close(after, before, atol=0, rtol=0)


def test_the_paper_s_surgery_gives_the_released_layers() -> None:
    """72 layers of order 2 become 79 of order 10; lyrics at 18, 28, ..., 78 (facts/jukebox.md §2.3)."""
    made = with_lyrics(prior_config(depth=72), LYRICS, 10)
    assert made.depth == 79
    assert [i for i, kind in enumerate(made.kinds) if kind is Kind.LYRICS] == [18, 28, 38, 48, 58, 68, 78]
    assert made.lyrics is not None and made.lyrics.alignment == (78, 0)


def sung_windows(seed: int, lanes: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows that sing one letter, int64 [N, 16], to two codes of its own, int64 [N, 16]."""
    generator = torch.Generator().manual_seed(seed)
    letters = torch.randint(0, 8, (lanes, 1), generator=generator)
    codes = letters * 2 + torch.randint(0, 2, (lanes, 16), generator=generator)
    return (letters + 27).expand(-1, 16), codes


@pytest.mark.slow
def test_then_it_learns_to_listen() -> None:
    """200 steps; fewer bits with the right lyrics than with another window's, which a deaf prior cannot do."""
    made = give_lyrics(trained(init_scale=2.0, n_ctx=16, blocks=4), LYRICS, 6)
    optimizer = torch.optim.Adam(made.parameters(), lr=3e-3)
    for step in range(200):
        letters, codes = sung_windows(step)
        music, sung = made.losses(codes, labels(made, 16), None, letters)
        optimizer.zero_grad()
        made.objective(music, sung, 16).mean().backward()
        optimizer.step()
    letters, codes = sung_windows(10_000, 64)
    with torch.no_grad():
        right = float(made.loss(codes, labels(made, 64), None, letters).mean())
        wrong = float(made.loss(codes, labels(made, 64), None, letters.roll(1, 0)).mean())
    # One bit a code is chance; which letter it is costs three bits once, an eighth of a bit a code or more.
    assert right < 1.1
    assert wrong > right + 3 / 16


@pytest.mark.parametrize(
    "changes, lyrics, order, message",
    [
        ({"depth": 5}, LYRICS, 8, "5 layers are too few for order 8, whose first lyric block comes after 9"),
        (
            {"depth": 6, "attention_order": 9},
            LYRICS,
            6,
            "a prior of attention_order 9 is not order 6 without",
        ),
        ({"residual_scale": True}, LYRICS, 6, "residual_scale divides by the number of layers"),
        ({"level": 1}, LYRICS, 6, "lyrics belong to the top prior; this one is of level 1"),
        ({}, LyricsConfig(tokens=16), 6, "only a lyric encoder can be added to a trained prior"),
        (
            {"attention_order": 8, "depth": 11, "lyrics": LYRICS},
            LYRICS,
            6,
            "this prior reads lyrics already; train it further with --from alone",
        ),
    ],
)
def test_what_cannot_be_operated_on_is_named(
    changes: dict[str, Any], lyrics: LyricsConfig, order: int, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        with_lyrics(prior_config(**changes), lyrics, order)
