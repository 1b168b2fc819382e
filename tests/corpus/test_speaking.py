"""Making the bank with espeak-ng: what is spoken is heard as it sounds; without it, a sentence says so."""

from __future__ import annotations

import ctypes.util
from pathlib import Path

import numpy as np
import pytest

from engine.corpus.singing import recording, speaking
from engine.corpus.singing.bank import Word, band_centres, read_bank
from engine.corpus.singing.hearing import envelope, tone
from engine.corpus.singing.recording import record, record_bank
from engine.corpus.singing.speaking import Speaker
from engine.errors import BadFormat, NotReady, PathNotAllowed

with_espeak = pytest.mark.skipif(
    ctypes.util.find_library("espeak-ng") is None, reason="espeak-ng is not installed"
)


def second_formant(word: Word) -> float:
    """The strongest band above 700 Hz in the middle of the word's vowel, in Hz."""
    first, last = word.vowels[0]
    row = word.envelope[(first + last) // 2]
    centres = band_centres()
    above = (centres > 700) & (centres < 3500)
    return float(centres[above][np.argmax(row[above])])


@with_espeak
def test_words_are_recorded_with_their_vowels_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [("en-us+f2", word) for word in ("see", "all", "river", "stay")]
    monkeypatch.setattr(recording, "recordings", lambda: names)
    ticks: list[int] = []
    size = record_bank(tmp_path / "bank.npz", lambda: ticks.append(1))
    assert size == (tmp_path / "bank.npz").stat().st_size
    assert len(ticks) == len(names)
    bank = read_bank(tmp_path / "bank.npz")
    # Peterson & Barney 1952, women: the second formant of "ee" lies at 2790 Hz, that of "aw" at 920 Hz.
    assert second_formant(bank.word("en-us+f2", "see")) > 2200
    assert second_formant(bank.word("en-us+f2", "all")) < 1500
    assert len(bank.word("en-us+f2", "river").vowels) == 2
    stay = bank.word("en-us+f2", "stay")
    assert not stay.voiced[: stay.vowels[0][0] - 3].any()
    assert stay.voiced[stay.vowels[0][0] :].all()
    with pytest.raises(PathNotAllowed, match="cannot be written"):
        record_bank(tmp_path / "none" / "bank.npz")


@with_espeak
def test_a_word_with_other_syllables_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(recording.VOCABULARY, "river", 3)
    with pytest.raises(BadFormat) as caught:
        record(Speaker(), "en-us+f2", "river")
    assert str(caught.value) == "espeak-ng speaks 'river' with 2 vowels, not 3: use another version of it."


@with_espeak
def test_a_voice_that_is_not_there_is_named() -> None:
    with pytest.raises(NotReady) as caught:
        Speaker().say("see", "xx-nowhere", 150, 50)
    assert str(caught.value) == "espeak-ng has no voice xx-nowhere: install its data again."


def test_without_espeak_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaking.ctypes.util, "find_library", lambda name: None)
    with pytest.raises(NotReady) as caught:
        Speaker()
    assert str(caught.value) == "espeak-ng is not installed; on Debian or Ubuntu: apt-get install espeak-ng"


def test_an_envelope_is_that_of_the_filter_and_not_of_the_pitch() -> None:
    # Pulses at 110 Hz through one resonance at 1000 Hz, 100 Hz wide.
    rate, pitch = 22_050, 110.0
    samples = np.zeros(rate)
    samples[np.round(np.arange(0, rate - 1, rate / pitch)).astype(int)] = 1.0
    pole = np.exp((-100 * np.pi + 2j * np.pi * 1000) / rate)
    response = np.real(pole ** np.arange(2000))
    samples = np.convolve(samples, response)[:rate]
    assert tone(samples[5000:9000], rate) == pytest.approx(pitch, rel=0.002)
    level = envelope(samples, rate, 0.5, pitch)
    hertz = np.arange(len(level)) * rate / 2048
    ideal = 20 * np.log10(np.abs(np.fft.rfft(response, 2048)))
    inside = (hertz > 300) & (hertz < 2500)
    error = (level - ideal)[inside]
    assert np.std(error) < 2.0
    assert hertz[np.argmax(level)] == pytest.approx(1000, abs=40)
