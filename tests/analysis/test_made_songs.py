"""Tempo and key of songs that say what they are: the corpus generator's, whole and in pieces."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from engine.analysis import KeyEstimate, estimate_key, estimate_tempo
from engine.analysis.key import NOTES
from engine.corpus.dataset import load_manifest
from engine.corpus.make import make_corpus

SONGS = 10


@pytest.mark.slow
def test_tempo_and_key_of_made_songs(tmp_path: Path) -> None:
    make_corpus(tmp_path, SONGS, seed=4321)
    tempo_hits = octave_hits = piece_hits = key_hits = kept = 0
    for song in load_manifest(tmp_path):
        samples, rate = soundfile.read(song.audio, dtype="float32")
        tonic, mode = song.key.split()
        minor = mode in ("minor", "dorian")
        true = KeyEstimate(NOTES.index(tonic), "minor" if minor else "major", 1.0)
        ratio = estimate_tempo(samples, rate).bpm / song.bpm
        tempo_hits += abs(ratio - 1.0) < 0.02
        octave_hits += min(abs(ratio - octave) / octave for octave in (0.5, 1.0, 2.0)) < 0.02
        piece = samples[samples.size // 3 :][: 6 * rate]
        piece_ratio = estimate_tempo(piece, rate).bpm / song.bpm
        piece_hits += min(abs(piece_ratio - octave) / octave for octave in (0.5, 1.0, 2.0)) < 0.04
        key_hits += true.agrees(estimate_key(samples, rate))
        before, after = samples[6 * rate : 12 * rate], samples[12 * rate : 28 * rate]
        kept += estimate_key(before, rate).agrees(estimate_key(after, rate))
    # By chance a tempo within 2 % is hit for 3 % of the songs, a key or its relative for 17 %.
    assert octave_hits >= SONGS - 1
    # Drum and bass, reggae and lo-fi, three of these ten, may well be counted at half or double time.
    assert tempo_hits >= 0.5 * SONGS
    assert piece_hits >= 0.8 * SONGS
    assert key_hits >= 0.8 * SONGS
    assert kept >= 0.7 * SONGS  # 85 % of many more; one profile for tonic and scale at once: 69 %
