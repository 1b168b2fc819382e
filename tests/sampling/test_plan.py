"""Plans against the released windows (facts/jukebox.md §5.2) and their own invariants."""

from __future__ import annotations

import sys
import threading
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.errors import OutOfRange
from engine.prior.conditioning import UpperConditioner
from engine.prior.config import UpperConfig
from engine.request import LevelSampling, Sampling
from engine.sampling.levels import Group, restore
from engine.sampling.plan import (
    hop_tokens,
    level_windows,
    make_plan,
    only_span,
    prime_context,
    span_tokens,
    strand_windows,
    upper_reach,
    window_starts,
)
from engine.store import starter_config
from tests.prior.build import prior_config


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


def test_the_released_hops_are_fractions_of_the_windows() -> None:
    """0.125 of the top's windows, 0.5 of the others'; the lower ones in whole upper tokens."""
    assert [hop_tokens(n_ctx, 0.125, None) for n_ctx in (8192, 6144)] == [1024, 768]
    assert hop_tokens(8192, 0.5, 4) == 4096
    assert [hop_tokens(64, fraction, 4) for fraction in (0.01, 0.1, 0.99)] == [4, 4, 60]


def test_a_minute_from_nothing_takes_the_released_windows() -> None:
    """Every one of the sampler's windows adds tokens, so the plan has as many as the table says."""
    for n_ctx, hop, tokens, windows in ((8192, 1024, 20_671, 14), (6144, 768, 20_671, 20)):
        found = level_windows(2, 0, tokens, n_ctx, hop, None)
        assert len(found) == windows
        assert {window.stop - window.first_new for window in found[1:-1]} == {hop}
    assert len(level_windows(0, 0, 20_671 * 16, 8192, 4096, 4)) == 80


def test_only_windows_that_meet_the_span_are_sampled_again() -> None:
    """Windows of 64 tokens, 32 apart, add 0-63, 64-95, 96-127 and so on."""
    windows = level_windows(1, 0, 256, 64, 32, 4)
    dirty = only_span(windows, 80, 128)
    assert [(w.start, w.first_new, w.stop, w.upper) for w in dirty] == [
        (32, 80, 96, (8, 24)),
        (64, 96, 128, (16, 32)),
    ]
    assert only_span(windows, 40, 40) == ()


def test_a_span_is_rounded_inwards_to_whole_tokens() -> None:
    assert span_tokens(6144, 2_000, 4_500, 7_001, 128) == (64, 83)
    assert span_tokens(6144, 0, 7_001, 7_001, 128) == (48, 103)  # 48 + 54.7 tokens: the end counts as whole
    assert span_tokens(6105, 0, 512, 7_001, 128) == (48, 51)  # the seam inside token 47
    with pytest.raises(
        OutOfRange, match="the span of 100 samples holds no whole top-level token of 128 samples"
    ):
        span_tokens(6144, 0, 100, 7_001, 128)


def test_the_conditioners_reach_by_gradient() -> None:
    """Positions of the output that one upper code moves, counted in upper tokens."""
    for ups, depth, cycle in ((2, 2, None), (2, 4, None), (1, 3, 2)):
        upper = UpperConfig(bins=16, width=8, depth=depth, dilation_cycle=cycle, ups=ups)
        conditioner = UpperConditioner(prior_config(0, upper=upper), upper)
        codes = torch.zeros(1, 257, dtype=torch.long)
        moved = codes.clone()
        moved[0, 128] = 1
        with torch.no_grad():
            changed = (conditioner(codes) != conditioner(moved)).any(-1)[0].nonzero()
        reach = max(128 - int(changed[0]) // upper.ratio, int(changed[-1]) // upper.ratio - 128)
        assert upper_reach(upper) - 2 <= reach <= upper_reach(upper)


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
    assert prime_context(config, Sampling(prime_seconds=1.0)) == 345  # 44,100 / 128
    assert prime_context(config, Sampling(prime_seconds=60)) == 1536


@pytest.mark.parametrize(("known", "total"), [(0, 512), (40, 512), (48, 52), (300, 1001 * 4), (64, 200)])
@pytest.mark.parametrize(("strand", "overlap"), [(1, 0), (1, 8), (2, 0), (3, 12)])
def test_strands_cover_everything_once_and_begin_alone(
    known: int, total: int, strand: int, overlap: int
) -> None:
    n_ctx, hop, ratio = 64, 16, 4
    windows = strand_windows(1, known, total, n_ctx, hop, ratio, strand, overlap)
    covered = [position for w in windows for position in range(w.first_new, w.stop)]
    assert covered == list(range(known, total))
    for window in windows:
        assert window.start % ratio == 0 and window.stop - window.start <= n_ctx
        assert window.upper == (window.start // ratio, -(-window.stop // ratio))
        begins = window.index % strand == 0
        if window.index == 0:
            assert (window.prefix, window.overlap) == (
                min(known, n_ctx - hop),
                0,
            )  # the prime, as far as it fits
        else:
            assert (window.prefix, window.overlap) == ((0, overlap) if begins else (n_ctx - hop, 0))


def test_a_span_in_strands_begins_with_what_lies_before_it() -> None:
    windows = only_span(strand_windows(1, 0, 512, 64, 16, 4, 1, 8), 100, 300)
    assert [position for w in windows for position in range(w.first_new, w.stop)] == list(range(100, 300))
    assert windows[0].prefix == 100 - windows[0].start and windows[0].overlap == 0
    assert all((w.prefix, w.overlap) == (0, 8) for w in windows[1:])


def test_only_lower_levels_have_strands() -> None:
    with pytest.raises(ValidationError, match="leave its strand out"):
        Sampling(top=LevelSampling(strand=2))


def test_what_is_filled_is_never_more_than_what_is_settled() -> None:
    """Several threads ask while one settles codes: a gap is never passed over."""
    state = restore(200_000, (), [(np.zeros(0, np.int64), None)])
    state.settled[:] = False
    wrong: list[tuple[int, int]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            filled = state.filled
            if not state.settled[:filled].all():
                wrong.append((filled, int(state.settled.argmin())))
                return

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    askers = [threading.Thread(target=ask) for _ in range(3)]
    try:
        for asker in askers:
            asker.start()
        for start in range(0, 200_000, 40):
            state.settled[start : start + 40] = True
        stop.set()
        for asker in askers:
            asker.join()
    finally:
        stop.set()
        sys.setswitchinterval(before)
    assert wrong == [] and state.filled == 200_000


def test_steps_are_counted_while_another_thread_ends_the_window() -> None:
    windows = level_windows(2, 0, 64, 64, 32, None)
    state = restore(64, windows, [(np.zeros(0, np.int64), None)])
    state.waiting.clear()

    class Ending:
        """A group that is done with as soon as somebody has begun to look at it."""

        windows = state.windows

        @property
        def done(self) -> int:
            state.group = None
            return 40

        def __bool__(self) -> bool:
            state.group = None
            return True

    state.group = cast(Group, Ending())
    assert state.steps_done == 40
    assert state.steps_done == 64
