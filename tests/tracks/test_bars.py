"""Whole bars, to the sample."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from export.tracks.finishing import finish
from export.tracks.wishes import TrackWishes
from tests.tracks.made import RATE, made, sine


@pytest.mark.parametrize(
    ("bpm", "meter", "seconds", "bars", "frames", "at_48k"),
    [
        # 60/bpm * quarters * rate, by hand
        (120.0, (4, 4), 8.3, 4, 352_800, 384_000),
        (93.0, (4, 4), 8.0, 3, 341_419, 371_613),  # 341419.35..., 371612.90...
        (100.0, (6, 8), 4.0, 2, 158_760, 172_800),
        (100.0, (7, 8), 4.3, 2, 185_220, 201_600),
        (174.61, (4, 4), 5.6, 4, 242_460, 263_902),  # 242460.34..., 263902.41...
    ],
)
def test_a_take_is_cut_to_whole_bars(
    tmp_path: Path, bpm: float, meter: tuple[int, int], seconds: float, bars: int, frames: int, at_48k: int
) -> None:
    take = made(tmp_path, sine(round(seconds * RATE)), sine(RATE), bpm=bpm, meter=meter)
    track = finish(take, TrackWishes())
    assert (track.bars, track.frames, track.rate) == (bars, frames, RATE)
    quarters = Fraction(4 * meter[0] * bars, meter[1])
    assert abs(frames - quarters * 60 * RATE / Fraction(str(bpm))) <= Fraction(1, 2)
    assert finish(take, TrackWishes(rate=48_000)).frames == at_48k


def test_free_time_and_less_than_a_bar_stay_as_they_are(tmp_path: Path) -> None:
    free = finish(made(tmp_path, sine(30_011), sine(RATE)), TrackWishes())
    assert (free.bars, free.tempo, free.frames) == (None, None, 30_011)
    short = finish(made(tmp_path, sine(30_011), sine(RATE), bpm=60.0), TrackWishes())
    assert short.bars is None and short.tempo is not None and short.frames == 30_011
