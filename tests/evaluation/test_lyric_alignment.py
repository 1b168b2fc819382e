"""Word onsets by attention: with attention that is known, and figures worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.evaluation import lyric_metrics
from engine.evaluation.data import Song
from engine.evaluation.lyric_metrics import (
    StatedWord,
    align_song,
    compare_onsets,
    measure_lyrics,
    onsets,
    stated_words,
)
from engine.evaluation.truth import Told
from engine.lyrics import Words, song_lyrics
from engine.prior.config import LyricsConfig
from engine.request import TimedText
from engine.store import load_model
from tests.analysis.synth import sine

from . import tiny

WANTED = LyricsConfig(tokens=16, vocabulary="v3")


def timed(*pieces: tuple[float, str]) -> Words:
    return Words(lyric_times=tuple(TimedText(seconds=at, text=text) for at, text in pieces))


def test_only_words_that_a_stamp_begins_have_a_time() -> None:
    words = timed((1.0, "go on"), (2.5, "sun"), (4.0, "river"))
    found = stated_words(song_lyrics(words, WANTED, 1000), words, 1000)
    assert [(w.first, w.last, w.seconds) for w in found] == [(0, 1, 1.0), (6, 8, 2.5), (10, 14, 4.0)]
    spaced = timed((1.0, "go"), (2.5, " sun"))
    found = stated_words(song_lyrics(spaced, WANTED, 1000), spaced, 1000)
    assert [w.seconds for w in found] == [1.0, 2.5]
    untimed = Words(lyrics="go on")
    assert stated_words(song_lyrics(untimed, WANTED, 1000), untimed, 1000) == []


def test_figures_by_hand() -> None:
    found = compare_onsets([1.0, 2.0, 3.0, 4.0], [1.29, 2.5, None, 3.9])
    assert (found.within, found.placed) == (0.5, 0.75)
    assert found.error == pytest.approx(0.29)
    nothing = compare_onsets([1.0], [None])
    assert (nothing.within, nothing.error, nothing.placed) == (0.0, None, 0.0)


def test_a_word_begins_with_its_first_character_that_has_a_time() -> None:
    from engine.alignment.path import Sung

    sung = [Sung("g", None, 0.0), Sung("o", 1.5, 0.1), Sung(" ", 2.0, 0.1), Sung("x", None, 0.0)]
    assert onsets([StatedWord(0, 1, 1.0), StatedWord(3, 3, 2.0)], sung) == [1.5, None]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    """A tiny model whose top prior reads lyrics and has a layer to read attention from."""
    import torch

    from engine.codec.vqvae import Codec
    from engine.prior.prior import Prior
    from engine.store import save_model

    torch.manual_seed(0)
    config = tiny.tiny_config()
    top = config.priors[2]
    sung = type(top).model_validate(
        {**dict(top), "blocks": 16, "attention_order": 12, "depth": 16}
        | {"lyrics": LyricsConfig(tokens=16, vocabulary="v3", alignment=(15, 0))}
    )
    config = config.model_copy(update={"priors": (*config.priors[:2], sung)})
    folder = tmp_path_factory.mktemp("sung")
    save_model(
        folder,
        config,
        Codec(config.codec),
        {level: Prior(config.priors[level]) for level in range(3)},
        dtype=torch.float32,
    )
    return load_model(folder)


def test_attention_on_the_sung_character_gives_the_words_their_times(
    model, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = timed((0.5, "go"), (2.0, "sun"), (3.5, "river"))
    lyrics = song_lyrics(words, WANTED, tiny.RATE)
    songs = [Song(f"{i}.wav", "ada", ("house",), sine(200.0 + i, 5.0, tiny.RATE)) for i in range(2)]
    told = Told(
        lyrics={"0.wav": lyrics, "1.wav": song_lyrics(Words(), WANTED, tiny.RATE)},
        words={"0.wav": words, "1.wav": Words()},
    )
    hop = 128

    def perfect(prior, codes, song, place, label, fraction):
        matrix = np.full((codes.size, song.ids.size), 1e-6, np.float32)
        assert song.times is not None
        for token in range(codes.size):
            at = int(np.searchsorted(song.times, token * hop, side="right")) - 1
            matrix[token, max(at, 0)] = 1.0
        return matrix

    monkeypatch.setattr(lyric_metrics, "song_attention", perfect)
    ticks: list[int] = []
    report = measure_lyrics(model, songs, told, lambda: ticks.append(1))
    assert report is not None and (report.songs, report.words, len(ticks)) == (1, 3, 2)
    # Before 0.5 s nothing is sung, and the first character takes it all; the others are right to a step of the path.
    assert report.attention.within == pytest.approx(2 / 3)
    assert report.attention.error is not None and report.attention.error < 0.1
    # 12 characters over 5 s: "go" at 0, "sun" at 3/12 of 5, "river" at 7/12
    errors = [0.5 - 0.0, 2.0 - 5 * 3 / 12, 3.5 - 5 * 7 / 12]
    assert report.evenly.error == pytest.approx(sorted(errors)[1], abs=1e-6)
    assert report.evenly.within == 0.0
    assert report.other_audio is not None


def test_a_real_prior_is_asked_and_songs_without_times_are_not_measured(model) -> None:
    words = timed((0.5, "go"), (1.0, "sun"))
    song = Song("a.wav", "ada", ("house",), sine(200.0, 3.0, tiny.RATE))
    lyrics = song_lyrics(words, WANTED, tiny.RATE)
    told = Told(lyrics={"a.wav": lyrics}, words={"a.wav": words})
    report = measure_lyrics(model, [song], told)
    assert report is not None and report.words == 2 and report.other_audio is None
    codes = np.zeros(3 * tiny.RATE // 128, np.int64)
    assert "".join(one.character for one in align_song(model, song, lyrics, codes, told)) == lyrics.text
    assert measure_lyrics(model, [song], Told(lyrics={"a.wav": lyrics}, words={"a.wav": Words()})) is None


def test_a_model_that_reads_no_lyrics_has_no_report(tmp_path: Path) -> None:
    plain = load_model(tiny.save_tiny(tmp_path / "tiny"))
    assert measure_lyrics(plain, [], Told()) is None
