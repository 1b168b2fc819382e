"""The longest copied runs, against a search that tries everything."""

from __future__ import annotations

import numpy as np
import pytest

from engine.evaluation.novelty import PAIRS, SHORTEST, Run, longest_runs


def tried_out(query: np.ndarray, song: np.ndarray) -> int:
    """Length of the longest common run, by the textbook's table."""
    best, row = 0, np.zeros(song.size + 1, int)
    for code in query:
        row = np.concatenate([[0], np.where(song == code, row[:-1] + 1, 0)])
        best = max(best, int(row.max()))
    return best


@pytest.mark.parametrize("seed", range(6))
def test_as_long_as_a_search_of_everything_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    few = 2 + seed  # few different codes, so that long runs come by chance
    queries = [rng.integers(0, few, size) for size in (150, 3, 80)]
    songs = [(f"{i}", rng.integers(0, few, size)) for i, size in enumerate((200, 5, 90, 0))]
    for query, run in zip(queries, longest_runs(queries, songs), strict=True):
        expected = max(tried_out(query, song) for _, song in songs)
        assert run.length == (expected if expected >= SHORTEST else 0)
        if run.length:
            song = dict(songs)[run.song]
            np.testing.assert_array_equal(
                query[run.at : run.at + run.length], song[run.there : run.there + run.length]
            )


def test_a_copied_passage_is_found_where_it_was_put() -> None:
    rng = np.random.default_rng(1)
    songs = [(f"song {i}", rng.integers(0, 2048, 4000).astype(np.uint16)) for i in range(5)]
    query = rng.integers(0, 2048, 1000)
    query[100:457] = songs[3][1][2000:2357]
    ticks: list[int] = []
    assert longest_runs([query], songs, lambda: ticks.append(1)) == [Run(357, 100, "song 3", 2000)]
    assert len(ticks) == 5


def test_silence_matches_everywhere_and_is_still_counted_right() -> None:
    query = np.full(300, 7)
    song = np.concatenate([np.full(20 * PAIRS, 7), [1]])
    assert longest_runs([query], [("silence", song)])[0].length == 300
    assert longest_runs([query], [("other", np.full(500, 8))]) == [Run()]
    assert longest_runs([], [("other", song)]) == []
