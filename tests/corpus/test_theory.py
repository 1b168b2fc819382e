"""Harmony against what a theory book says."""

from __future__ import annotations

import pytest

from engine.corpus.score import Clock, held
from engine.corpus.theory import (
    NOTE_NAMES,
    nearest,
    parse_chord,
    parse_progression,
    scale_pitches,
    snap,
    voice,
)


def names(text: str, tonic: str) -> list[str]:
    return [NOTE_NAMES[pc] for pc in parse_chord(text).pitch_classes(NOTE_NAMES.index(tonic))]


@pytest.mark.parametrize(
    ("chord", "tonic", "notes"),
    [
        ("I", "C", ["C", "E", "G"]),
        ("ii7", "C", ["D", "F", "A", "C"]),
        ("V7", "G", ["D", "F#", "A", "C"]),
        ("bVI", "A", ["F", "A", "C"]),
        ("bVII", "E", ["D", "F#", "A"]),
        ("im9", "A", ["A", "C", "E", "G", "B"]),
        ("IVmaj7", "D", ["G", "B", "D", "F#"]),
        ("iim7b5", "A", ["B", "D", "F", "A"]),
        ("Isus2", "F", ["F", "G", "C"]),
    ],
)
def test_numerals_spell_the_chords_of_the_book(chord: str, tonic: str, notes: list[str]) -> None:
    assert names(chord, tonic) == notes


@pytest.mark.parametrize("text", ["H", "bbVI", "Iaug", "", "VIII"])
def test_other_texts_are_no_chords(text: str) -> None:
    with pytest.raises(ValueError, match="is not a chord"):
        parse_chord(text)


def test_a_progression_has_a_chord_per_word() -> None:
    assert [chord.root for chord in parse_progression("i bVI bIII bVII")] == [0, 8, 3, 10]


def test_chord_tones_go_on_an_octave_higher() -> None:
    minor = parse_chord("i")
    assert [minor.tone(i) for i in range(5)] == [0, 3, 7, 12, 15]


def test_the_nearest_pitch_is_within_a_tritone() -> None:
    assert nearest(0, 60) == 60
    assert nearest(11, 60) == 59
    assert nearest(7, 60) in (55, 67)
    assert snap(61, (0, 4, 7)) == 60


def test_voicings_hold_the_chord_in_its_register() -> None:
    chord = parse_chord("IVmaj7")
    close = voice(chord, 0, 60, "close")
    assert {p % 12 for p in close} == {5, 9, 0, 4}
    assert max(close) - min(close) < 12
    assert {p % 12 for p in voice(chord, 0, 60, "shell")} == {9, 4}
    low, fifth, octave = voice(chord, 0, 52, "power")
    assert (fifth - low, octave - low, low % 12) == (7, 12, 5)
    opened = voice(chord, 0, 60, "open")
    assert {p % 12 for p in opened} == {5, 9, 0, 4}
    assert max(opened) - min(opened) > 12


def test_scale_pitches_are_the_white_keys() -> None:
    assert scale_pitches(0, (0, 2, 4, 5, 7, 9, 11), 60, 72) == (60, 62, 64, 65, 67, 69, 71, 72)


def test_swing_moves_only_the_off_steps() -> None:
    straight, swung = Clock(120), Clock(120, 0.6)
    assert straight.at(16) == swung.at(16) == 2.0
    assert straight.at(1) == 0.125
    assert swung.at(1) == pytest.approx(0.15)
    assert swung.at(2) == straight.at(2) == 0.25
    assert Clock(120, 0.6, 8).at(2) == pytest.approx(0.3)


def test_a_hold_lasts_until_the_next_sign() -> None:
    assert held("R--5.R-", 0) == 3
    assert held("R--5.R-", 3) == 1
    assert held("R--5.R-", 5) == 2
