"""Scores: in key, in time, in form; every artist and genre playable."""

from __future__ import annotations

import numpy as np
import pytest

from engine.corpus.artists import ARTISTS, pairs
from engine.corpus.compose import compose
from engine.corpus.genres import GENRES
from engine.corpus.score import Score
from engine.corpus.theory import SCALES, parse_progression
from engine.corpus.voices.drums import DRUM_KEYS, KITS
from engine.corpus.voices.patches import PATCHES


def write(genre: str, artist: str, seed: int) -> Score:
    return compose(genre, artist, np.random.Generator(np.random.PCG64(seed)))


@pytest.fixture(scope="module")
def scores() -> list[Score]:
    return [write(genre, artist, seed) for genre, artist in pairs() for seed in (1, 2)]


def test_there_are_enough_genres_and_artists() -> None:
    assert len(GENRES) >= 10
    assert len(ARTISTS) >= 16
    assert {genre for genre, _ in pairs()} == set(GENRES)
    assert {artist for _, artist in pairs()} == set(ARTISTS)
    assert all(1 <= len(artist.genres) <= 3 for artist in ARTISTS.values())
    for genre in GENRES:
        assert sum(genre in artist.genres for artist in ARTISTS.values()) >= 2, genre


def test_artists_differ_in_sound() -> None:
    palettes = {(a.bass, a.chords, a.lead, a.kit) for a in ARTISTS.values()}
    assert len(palettes) == len(ARTISTS)


def test_the_data_names_only_what_exists() -> None:
    for artist in ARTISTS.values():
        assert artist.kit in KITS
        assert {artist.patch(t) for t in ("bass", "chords", "lead", "pad", "arp")} <= set(PATCHES)
    for genre in GENRES.values():
        assert set(genre.colour) <= {"pad", "arp"}
        for texts in genre.progressions.values():
            assert all(len(parse_progression(text)) >= 2 for text in texts)
        for groove in (*genre.main, genre.light, genre.full):
            assert set(groove) <= set(DRUM_KEYS)
            assert all(len(pattern) % 16 == 0 and set(pattern) <= set("Xxo.") for pattern in groove.values())
        assert all(len(p) % 16 == 0 and set(p) <= set("R5837a-.") for p in genre.bass)
        assert all(len(p) % 16 == 0 and set(p) <= set("x-.") for p in genre.chords)
        assert all(len(p) == 32 and set(p) <= set("x-.") for p in genre.lead)
        assert all(len(p) == 16 and set(p) <= set("01234-.") for p in genre.arp)


def test_songs_last_30_to_120_seconds_at_70_to_175_bpm(scores: list[Score]) -> None:
    assert all(30 <= score.seconds <= 118 for score in scores)
    assert all(70 <= score.bpm <= 175 for score in scores)
    assert min(s.bpm for s in scores) <= 80
    assert max(s.bpm for s in scores) >= 168
    assert any(s.swing > 0.55 for s in scores)


def test_every_song_has_its_form(scores: list[Score]) -> None:
    for score in scores:
        names = [section.name for section in score.sections]
        assert names[0] == "intro"
        assert names[-1] == "ending"
        assert {"verse", "chorus"} <= set(names)
        for earlier, later in zip(score.sections, score.sections[1:], strict=False):
            assert later.start_bar == earlier.start_bar + earlier.bars
            assert later.start_s == pytest.approx(earlier.end_s)
        bars = score.sections[-1].start_bar + score.sections[-1].bars
        assert score.seconds == pytest.approx(bars * 4 * 60 / score.bpm, abs=1e-4)
        assert {"drums", "bass", "chords", "lead"} <= set(score.tracks)


def test_a_chorus_is_fuller_than_a_verse(scores: list[Score]) -> None:
    fuller = 0
    for score in scores:
        rate = {}
        for name in ("verse", "chorus"):
            section = next(s for s in score.sections if s.name == name)
            notes = [
                n for t in score.tracks.values() for n in t if section.start_s <= n.start < section.end_s
            ]
            rate[name] = sum(n.velocity for n in notes) / (section.end_s - section.start_s)
        fuller += rate["chorus"] > rate["verse"]
    assert fuller >= 0.95 * len(scores)


def test_melodies_and_basses_keep_to_the_scale(scores: list[Score]) -> None:
    for score in scores:
        classes = {(score.tonic + step) % 12 for step in SCALES[score.mode]}
        for track, least in (("lead", 0.9), ("bass", 0.85), ("chords", 0.8)):
            pitches = [note.pitch % 12 for note in score.tracks[track]]
            assert np.mean([p in classes for p in pitches]) >= least, (score.genre, score.artist, track)


def test_the_last_bass_note_is_the_tonic(scores: list[Score]) -> None:
    home = [score.tracks["bass"][-1].pitch % 12 == score.tonic for score in scores]
    assert np.mean(home) >= 0.95


def test_notes_lie_on_the_swung_grid_as_tight_as_the_artist_plays(scores: list[Score]) -> None:
    for score in scores:
        step = 15 / score.bpm
        loose = ARTISTS[score.artist].loose_ms / 1000
        kicks = [n.start for n in score.tracks["drums"] if n.pitch == DRUM_KEYS["kick"]]
        on_beat = [t for t in kicks if abs(t / step - round(t / step / 4) * 4) < 0.3]
        assert on_beat
        assert max(abs(t - round(t / step / 4) * 4 * step) for t in on_beat) <= loose + 1e-6


def test_registers_are_those_of_the_instruments(scores: list[Score]) -> None:
    for score in scores:
        assert all(26 <= n.pitch <= 60 for n in score.tracks["bass"])
        assert all(48 <= n.pitch <= 98 for n in score.tracks["lead"])
        assert all(
            0 < n.velocity <= 1 and n.seconds > 0 and n.start >= 0 for t in score.tracks.values() for n in t
        )


def test_the_same_seed_is_the_same_score_and_another_is_not() -> None:
    assert write("house", "glass_harbor", 9) == write("house", "glass_harbor", 9)
    assert write("house", "glass_harbor", 9) != write("house", "glass_harbor", 10)


def test_unknown_names_raise() -> None:
    with pytest.raises(KeyError, match="polka"):
        write("polka", "glass_harbor", 1)
