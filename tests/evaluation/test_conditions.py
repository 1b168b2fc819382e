"""Bits per token with and without each condition, against the prior's own loss under labels put together by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.analysis.key import KeyEstimate
from engine.evaluation.data import Excerpt, Song
from engine.evaluation.prior_metrics import measure_prior, window_bits
from engine.evaluation.prior_windows import cut_windows
from engine.evaluation.truth import Told, Truth, told_of, truths_of
from engine.lyrics import Words, song_lyrics
from engine.prior.config import LyricsConfig, PulseConfig
from engine.prior.labels import Labels
from engine.prior.prior import Prior
from engine.prior.pulse import SongPulse, pulse_rows
from engine.request import TimedText
from engine.training.data import list_sources

from . import tiny

N = 128  # tokens of a window of the tiny model


def excerpt(number: int, levels: int = 3) -> Excerpt:
    """Random codes of a song of its own; labels, length and place differ from song to song."""
    rng = torch.Generator().manual_seed(number)
    seconds = 5 + number
    song = Song(
        f"{number}.wav",
        ("ada", "bo")[number % 2],
        (("house", "rock")[number % 2],),
        np.zeros(seconds * tiny.RATE, np.float32),
    )
    hops = (8, 32, 128)
    codes = {level: torch.randint(0, 32, (N * 128 // hops[level],), generator=rng) for level in range(levels)}
    return Excerpt(song, number * 128 * 50, np.zeros(N * 128, np.float32), codes)


def loud(config, seed: int = 1) -> Prior:
    """A random prior in which every signal is loud enough to be seen in the bits."""
    torch.manual_seed(seed)
    prior = Prior(config).eval()
    with torch.no_grad():
        for name, weight in prior.named_parameters():
            if name.split(".")[0] in ("labels", "time", "pulse", "embed"):
                weight.normal_(0.0, 0.5)
    return prior


def config_of(level: int, **changes):
    return tiny.tiny_config().model_copy(
        update={
            "priors": tuple(
                prior if prior.level != level else type(prior).model_validate({**dict(prior), **changes})
                for prior in tiny.tiny_config().priors
            )
        }
    )


def by_name(report) -> dict:
    return {one.condition: one for one in report.conditions}


def test_artist_genre_and_time_of_another_window_are_those_of_the_window_half_the_list_away() -> None:
    config = tiny.tiny_config()
    prior, excerpts = loud(config.priors[2]), [excerpt(i) for i in range(3)]
    found = by_name(measure_prior(prior, config, excerpts, None))
    assert list(found) == ["artist", "genre", "time"]
    windows = cut_windows(prior.config, config, excerpts)
    codes = torch.stack([w.codes for w in windows])
    own = Labels.stack([w.labels for w in windows])
    right = prior.loss(codes, own).detach()
    turned = [1, 2, 0]  # half of three, rounded down, away
    wrong = {
        "artist": replace(own, artists=own.artists[turned]),
        "genre": replace(own, genres=own.genres[turned]),
        "time": replace(own, total=own.total[turned], offset=own.offset[turned]),
    }
    for name, labels in wrong.items():
        bits = prior.loss(codes, labels).detach()
        assert found[name].wrong == pytest.approx(float(bits.mean()), abs=1e-5)
        error = float((bits - right).std() / 3**0.5)
        assert found[name].wrong_error == pytest.approx(error, abs=1e-5) and error > 1e-3
    unknown = torch.zeros_like(own.artists)
    unknown[:, 0] = 1.0
    bits = prior.loss(codes, replace(own, artists=unknown)).detach()
    assert found["artist"].none == pytest.approx(float(bits.mean()), abs=1e-5)


def test_a_signal_that_is_the_same_everywhere_is_missed_by_nobody() -> None:
    config = tiny.tiny_config()
    prior, excerpts = loud(config.priors[2]), [excerpt(i) for i in range(3)]
    assert prior.time is not None
    assert abs(by_name(measure_prior(prior, config, excerpts, None))["time"].none - 5.0) > 0.1
    with torch.no_grad():
        for table in (prior.time.total, prior.time.absolute, prior.time.relative):
            table.weight[:] = table.weight[:1]
    report = measure_prior(prior, config, excerpts, None)
    assert by_name(report)["time"].none == pytest.approx(report.bits, abs=1e-5)
    assert by_name(report)["time"].wrong == pytest.approx(report.bits, abs=1e-5)


def test_upper_codes_made_level_are_their_mean_signal() -> None:
    config = tiny.tiny_config()
    prior, excerpts = loud(config.priors[1]), [excerpt(i) for i in range(2)]
    assert prior.upper is not None
    windows = cut_windows(prior.config, config, excerpts)
    codes = torch.stack([w.codes for w in windows])
    labels = Labels.stack([w.labels for w in windows])
    upper = torch.stack([w.upper for w in windows if w.upper is not None])
    with torch.no_grad():
        mean = prior.upper(upper).mean((0, 1))
        prior.upper.forward = lambda codes: mean.expand(len(codes), N, -1)  # type: ignore[method-assign]
        expected = float(prior.loss(codes, labels, upper).detach().mean())
        del prior.upper.forward
    found = by_name(measure_prior(prior, config, excerpts, None))
    assert list(found) == ["artist", "genre", "upper"]
    assert found["upper"].none == pytest.approx(expected, abs=1e-5)


def test_a_prior_is_told_the_pulse_that_the_song_has() -> None:
    config = config_of(2, pulse=PulseConfig())
    prior, excerpts = loud(config.priors[2]), [excerpt(i) for i in range(2)]
    pulses = {
        "0.wav": SongPulse(bar=40_000.0, downbeat=0.0, key=3),
        "1.wav": SongPulse(bar=60_000.0, downbeat=900.0, key=15),
    }
    report = measure_prior(prior, config, excerpts, None, told=Told(pulses))
    windows = cut_windows(prior.config, config, excerpts)
    codes = torch.stack([w.codes for w in windows])
    bare = Labels.stack([replace(w.labels, phase=None, tempo=None, key=None) for w in windows])
    starts = [e.start for e in excerpts]  # windows are as long as the excerpts
    rows = [pulse_rows(prior.config, p, at) for p, at in zip(pulses.values(), starts, strict=True)]
    right = float(prior.loss(codes, bare.with_pulse(rows)).detach().mean())
    assert report.bits == pytest.approx(right, abs=1e-5)
    assert by_name(report)["pulse"].wrong == pytest.approx(
        float(prior.loss(codes, bare.with_pulse(rows[::-1])).detach().mean()), abs=1e-5
    )
    untold = float(prior.loss(codes, bare).detach().mean())
    assert by_name(report)["pulse"].none == pytest.approx(untold, abs=1e-5)
    assert abs(untold - right) > 1e-3


def test_lyrics_right_and_shuffled() -> None:
    wanted = LyricsConfig(tokens=16, vocabulary="v3")
    config = config_of(2, lyrics=wanted, blocks=16)
    prior, excerpts = loud(config.priors[2]), [excerpt(i) for i in range(2)]
    words = {
        f"{i}.wav": Words(lyric_times=(TimedText(seconds=0.0, text=("go on", "sun")[i]),)) for i in range(2)
    }
    lyrics = {name: song_lyrics(said, wanted, tiny.RATE) for name, said in words.items()}
    report = measure_prior(prior, config, excerpts, None, told=Told(lyrics=lyrics, words=words))
    windows = cut_windows(prior.config, config, excerpts, Told(lyrics=lyrics))
    codes = torch.stack([w.codes for w in windows])
    labels = Labels.stack([w.labels for w in windows])
    padded = torch.zeros(2, 16, dtype=torch.long)
    for i, name in enumerate(words):
        ids = torch.from_numpy(lyrics[name].ids)
        padded[i, 16 - len(ids) :] = ids
    found = by_name(report)["lyrics"]
    for value, given in ((report.bits, padded), (found.wrong, padded[[1, 0]]), (found.none, 0 * padded)):
        assert value == pytest.approx(
            float(prior.loss(codes, labels, lyrics=given).detach().mean()), abs=1e-5
        )
    assert "lyrics" not in by_name(measure_prior(prior, config, excerpts, None))  # no song has any


def test_bits_of_windows_are_those_of_the_priors_loss() -> None:
    config = tiny.tiny_config()
    prior = loud(config.priors[0])
    windows = cut_windows(prior.config, config, [excerpt(i) for i in range(5)])  # more than a batch
    labels = Labels.stack([w.labels for w in windows])
    upper = torch.stack([w.upper for w in windows if w.upper is not None])
    expected = prior.loss(torch.stack([w.codes for w in windows]), labels, upper).detach()
    torch.testing.assert_close(window_bits(prior, windows).float(), expected, atol=1e-5, rtol=1e-5)


def test_what_a_corpus_says_of_its_songs_and_a_folder_does_not(tmp_path: Path) -> None:
    import json

    tiny.save_loops(tmp_path, 2, seconds=4.0)
    assert truths_of(tmp_path, list_sources(tmp_path)) == {}
    (tmp_path / "songs").mkdir()
    for index, (tonic, mode) in enumerate((("F#", "dorian"), ("D", "mixolydian"))):
        (tmp_path / f"loop{index}.wav").rename(tmp_path / "songs" / f"loop{index}.wav")
        said = {
            "id": f"{index}",
            "audio": f"loop{index}.wav",
            "genre": "house",
            "artist": "ada",
            "seconds": 4.0,
        }
        said |= {"bpm": 90 + index, "key": {"tonic": tonic, "mode": mode}, "split": "train"}
        (tmp_path / "songs" / f"loop{index}.json").write_text(json.dumps(said))
    (tmp_path / "corpus.json").write_text('{"version": 1, "complete": true}')
    sources = list_sources(tmp_path)
    assert truths_of(tmp_path, sources) == {
        "songs/loop0.wav": Truth(90.0, KeyEstimate(6, "minor", 1.0)),
        "songs/loop1.wav": Truth(91.0, KeyEstimate(2, "major", 1.0)),
    }
    pulsed = config_of(2, pulse=PulseConfig())
    told = told_of(tmp_path, sources, pulsed)
    assert told.pulses["songs/loop0.wav"] == SongPulse(bar=240 * tiny.RATE / 90, downbeat=0.0, key=19)
    sung = told_of(
        tmp_path, sources, config_of(2, lyrics=LyricsConfig(tokens=16, vocabulary="v3"), blocks=16)
    )
    assert not sung.lyrics and sung.why == (
        f"no audio file in '{tmp_path}' has lyrics beside it; put song.lrc or song.txt next to song.wav"
    )
