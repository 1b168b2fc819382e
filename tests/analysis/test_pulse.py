"""Hearing tempo, bar and key: loops whose beats are known by construction, and songs whose score is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.analysis.pulse import estimate_pulse
from engine.corpus.dataset import load_manifest, load_song
from engine.corpus.make import make_corpus
from engine.training.data import read_blocks
from tests.analysis.synth import RATE


def bars(bpm: float, count: int, lead: float) -> np.ndarray:
    """``lead`` seconds of nothing, then bars: a deep note on the first beat, another chord each bar, ticks between."""
    beat = 60.0 / bpm
    sound = np.zeros(round((lead + count * 4 * beat + 0.5) * RATE))
    time = np.arange(round(0.25 * RATE)) / RATE
    for number in range(count * 4):
        at = round((lead + number * beat) * RATE)
        first = number % 4 == 0
        hit = np.sin(2 * np.pi * (60 if first else 900) * time) * np.exp(-time * (12 if first else 60))
        sound[at : at + hit.size] += (0.8 if first else 0.25) * hit
    for bar in range(count):
        start, stop = (round((lead + (bar + edge) * 4 * beat) * RATE) for edge in (0, 1))
        root = (261.63, 349.23, 392.0, 293.66)[bar % 4]
        span = np.arange(stop - start) / RATE
        sound[start:stop] += 0.1 * sum(np.sin(2 * np.pi * root * ratio * span) for ratio in (1, 1.26, 1.5))
    return sound.astype(np.float32)


@pytest.mark.parametrize("bpm, lead", [(90.0, 0.3), (118.0, 1.1), (124.0, 0.0)])
def test_the_bar_of_a_loop_is_found(bpm: float, lead: float) -> None:
    found = estimate_pulse(bars(bpm, 5, lead), RATE)
    assert found is not None
    bar = 240.0 / bpm
    assert found.bpm == pytest.approx(bpm, rel=0.005)
    off = (found.downbeat - lead + bar / 2) % bar - bar / 2
    assert abs(off) < 0.02


def test_a_tempo_that_is_known_is_kept() -> None:
    found = estimate_pulse(bars(120.0, 4, 0.0), RATE, bpm=60.0)
    assert found is not None and found.bpm == 60.0 and 0.0 <= found.downbeat < 4.0


def test_nothing_is_told_of_silence_or_of_too_little() -> None:
    assert estimate_pulse(np.zeros(5 * RATE, np.float32), RATE) is None
    assert estimate_pulse(bars(120.0, 1, 0.0), RATE) is None


@pytest.mark.slow
def test_most_songs_of_the_corpus_are_heard_as_they_are_written(tmp_path: Path) -> None:
    """The score says tempo and bars; a third at most is heard otherwise (half time, a bar that begins elsewhere)."""
    make_corpus(tmp_path, 8, 31, jobs=1)
    right = 0
    for song in load_manifest(tmp_path):
        samples = np.concatenate(list(read_blocks(song.audio, RATE)))[4 * RATE : 14 * RATE]
        written = load_song(song.audio.with_suffix(".json"))
        found = estimate_pulse(samples, RATE)
        if found is None:
            continue
        beat = 60.0 / written["bpm"]
        off = (found.downbeat + 4.0 + beat / 2) % beat - beat / 2
        right += abs(found.bpm / written["bpm"] - 1) < 0.01 and abs(off) < 0.03
    assert right >= 5
