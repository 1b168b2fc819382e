"""Plans against the released windows (facts/jukebox.md §5.2) and their own invariants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.request import LevelSampling, Sampling
from engine.sampling.plan import level_windows, make_plan, prime_context, window_starts
from engine.store import starter_config


@pytest.mark.parametrize(
    ("seconds", "top_5b", "top_1b", "middle", "bottom"),
    [(20, 1, 2, 6, 26), (60, 14, 20, 20, 80), (180, 54, 74, 60, 242), (240, 74, 101, 80, 322)],
)
def test_window_counts_of_the_released_sampler(
    seconds: int, top_5b: int, top_1b: int, middle: int, bottom: int
) -> None:
    frames = seconds * 44100 // 128 * 128
    assert len(window_starts(frames // 128, 8192, 1024)) == top_5b
    assert len(window_starts(frames // 128, 6144, 768)) == top_1b
    assert len(window_starts(frames // 32, 8192, 4096)) == middle
    assert len(window_starts(frames // 8, 8192, 4096)) == bottom


def test_the_last_window_is_moved_back() -> None:
    assert window_starts(20, 8, 4) == [0, 4, 8, 12]
    assert window_starts(21, 8, 4) == [0, 4, 8, 12, 13]
    assert window_starts(5, 8, 4) == [0]


@given(
    known=st.integers(0, 300),
    new=st.integers(1, 500),
    n_ctx=st.sampled_from([16, 32, 64]),
    hop=st.integers(1, 16),
)
def test_windows_sample_every_token_once_in_order(known: int, new: int, n_ctx: int, hop: int) -> None:
    done = known
    for window in level_windows(2, known, known + new, n_ctx, hop, None):
        assert window.first_new == done  # what it takes as known is known
        assert 0 <= window.prefix < window.stop - window.start <= n_ctx
        done = window.stop
    assert done == known + new


@given(prime=st.integers(1, 2000), new=st.integers(1, 3000), lowest=st.integers(0, 2))
def test_upper_codes_cover_exactly_the_window(prime: int, new: int, lowest: int) -> None:
    plan = make_plan(starter_config(), Sampling(), prime, prime + new, lowest)
    for level in (0, 1):
        for window in plan.windows[level]:
            assert window.start % 4 == 0
            assert (window.upper[0] * 4, window.upper[1] * 4) == (window.start, window.stop)
            assert window.upper[1] <= plan.total[level + 1]
    assert plan.steps == new * sum((1, 4, 16)[2 - level] for level in range(lowest, 3))
    assert all(not plan.windows[level] for level in range(lowest))


def test_prime_context_leaves_room_for_one_hop() -> None:
    config = starter_config()
    assert prime_context(config, Sampling()) == 1536  # 2048-token window, hop a quarter of it
    assert prime_context(config, Sampling(top=LevelSampling(hop_fraction=0.5))) == 1024
