"""Attention led to the character that is sung: where that is, what missing it costs, and that it is learnt."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.lyrics import read_lyrics, song_lyrics, window_ids
from engine.prior.config import EncoderConfig, LyricsConfig
from engine.training.guidance import UNKNOWN, astray, sung_places
from engine.training.prior_trainer import PriorLoss
from engine.training.surgery import give_lyrics
from tests.prior.test_lyric_attention import FORMS, labels, lyric_prior
from tests.training.test_surgery import labels as some_labels
from tests.training.test_surgery import trained

LYRICS = LyricsConfig(tokens=16, encoder=EncoderConfig(width=16, depth=2, heads=2, blocks=4, m_attn=1.0))
RATE = 1000


def test_every_moment_knows_the_character_that_is_sung(tmp_path: Path) -> None:
    """Five characters from 1 to 2 s, 0.2 s each, the last a line's end; a pause till 4 s; five more till 5 s."""
    file = tmp_path / "song.lrc"
    file.write_text("[00:01.000]<00:01.000>left <00:02.000>\n[00:04.000]<00:04.000>turn<00:05.000>\n")
    song = song_lyrics(read_lyrics(str(file)), LYRICS, RATE)
    assert song.text == "left\nturn\n"
    _, places = window_ids(song, 8 * RATE, 0, 8 * RATE)
    first = 16 - len(song.text)  # padding comes first
    moments = np.array([0.5, 1.05, 1.3, 1.7, 3.0, 4.1, 4.9, 7.9, 8.0]) * RATE
    found = sung_places(song, places, moments.astype(np.int64), 8 * RATE)
    letters = [None if place == UNKNOWN else song.text[place - first] for place in found]
    assert letters == [None, "l", "e", "t", "\n", "t", "\n", "\n", None]


def test_a_window_that_lacks_the_character_does_not_know_it(tmp_path: Path) -> None:
    file = tmp_path / "song.lrc"
    file.write_text("".join(f"[00:{second:02}.00]word{second:02}\n" for second in range(20)))
    song = song_lyrics(read_lyrics(str(file)), LYRICS, RATE)
    _, places = window_ids(song, 20 * RATE, 10 * RATE, 2 * RATE)
    found = sung_places(song, places, np.array([0, 11 * RATE]), 20 * RATE)
    assert found[0] == UNKNOWN
    assert song.text[places[found[1]]] == "w"


@pytest.mark.parametrize("text", ["no times here", ""])
def test_words_without_times_lead_nowhere(tmp_path: Path, text: str) -> None:
    file = tmp_path / "song.txt"
    file.write_text(text)
    song = song_lyrics(read_lyrics(str(file)), LYRICS, RATE)
    _, places = window_ids(song, 8 * RATE, 0, 8 * RATE)
    assert (sung_places(song, places, np.arange(0, 8000, 500), 8 * RATE) == UNKNOWN).all()


def test_what_missing_costs() -> None:
    """Nothing at the character, 0.5 / (1.5^2 ln 2) bits beside it, and 1 bit where half of it goes far away."""
    at, beside, half = (torch.zeros(1, 1, 16) for _ in range(3))
    at[..., 4], beside[..., 5], half[..., 4], half[..., 15] = 1.0, 1.0, 0.5, 0.5
    sung = torch.tensor([[4]])
    assert float(astray(at, sung)) == pytest.approx(0.0, abs=1e-6)
    assert float(astray(beside, sung)) == pytest.approx(0.5 / (1.5**2 * math.log(2)), rel=1e-4)
    assert float(astray(half, sung)) == pytest.approx(1.0, rel=1e-4)
    # Moments that nobody knows of change nothing; when none is known it costs nothing, and nothing is learnt.
    both = astray(torch.cat((half, at), 1), torch.tensor([[4, UNKNOWN]]))
    assert float(both) == pytest.approx(1.0, rel=1e-4)
    none = half.clone().requires_grad_()
    lost = astray(none, torch.tensor([[UNKNOWN]]))
    lost.backward()
    assert float(lost.detach()) == 0.0 and not none.grad.any()  # type: ignore[union-attr]


@FORMS
def test_one_pass_finds_the_same_losses_and_the_same_attention(form: dict[str, Any]) -> None:
    torch.manual_seed(3)
    prior = lyric_prior(form)
    codes, text = torch.randint(0, 16, (2, 64)), torch.randint(1, 79, (2, 20))
    music, sung, attention = prior.watched_losses(codes, labels(), text)
    plain, plain_sung = prior.losses(codes, labels(), None, text)
    torch.testing.assert_close(music, plain, atol=0, rtol=0)
    torch.testing.assert_close(sung, plain_sung, atol=0, rtol=0)
    expected = prior.attention(codes, prior.condition(labels(), None, 2, text))
    torch.testing.assert_close(attention.detach(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "latest, steps", [(0, 60), pytest.param(11, 400, marks=pytest.mark.slow)], ids=["in time", "by ear"]
)
def test_it_learns_where_it_is_sung(latest: int, steps: int) -> None:
    """Every letter sounds for four codes of its own, from the first letter on or from any (then only the sound tells
    which). Led, the head finds it; left alone it does not."""

    def windows(seed: int, lanes: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        text = torch.rand(lanes, 16, generator=generator).argsort(1)  # every letter once
        start = torch.randint(0, latest + 1, (lanes, 1), generator=generator)
        sung = start + torch.arange(16) // 4
        return text + 27, text.gather(1, sung), sung

    def lost(guided: float) -> float:
        made = give_lyrics(trained(init_scale=2.0, n_ctx=16, blocks=4), LYRICS, 6)
        loss = PriorLoss(made, guided)
        optimizer = torch.optim.Adam(made.parameters(), lr=3e-3)
        for step in range(steps):
            letters, codes, sung = windows(step, 16)
            value, _ = loss(codes, some_labels(made, 16), None, letters, sung)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        letters, codes, sung = windows(10_000, 64)
        with torch.no_grad():
            return float(astray(made.watched_losses(codes, some_labels(made, 64), letters)[2], sung))

    led, alone = lost(1.0), lost(0.0)
    assert led < alone - 0.5
