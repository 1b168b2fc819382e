"""The pulse of songs that are trained on: as written in a corpus, as heard in any other folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from engine.corpus.dataset import load_manifest, load_song
from engine.corpus.make import make_corpus
from engine.prior.pulse import SongPulse
from engine.training.codes import CodedSong
from engine.training.pulses import pulses_of
from tests.analysis.synth import RATE, drum_loop


def song(name: str) -> CodedSong:
    return CodedSong(name=name, artist="unknown", genres=("unknown",), split="train", start=0, tokens=1)


def test_a_corpus_says_it(tmp_path: Path) -> None:
    make_corpus(tmp_path, 2, 5, jobs=1)
    infos = load_manifest(tmp_path)
    names = [f"songs/{info.audio.name}" for info in infos]
    found = pulses_of(tmp_path, [song(name) for name in names], RATE)
    for name, info in zip(names, infos, strict=True):
        written = load_song(info.audio.with_suffix(".json"))
        pulse = found[name]
        assert pulse.bar == pytest.approx(240 / written["bpm"] * RATE)
        assert pulse.downbeat == 0.0
        assert (pulse.key > 12) == (written["key"]["mode"] in ("minor", "dorian"))
        bars = written["sections"][0]["bars"]
        assert written["sections"][0]["end_s"] * RATE == pytest.approx(bars * pulse.bar, rel=1e-4)


def test_loops_are_listened_to(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loop.wav", 0.5 * drum_loop(126, 8.0), RATE)
    soundfile.write(tmp_path / "short.wav", 0.5 * drum_loop(126, 1.0), RATE)
    told: list[int] = []
    names = ["loop.wav", "short.wav", "gone.wav"]
    found = pulses_of(tmp_path, [song(name) for name in names], RATE, lambda: told.append(1))
    assert found["loop.wav"].bar == pytest.approx(240 / 126 * RATE, rel=0.01)
    assert found["short.wav"] == found["gone.wav"] == SongPulse()
    assert len(told) == 3
