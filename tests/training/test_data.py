"""Audio folders as training data: formats, labels, the split, the cache and the crops."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.errors import BadFormat, NoFile, TooShort, TrainingError
from engine.training.cache import CropSampler, open_cache
from engine.training.data import label_name, list_sources
from tests.training.sounds import RATE, tone, tone_cache, tone_folder


def pitch(samples: np.ndarray) -> float:
    """Frequency of the strongest partial, Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * RATE / len(samples)


@pytest.mark.parametrize(
    ("name", "rate", "channels", "subtype"),
    [
        ("stereo.wav", 48000, 2, "PCM_16"),
        ("float.wav", 96000, 1, "FLOAT"),
        ("loop.flac", 22050, 1, "PCM_24"),
        ("loop.ogg", 44100, 2, "VORBIS"),
        ("loop.mp3", 44100, 1, "MPEG_LAYER_III"),
        ("loop.aiff", 44100, 1, "PCM_16"),
    ],
)
def test_every_format_arrives_mono_at_the_models_rate(
    tmp_path: Path, name: str, rate: int, channels: int, subtype: str
) -> None:
    (tmp_path / "audio").mkdir()
    samples = np.repeat(tone(440, 2.0, rate)[:, None], channels, axis=1)
    soundfile.write(tmp_path / "audio" / name, samples, rate, subtype=subtype)
    cache = open_cache(tmp_path / "audio", tmp_path / "cache", RATE)
    train, held_out = cache.index.songs
    assert (train.split, held_out.split) == ("train", "held-out")  # a lone file gives its end
    assert train.frames + held_out.frames == pytest.approx(2 * RATE, abs=RATE * 0.06)  # MP3 pads
    middle = cache.audio(train, RATE // 2, RATE)
    assert pitch(middle) == pytest.approx(440, abs=2)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.03)


def test_bad_files_are_named_and_left_out(tmp_path: Path) -> None:
    folder = tone_folder(tmp_path / "audio", 3)
    (folder / "broken.wav").write_bytes(b"RIFF____WAVEnothing")
    (folder / "empty.flac").write_bytes(b"")
    soundfile.write(folder / "silent.wav", np.zeros(4000), RATE)
    soundfile.write(folder / "nan.wav", np.array([0.1, np.nan, 0.2]), RATE, subtype="FLOAT")
    cache = open_cache(folder, tmp_path / "cache", RATE)
    reasons = {skipped.name: skipped.reason for skipped in cache.index.skipped}
    assert reasons.keys() == {"broken.wav", "empty.flac", "silent.wav", "nan.wav"}
    assert reasons["silent.wav"] == "'silent.wav' is silent"
    assert reasons["nan.wav"] == "'nan.wav' holds values that are not numbers"
    assert "cannot be read as audio" in reasons["broken.wav"]
    assert [pitch(cache.audio(song)) for song in cache.index.songs] == pytest.approx([200, 300, 400], abs=1)


