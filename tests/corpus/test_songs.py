"""Finished songs, measured by other programs: what they claim is what is heard."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import soundfile

from engine.analysis.key import NOTES, KeyEstimate, estimate_key
from engine.analysis.tempo import estimate_tempo
from engine.corpus.compose import compose
from engine.corpus.dataset import SongInfo, load_manifest
from engine.corpus.loudness import integrated_loudness
from engine.corpus.render import render_score


@pytest.fixture(scope="module")
def songs(small_corpus: Path) -> list[tuple[SongInfo, np.ndarray]]:
    return [(info, soundfile.read(info.audio, dtype="float32")[0]) for info in load_manifest(small_corpus)]


def metadata(info: SongInfo) -> dict[str, Any]:
    return dict(json.loads(info.audio.with_suffix(".json").read_text()))


@pytest.mark.slow
def test_the_audio_is_mono_16_bit_flac_of_the_stated_length(songs: list[tuple[SongInfo, np.ndarray]]) -> None:
    for info, _ in songs:
        about = soundfile.info(info.audio)
        assert (about.format, about.subtype, about.channels, about.samplerate) == (
            "FLAC",
            "PCM_16",
            1,
            44_100,
        )
        assert about.duration == pytest.approx(info.seconds, abs=1e-5)
        assert 30 <= info.seconds <= 120


def heard_tempo(samples: np.ndarray, bpm: int) -> bool:
    """Whether the tempo is heard, or its half or double."""
    ratio = estimate_tempo(samples, 44_100).bpm / bpm
    return min(abs(ratio - octave) for octave in (0.5, 1.0, 2.0)) < 0.02


def heard_key(samples: np.ndarray, tonic: int, mode: str) -> bool:
    """Whether the key, or its relative, is heard; mixolydian has the notes of the major key a fourth above."""
    tonics = (tonic, (tonic + 5) % 12) if mode == "mixolydian" else (tonic,)
    claimed = [KeyEstimate(t, "minor" if mode in ("minor", "dorian") else "major", 1.0) for t in tonics]
    return any(key.agrees(estimate_key(samples, 44_100)) for key in claimed)


def test_tempo_and_key_are_heard(songs: list[tuple[SongInfo, np.ndarray]]) -> None:
    assert all(heard_tempo(samples, info.bpm) for info, samples in songs)
    keys = [
        heard_key(samples, NOTES.index(info.key.split()[0]), info.key.split()[1]) for info, samples in songs
    ]
    assert sum(keys) >= len(songs) - 1


@pytest.mark.parametrize(
    ("genre", "artist", "seed"),
    [
        ("rock", "cedar_avenue", 28),
        ("bossa", "paper_lantern", 33),
        ("ambient", "mono_garden", 10),
        ("trap", "tin_comet", 10),
        ("lofi", "velvet_static", 16),
    ],
)
def test_other_genres_are_in_time_and_in_key_too(genre: str, artist: str, seed: int) -> None:
    score = compose(genre, artist, np.random.Generator(np.random.PCG64(seed)))
    samples = render_score(score)
    assert heard_tempo(samples, score.bpm)
    assert heard_key(samples, score.tonic, score.mode)
    assert integrated_loudness(samples) == pytest.approx(-16, abs=0.7)


def test_loudness_and_peaks_are_those_of_a_master(songs: list[tuple[SongInfo, np.ndarray]]) -> None:
    for info, samples in songs:
        assert integrated_loudness(samples) == pytest.approx(-16, abs=0.7), info.id
        assert np.abs(samples).max() <= 10 ** (-1 / 20)
        assert np.abs(samples).max() > 0.5
        assert abs(float(samples.mean())) < 5e-4


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_ffmpeg_measures_the_same_loudness(songs: list[tuple[SongInfo, np.ndarray]]) -> None:
    for info, samples in songs[:2]:
        command = ["ffmpeg", "-nostats", "-hide_banner", "-i", str(info.audio), "-af", "ebur128=peak=sample",
                   "-f", "null", "-"]  # fmt: skip
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        summary = report[report.rindex("Summary:") :]
        loudness = re.search(r"I:\s+(-?[\d.]+) LUFS", summary)
        peak = re.search(r"Peak:\s+(-?[\d.]+) dBFS", summary)
        assert loudness is not None
        assert peak is not None
        assert float(loudness[1]) == pytest.approx(integrated_loudness(samples), abs=0.2)
        assert float(peak[1]) <= -1.0


def test_silence_is_short_at_both_ends(songs: list[tuple[SongInfo, np.ndarray]]) -> None:
    for info, samples in songs:
        loud = np.flatnonzero(np.abs(samples) > 10 ** (-50 / 20))
        assert loud[0] < 0.5 * 44_100, info.id
        assert len(samples) - loud[-1] < 1.0 * 44_100, info.id
        assert abs(float(samples[-1])) < 1e-3


def test_no_hole_in_the_middle(songs: list[tuple[SongInfo, np.ndarray]]) -> None:
    for info, samples in songs:
        bar = int(4 * 60 / info.bpm * 44_100)
        for start in range(0, len(samples) - 2 * bar, bar):
            assert samples[start : start + bar].std() > 0.01, (info.id, start)


def test_sections_differ_audibly(songs: list[tuple[SongInfo, np.ndarray]]) -> None:
    for info, samples in songs:
        sections = metadata(info)["sections"]
        level = {}
        for section in sections:
            part = samples[int(section["start_s"] * 44_100) : int(section["end_s"] * 44_100)]
            level[section["name"]] = 20 * np.log10(part.std())
        assert level["chorus"] > level["intro"], info.id


def test_the_metadata_is_complete(songs: list[tuple[SongInfo, np.ndarray]]) -> None:
    for info, _ in songs:
        data = metadata(info)
        assert data["lyrics"] == []
        assert data["time_signature"] == "4/4"
        assert 0.5 <= data["swing"] <= 0.66
        assert data["split"] in ("train", "held-out")
        assert data["corpus_version"] == 1
        assert data["sections"][0]["start_s"] == 0
        assert data["sections"][-1]["end_s"] <= info.seconds + 3


def test_the_midi_file_is_the_song(songs: list[tuple[SongInfo, np.ndarray]]) -> None:
    for info, _ in songs:
        file = mido.MidiFile(info.audio.with_suffix(".mid"))
        assert file.type == 1
        names = [track.name for track in file.tracks]
        assert {"drums", "bass", "chords", "lead"} <= set(names)
        tempo = next(m.tempo for m in file.tracks[0] if m.type == "set_tempo")
        assert mido.tempo2bpm(tempo) == pytest.approx(info.bpm, abs=0.01)
        markers = [m.text for m in file.tracks[0] if m.type == "marker"]
        assert markers == [section["name"] for section in metadata(info)["sections"]]
        assert file.length == pytest.approx(info.seconds, abs=4)
        by_name = dict(zip(names, file.tracks, strict=True))
        assert {m.channel for m in by_name["drums"] if m.type == "note_on"} == {9}
        assert 9 not in {m.channel for m in by_name["bass"] if m.type == "note_on"}
        for track in file.tracks[1:]:
            ons = sum(m.type == "note_on" for m in track)
            assert ons == sum(m.type == "note_off" for m in track) > 0


def test_midi_notes_sound_where_they_are_written(songs: list[tuple[SongInfo, np.ndarray]]) -> None:
    for info, samples in songs:
        now, energies = 0.0, []
        file = mido.MidiFile(info.audio.with_suffix(".mid"))
        for message in file:
            now += message.time
            if message.type == "note_on" and message.channel == 9 and message.note == 36:
                at = int(now * 44_100)
                before, after = samples[max(0, at - 900) : at], samples[at : at + 1800]
                if len(before) == 900 and len(after) == 1800:
                    energies.append(after.std() > before.std())
        assert np.mean(energies) > 0.75, info.id


KEY_SIGNATURES = {"minor": "m", "dorian": "m", "major": "", "mixolydian": ""}


def test_the_midi_key_signature_holds_the_scale(songs: list[tuple[SongInfo, np.ndarray]]) -> None:
    for info, _ in songs:
        tonic, mode = info.key.split()
        signature = next(
            m.key
            for m in mido.MidiFile(info.audio.with_suffix(".mid")).tracks[0]
            if m.type == "key_signature"
        )
        assert signature.endswith("m") == (KEY_SIGNATURES[mode] == "m")
        if mode in ("major", "minor"):
            flats = {"Db": "C#", "Eb": "D#", "Gb": "F#", "Ab": "G#", "Bb": "A#", "Cb": "B"}
            name = signature.removesuffix("m")
            assert flats.get(name, name) == tonic
