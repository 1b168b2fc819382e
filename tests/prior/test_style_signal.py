"""Artist and genre told at every position of a top prior: what they change, steps, configuration, new labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from engine.prior.config import PriorConfig
from engine.prior.labels import Labels
from engine.prior.prior import Prior
from engine.training.starting import _relabelled
from tests.prior.build import ARTISTS, GENRES, prior_config


def config(**changes: Any) -> PriorConfig:
    return prior_config(**{"style_signal": True, **changes})


def labels(artist: int, genre: int, lanes: int = 1) -> Labels:
    rows = torch.eye(len(ARTISTS))[[artist] * lanes], torch.eye(len(GENRES))[[genre] * lanes]
    return Labels(*rows, torch.full((lanes,), 44100 * 9), torch.full((lanes,), 44100))


def loud(prior: Prior) -> Prior:
    assert prior.style is not None
    for table in prior.style.parameters():
        torch.nn.init.normal_(table)
    return prior.eval()


def late(prior: Prior, found: Labels, tokens: Tensor) -> Tensor:
    """Logits of the last position."""
    return prior(tokens, prior.condition(found, None))[:, -1]


def test_a_new_signal_changes_nothing_and_a_trained_one_does_at_the_end_of_a_window_too() -> None:
    torch.manual_seed(0)
    plain = Prior(prior_config()).eval()
    told = Prior(config()).eval()
    told.load_state_dict(told.state_dict() | plain.state_dict())
    tokens = torch.randint(0, 16, (1, 64))
    torch.testing.assert_close(late(told, labels(1, 2), tokens), late(plain, labels(1, 2), tokens))
    loud(told)
    genres = [late(told, labels(1, genre), tokens) for genre in (1, 2)]
    artists = [late(told, labels(artist, 2), tokens) for artist in (0, 1)]
    for one, other in (genres, artists):
        assert (one - other).abs().max() > 0.1


def test_a_mix_of_genres_is_between_them() -> None:
    prior = loud(Prior(config()))
    assert prior.style is not None
    one, other = prior.style(labels(1, 1)), prior.style(labels(1, 2))
    mixed = labels(1, 1)
    mixed.genres[0, 1:3] = 0.5
    torch.testing.assert_close(prior.style(mixed), (one + other) / 2)


def test_steps_equal_the_full_forward() -> None:
    torch.manual_seed(1)
    prior = loud(Prior(config(time=None)))
    tokens = torch.randint(0, 16, (2, 64))
    conditions = prior.condition(labels(1, 3, 2), None)
    full, caches = prior(tokens, conditions), prior.caches(2)
    prior.prefill(caches, conditions, tokens[:, :13])
    for position in range(13, 64):
        logits = prior.step(caches, conditions, tokens[:, position - 1], position)
        torch.testing.assert_close(logits, full[:, position], atol=2e-5, rtol=1e-4)


def test_rows_move_with_their_names() -> None:
    prior = loud(Prior(config()))
    new = (("unknown", "bix", "cleo", "ada"), ("unknown", "dub"))
    made = _relabelled(prior, (ARTISTS, GENRES), new)
    assert prior.style is not None and made.style is not None
    assert torch.equal(made.style.artist, prior.style.artist[[0, 2, 0, 1]])  # a new name is as "unknown" was
    assert torch.equal(made.style.genre, prior.style.genre[[0, 2]])


def test_it_belongs_to_a_labelled_top_prior() -> None:
    for changes in ({"level": 1}, {"artists": 0, "genres": 0, "time": None}):
        with pytest.raises(ValidationError, match="a style signal belongs to a labelled top prior"):
            config(**changes)
