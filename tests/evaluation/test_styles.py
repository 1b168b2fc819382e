"""The genre classifier: what it learns from, what it is tested on, and that it is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import optimize

from engine.evaluation import style
from engine.evaluation.style import (
    DECAY,
    Channel,
    dulled,
    fit,
    piece_features,
    split_songs,
    train_judge,
    usable,
)
from engine.training.data import Source
from tests.analysis.synth import chords, drum_loop

RATE = 22050


def sources(folder: Path, each: int = 4) -> list[Source]:
    """Songs of drums and songs of chords."""
    found = []
    for index in range(each):
        drums = 0.5 * drum_loop(90 + 13 * index, 9.0, RATE)
        held = chords([(57 + index, 60 + index, 64 + index)] * 3, 3.0, RATE)
        for genre, sound in (("drums", drums), ("chords", held)):
            path = folder / f"{genre}{index}.wav"
            soundfile.write(path, sound, RATE)
            found.append(Source(path.name, path, "unknown", (genre,), False))
    return found


def test_drums_are_told_from_chords_and_by_songs_it_never_heard(tmp_path: Path) -> None:
    ticks: list[int] = []
    judge = train_judge(sources(tmp_path), RATE, tick=lambda: ticks.append(1))
    assert (judge.genres, judge.accuracy, judge.chance) == (("chords", "drums"), 1.0, 0.5)
    assert (judge.songs, judge.tested, len(ticks)) == (8, 8, 8)  # one song of each genre, in four pieces
    assert judge.name(0.3 * drum_loop(150, 5.0, RATE), RATE) == "drums"
    assert judge.name(0.1 * chords([(50, 54, 57)] * 2, 2.5, RATE), RATE) == "chords"
    assert judge.name(dulled(drum_loop(120, 5.0, RATE), RATE, np.random.default_rng(0)), RATE) == "drums"


def test_it_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "songs").mkdir()
    songs = sources(tmp_path / "songs", 3)
    first = train_judge(songs, RATE, tmp_path / "cache")
    monkeypatch.setattr(style, "read_blocks", lambda *a: pytest.fail("it was trained again"))
    again = train_judge(songs, RATE, tmp_path / "cache")
    np.testing.assert_array_equal(first.weights, again.weights)
    assert (again.genres, again.accuracy, again.tested) == (first.genres, first.accuracy, first.tested)
    monkeypatch.undo()
    [kept] = (tmp_path / "cache").iterdir()
    kept.write_bytes(b"broken")
    np.testing.assert_array_equal(train_judge(songs, RATE, tmp_path / "cache").weights, first.weights)


def test_weights_are_those_of_another_optimizer() -> None:
    rng = np.random.default_rng(0)
    rows, labels = rng.standard_normal((60, 3)) * [1, 5, 0.2], rng.integers(0, 3, 60)
    rows[:, 0] += labels
    weights, bias, centre, scale = fit(rows, labels, 3)
    np.testing.assert_allclose(centre, rows.mean(0))
    np.testing.assert_allclose(scale, rows.std(0))
    x = (rows - rows.mean(0)) / rows.std(0)

    def cost(flat: np.ndarray) -> float:
        w, b = flat[:9].reshape(3, 3), flat[9:]
        odds = x @ w.T + b
        return float(
            (np.log(np.exp(odds).sum(1)) - odds[np.arange(60), labels]).mean() + DECAY * (w**2).sum()
        )

    best = optimize.minimize(cost, np.zeros(12), method="BFGS", options={"gtol": 1e-7})
    np.testing.assert_allclose(weights.reshape(-1), best.x[:9], atol=2e-3)
    assert cost(np.concatenate([weights.reshape(-1), bias])) == pytest.approx(best.fun, abs=1e-6)


def test_what_comes_through_a_codec_is_judged_by_one_that_learnt_it_there(tmp_path: Path) -> None:
    def swapped(piece: np.ndarray) -> np.ndarray:
        """A codec so bad that drums come out as held tones and tones as clicks."""
        drums = np.median(np.abs(piece)) < 0.02 * np.abs(piece).max()
        other = chords([(57, 60, 64)] * 3, 3.0, RATE) if drums else drum_loop(120, 9.0, RATE)
        return (0.3 * other[: piece.size]).astype(np.float32)

    songs = sources(tmp_path)
    plain = train_judge(songs, RATE, tmp_path / "cache")
    coded = train_judge(songs, RATE, tmp_path / "cache", channel=Channel("swapped", swapped))
    assert (coded.accuracy, coded.tested) == (1.0, 4)  # one song of each genre, in two pieces
    drums = 0.3 * drum_loop(150, 5.0, RATE)
    assert (plain.name(drums, RATE), coded.name(drums, RATE)) == ("drums", "chords")
    kept = train_judge(songs, RATE, tmp_path / "cache", channel=Channel("swapped", lambda _: pytest.fail()))
    np.testing.assert_array_equal(kept.weights, coded.weights)


def test_loudness_is_no_style() -> None:
    drums = 0.3 * drum_loop(120, 5.0, RATE)
    quiet, loud = piece_features(0.5 * drums, RATE), piece_features(drums, RATE)
    assert np.abs(quiet - loud).max() < 0.5  # but for what sinks below the floor


def test_genres_with_too_few_songs_and_songs_without_one_are_left_out() -> None:
    def songs(genre: str, count: int) -> list[Source]:
        return [Source(f"{genre}{i}", Path("x"), "unknown", (genre,), False) for i in range(count)]

    assert {s.genres[0] for s in usable(songs("a", 3) + songs("b", 4) + songs("c", 2))} == {"a", "b"}
    assert usable(songs("a", 9) + songs("unknown", 9)) == []
    learnt, tested = split_songs(songs("a", 3) + songs("b", 11))
    assert [sum(s.genres[0] == g for s in tested) for g in "ab"] == [1, 3]
    assert not {s.name for s in learnt} & {s.name for s in tested} and len(learnt) + len(tested) == 14
