"""The pulse as a signal of a top prior: rows of its tables, what they change, configuration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from engine.prior.config import PriorConfig, PulseConfig
from engine.prior.labels import Labels
from engine.prior.prior import Prior
from engine.prior.pulse import PulseRows, SongPulse, pulse_rows
from tests.prior.build import prior_config

RATE = 44100
PULSE = PulseConfig(phases=8, tempos=4, octaves=2, min_bpm=60.0)


def config(**changes: Any) -> PriorConfig:
    return prior_config(**{"pulse": PULSE, **changes})


def labels(lanes: int = 1) -> Labels:
    artists, genres = torch.eye(3)[[1] * lanes], torch.eye(4)[[2] * lanes]
    return Labels(artists, genres, torch.full((lanes,), RATE * 9), torch.full((lanes,), RATE))


def test_rows_follow_the_bar_from_any_downbeat_before_or_after_the_window() -> None:
    """A bar of 32 tokens, so 4 tokens an eighth of it; the window begins half a bar after a downbeat."""
    bar = 32 * 128.0
    expected = [1 + (token // 4 + 4) % 8 for token in range(64)]
    for bars in (-3, 0, 5):
        rows = pulse_rows(config(), SongPulse(bar, 1000 + bars * bar), 1000 + 16 * 128)
        assert rows.phase.tolist() == expected


@pytest.mark.parametrize(
    "bpm, row", [(60.1, 1), (84.0, 2), (85.0, 3), (119.9, 4), (120.1, 5), (239.0, 8), (400.0, 8), (20.0, 1)]
)
def test_tempo_rows_are_quarters_of_octaves_from_sixty(bpm: float, row: int) -> None:
    """60 x 2^(k/4): 60, 71.4, 84.9, 100.9, 120, ...; beyond the table its ends."""
    assert pulse_rows(config(), SongPulse(240 * RATE / bpm), 0).tempo == row


def test_what_is_unknown_has_row_zero() -> None:
    rows = pulse_rows(config(), SongPulse(key=7), 5000)
    assert not rows.phase.any() and rows.tempo == 0 and rows.key == 7


def test_a_new_pulse_changes_nothing_and_a_trained_one_does() -> None:
    torch.manual_seed(0)
    plain = Prior(prior_config()).eval()
    told = Prior(config()).eval()
    told.load_state_dict(told.state_dict() | plain.state_dict())
    tokens = torch.randint(0, 16, (1, 64))
    row = pulse_rows(config(), SongPulse(4096.0, 0.0, 3), 0)
    before = plain(tokens, plain.condition(labels(), None))
    torch.testing.assert_close(told(tokens, told.condition(labels().with_pulse([row]), None)), before)
    assert told.pulse is not None
    for table in told.pulse.parameters():
        torch.nn.init.normal_(table)
    with_pulse = told(tokens, told.condition(labels().with_pulse([row]), None))
    assert (with_pulse - before).abs().max() > 0.1
    # no pulse at all is the same as one of which nothing is known
    unknown = PulseRows(np.zeros(64, np.int64), 0, 0)
    torch.testing.assert_close(
        told(tokens, told.condition(labels(), None)),
        told(tokens, told.condition(labels().with_pulse([unknown]), None)),
    )


def test_steps_equal_the_full_forward_with_a_pulse() -> None:
    torch.manual_seed(1)
    prior = Prior(config()).eval()
    assert prior.pulse is not None
    for table in prior.pulse.parameters():
        torch.nn.init.normal_(table)
    tokens = torch.randint(0, 16, (2, 64))
    rows = [pulse_rows(config(), SongPulse(bar, 10.0, key), 640) for bar, key in ((3000.0, 1), (9000.0, 24))]
    conditions = prior.condition(labels(2).with_pulse(rows), None)
    full, caches = prior(tokens, conditions), prior.caches(2)
    prior.prefill(caches, conditions, tokens[:, :13])
    for position in range(13, 64):
        logits = prior.step(caches, conditions, tokens[:, position - 1], position)
        torch.testing.assert_close(logits, full[:, position], atol=2e-5, rtol=1e-4)


def test_a_pulse_belongs_to_a_labelled_top_prior() -> None:
    for changes in ({"level": 1}, {"artists": 0, "genres": 0, "time": None}):
        with pytest.raises(ValidationError, match="a pulse belongs to a labelled top prior"):
            config(**changes)