def test_nothing_to_train_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        NoFile, match=r"there is no folder '.*missing'; name a corpus folder or a folder of audio files"
    ):
        list_sources(tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("no audio")
    with pytest.raises(TrainingError, match="holds no audio; put WAV, FLAC, OGG, MP3 or AIFF files there"):
        list_sources(tmp_path)
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    with pytest.raises(
        TrainingError, match=r"none of the 1 audio files in '.*' can be used: 'bad.wav' cannot be read"
    ):
        open_cache(tmp_path, tmp_path / "cache", RATE)


def test_labels_from_a_table(tmp_path: Path) -> None:
    folder = tone_folder(tmp_path / "audio", 3)
    (folder / "metadata.csv").write_text(
        "file,artist,genre\ntone0.wav,Juno & Friends,Lo-Fi; Hip Hop\ntone1.wav,,House\n"
    )
    sources = {source.name: source for source in list_sources(folder)}
    assert (sources["tone0.wav"].artist, sources["tone0.wav"].genres) == (
        "juno_friends",
        ("lo_fi", "hip_hop"),
    )
    assert (sources["tone1.wav"].artist, sources["tone1.wav"].genres) == ("unknown", ("house",))
    assert (sources["tone2.wav"].artist, sources["tone2.wav"].genres) == ("unknown", ("unknown",))
    (folder / "metadata.csv").unlink()
    (folder / "metadata.jsonl").write_text(json.dumps({"file": "tone2.wav", "artist": "Me"}) + "\n")
    assert list_sources(folder)[2].artist == "me"
    (folder / "metadata.jsonl").write_text('{"artist": "Me"}\n')
    with pytest.raises(
        BadFormat, match=r"'metadata\.jsonl' cannot be read .* needs the columns file, artist and genre"
    ):
        list_sources(folder)
    assert label_name(" Été-80 ") == "t_80"


def test_about_a_tenth_is_held_out_and_a_file_keeps_its_side(tmp_path: Path) -> None:
    def touch(numbers: range) -> dict[str, bool]:
        for number in numbers:
            (tmp_path / f"loop {number}.wav").touch()
        return {source.name: source.held_out for source in list_sources(tmp_path)}

    many = touch(range(150))
    assert 6 <= sum(many.values()) <= 26
    more = touch(range(150, 200))
    assert {name: more[name] for name in many} == many


@pytest.mark.parametrize("count", [2, 3, 5])
def test_no_side_of_the_split_is_empty(tmp_path: Path, count: int) -> None:
    cache = tone_cache(tmp_path, count, 1.0)
    assert cache.songs("train")
    assert cache.songs("held-out")


def test_a_corpus_brings_its_own_split_and_labels(tmp_path: Path) -> None:
    songs = tone_folder(tmp_path / "songs", 3)
    (tmp_path / "corpus.json").write_text(json.dumps({"version": 1}))
    for number, split in enumerate(["train", "held-out", "train"]):
        song = {
            "id": f"s{number}",
            "audio": f"tone{number}.wav",
            "genre": "dub techno",
            "artist": "basement",
            "bpm": 120,
            "key": {"tonic": "A", "mode": "minor"},
            "seconds": 2.0,
            "split": split,
        }
        (songs / f"s{number}.json").write_text(json.dumps(song))
    cache = open_cache(tmp_path, tmp_path / "cache", RATE)
    assert [song.name for song in cache.songs("held-out")] == ["songs/tone1.wav"]
    assert {(song.artist, song.genres) for song in cache.index.songs} == {("basement", ("dub_techno",))}


def test_the_cache_is_made_once_and_renewed_when_files_change(tmp_path: Path) -> None:
    folder = tone_folder(tmp_path / "audio", 3)
    first = open_cache(folder, tmp_path / "cache", RATE)
    written = (tmp_path / "cache" / "audio.i16").stat().st_mtime_ns
    assert open_cache(folder, tmp_path / "cache", RATE).fingerprint == first.fingerprint
    assert (tmp_path / "cache" / "audio.i16").stat().st_mtime_ns == written
    soundfile.write(folder / "tone3.wav", tone(900, 1.0), RATE)
    renewed = open_cache(folder, tmp_path / "cache", RATE)
    assert len(renewed.index.songs) == 4
    assert renewed.fingerprint != first.fingerprint
    moved = open_cache(folder.rename(tmp_path / "elsewhere"), tmp_path / "other", RATE)
    assert moved.fingerprint == renewed.fingerprint


def test_crops_come_from_seed_and_step_alone(tmp_path: Path) -> None:
    cache = tone_cache(tmp_path, 4)
    crops = CropSampler(cache, "train", 1024, seed=5, gain_db=(-12.0, 0.0))
    again = CropSampler(cache, "train", 1024, seed=5, gain_db=(-12.0, 0.0))
    assert np.array_equal(crops.batch(7, 4), again.batch(7, 4))
    for other in (crops.batch(8, 4), crops.batch(7, 4, rank=1, world=2)):
        assert not np.array_equal(crops.batch(7, 4), other)
    trained = {200 + 100 * int(song.name[4]) for song in cache.songs("train")}
    batch = crops.batch(0, 64)
    assert batch.dtype == np.float32
    assert {round(pitch(crop) / 100) * 100 for crop in batch} == trained
    peaks = np.abs(batch).max(axis=1)
    assert 0.5 * 10 ** (-12 / 20) - 0.01 <= peaks.min() < 0.25
    assert 0.4 < peaks.max() <= 0.501


def test_ranks_share_out_what_one_process_would_draw(tmp_path: Path) -> None:
    crops = CropSampler(tone_cache(tmp_path, 4), "train", 1024, seed=5, gain_db=(-12.0, 20.0))
    parts = [crops.batch(7, 4, rank, world=3) for rank in range(3)]
    assert np.array_equal(np.concatenate(parts), crops.batch(7, 12))


def test_crops_cut_on_a_device_are_the_same(tmp_path: Path) -> None:
    crops = CropSampler(tone_cache(tmp_path, 5), "train", 1024, seed=5, gain_db=(-12.0, 20.0))
    assert not crops.placed
    crops.place(torch.device("cpu"))
    for step in range(20):
        picks, gains = crops.draw(step, 8)
        cut = crops.cut(torch.from_numpy(picks), torch.from_numpy(gains))
        np.testing.assert_allclose(cut.numpy(), crops.batch(step, 8), rtol=1e-6, atol=1e-7)


def test_a_gain_never_clips(tmp_path: Path) -> None:
    crops = CropSampler(tone_cache(tmp_path, 2), "train", 1024, seed=0, gain_db=(20.0, 20.0))
    assert np.abs(crops.batch(0, 8)).max() == pytest.approx(1.0, abs=1e-6)


def test_audio_shorter_than_a_crop_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        TooShort,
        match=r"the longest train file is 16000 samples and a crop is 16001; .*at most 16000 samples",
    ):
        CropSampler(tone_cache(tmp_path, 3), "train", 16001, seed=0)
