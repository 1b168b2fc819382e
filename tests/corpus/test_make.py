"""Making corpora: the same whatever the jobs, resumable after a kill, never half a file, errors with a name."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import soundfile

from engine.corpus import make, song
from engine.corpus.artists import ARTISTS, pairs
from engine.corpus.dataset import load_manifest, read_manifest, slots
from engine.corpus.genres import GENRES
from engine.corpus.make import make_corpus
from engine.errors import BadArguments, BadFormat, DiskFull, NoFile, OutOfRange, PathNotAllowed
from tests.corpus.conftest import SEED, SONGS


def digests(folder: Path, count: int) -> dict[str, str]:
    """SHA-256 of every file of the first songs."""
    names = [f"s{SEED}-{index:05d}.{end}" for index in range(count) for end in ("flac", "mid", "json")]
    return {name: hashlib.sha256((folder / "songs" / name).read_bytes()).hexdigest() for name in names}


@pytest.mark.slow
def test_jobs_do_not_change_a_byte_and_a_corpus_can_grow(small_corpus: Path, tmp_path: Path) -> None:
    make_corpus(tmp_path / "two", 1, SEED, jobs=1)
    seen: list[tuple[int, int]] = []
    manifest = make_corpus(
        tmp_path / "two", 3, SEED, jobs=2, progress=lambda done, wanted, _: seen.append((done, wanted))
    )
    assert manifest["counts"]["songs"] == 3
    assert seen == [(2, 3), (3, 3)]
    assert digests(tmp_path / "two", 3) == digests(small_corpus, 3)


@pytest.mark.slow
def test_a_killed_run_leaves_whole_songs_and_the_next_one_completes_them(
    small_corpus: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "engine.corpus.cli", "make", "--out", str(folder), "--songs", str(SONGS)]
    run = subprocess.Popen([*command, "--seed", str(SEED), "--jobs", "2"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(folder.glob("songs/*.json")):
        assert time.monotonic() < deadline, "no song in two minutes"
        assert run.poll() is None, "the run ended before it was killed"
        time.sleep(0.01)
    workers = psutil.Process(run.pid).children(recursive=True)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    _, left = psutil.wait_procs(workers, timeout=20)
    assert workers
    assert not left, "workers outlive the run that started them"

    finished = load_manifest(folder)
    assert len(finished) >= 1
    assert read_manifest(folder)["counts"]["songs"] == 0, "the run had ended before it was killed"
    for info in finished:
        assert soundfile.info(info.audio).frames == round(info.seconds * 44_100)
    times = {info.audio: info.audio.stat().st_mtime_ns for info in finished}
    manifest = make_corpus(folder, SONGS, SEED, jobs=1)
    assert manifest["complete"]
    assert digests(folder, SONGS) == digests(small_corpus, SONGS)
    assert all(path.stat().st_mtime_ns == then for path, then in times.items()), (
        "finished songs were made again"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["corpus.json", "songs"]


def test_a_time_limit_stops_between_songs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The clock as it is read: at the start, before the first song, before the second.
    clock = iter((0.0, 30.0, 61.0))
    monkeypatch.setattr(make, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    manifest = make_corpus(tmp_path, 5000, SEED, jobs=1, minutes=1)
    assert not manifest["complete"]
    assert manifest["songs"] == 5000
    assert manifest["counts"]["songs"] == 1


def test_the_manifest_counts_what_lies_there(small_corpus: Path) -> None:
    manifest = json.loads((small_corpus / "corpus.json").read_text())
    songs = load_manifest(small_corpus)
    lengths = [soundfile.info(info.audio).duration for info in songs]
    assert manifest["complete"] is True
    assert manifest["seed"] == SEED
    assert manifest["counts"]["songs"] == len(songs) == SONGS
    assert manifest["seconds"] == pytest.approx(sum(lengths), abs=0.01)
    assert manifest["genres"] == sorted(GENRES)
    assert manifest["artists"] == sorted(ARTISTS)
    assert sum(manifest["counts"]["genres"].values()) == SONGS


def test_the_split_is_a_stable_tenth_and_trains_on_everyone() -> None:
    many = slots(1, 3000)
    assert slots(1, 500) == many[:500]
    held = [slot for slot in many if slot.split == "held-out"]
    assert 0.08 < len(held) / len(many) < 0.12
    # Written down when the split was first drawn: held-out songs must stay held out for ever.
    assert [slot.id for slot in slots(1, 120) if slot.split == "held-out"] == HELD_OUT
    for count in (len(GENRES) * 3, 200):
        train = [slot for slot in slots(1, count) if slot.split == "train"]
        assert {slot.genre for slot in train} == set(GENRES)
        assert {slot.artist for slot in train} == set(ARTISTS)


HELD_OUT = [f"s1-{index:05d}" for index in (39, 47, 58, 61, 62, 81, 83, 101, 116)]


def test_every_pair_comes_once_a_round() -> None:
    round_of = len(pairs())
    for start in (0, round_of, 5 * round_of):
        part = slots(3, start + round_of)[start:]
        assert sorted((slot.genre, slot.artist) for slot in part) == sorted(pairs())


def test_without_the_sound_package_songs_are_wav_of_the_same_samples(
    small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(song, "soundfile", None)
    make_corpus(tmp_path, 1, SEED)
    (info,) = load_manifest(tmp_path)
    assert info.audio.suffix == ".wav"
    with wave.open(str(info.audio)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (1, 44_100, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    reference, _ = soundfile.read(small_corpus / "songs" / f"s{SEED}-00000.flac", dtype="int16")
    np.testing.assert_array_equal(samples, reference)


@pytest.mark.slow
def test_a_bare_machine_is_enough(tmp_path: Path) -> None:
    program = f"""
import sys
class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {{"soundfile", "click", "rich", "mido", "pydantic", "torch", "soxr", "matplotlib"}}:
            raise ImportError(name)
sys.meta_path.insert(0, Bare())
from engine.corpus.make import make_corpus
print(make_corpus({str(tmp_path / "bare")!r}, 1, {SEED})["counts"]["songs"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("1", 0), done.stderr


def test_another_seed_in_the_same_folder_is_refused(small_corpus: Path) -> None:
    with pytest.raises(BadArguments) as caught:
        make_corpus(small_corpus, SONGS, SEED + 1)
    assert str(caught.value) == (
        f"{small_corpus} holds a corpus with seed {SEED}, not {SEED + 1}: "
        f"use seed {SEED} to go on with it, or another folder."
    )


def test_fewer_songs_than_there_are_is_refused(small_corpus: Path) -> None:
    with pytest.raises(BadArguments) as caught:
        make_corpus(small_corpus, 2, SEED)
    assert (
        str(caught.value)
        == f"{small_corpus} already holds {SONGS} songs, more than 2: ask for at least {SONGS}."
    )


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(BadArguments) as caught:
        make_corpus(tmp_path, 1, SEED)
    assert str(caught.value) == f"{tmp_path} holds files that are no corpus: give an empty or a new folder."
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "corpus"
    with pytest.raises(PathNotAllowed) as caught:
        make_corpus(folder, 1, SEED)
    assert (
        str(caught.value) == f"{folder} cannot be written (Not a directory): give a folder you may write to."
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"songs": 0}, "0 songs make no corpus: ask for at least 1."),
        ({"songs": 100_000}, "100000 songs are more than a corpus holds: ask for at most 99999."),
        ({"seed": -1}, "The seed -1 is outside its range: give a whole number from 0 to 2^63 - 1."),
        ({"jobs": 0}, "0 jobs make nothing: give at least 1."),
        ({"minutes": 0.0}, "0 minutes leave no time for a song: give more than 0."),
    ],
)
def test_values_out_of_range_are_named(tmp_path: Path, arguments: dict[str, float], message: str) -> None:
    with pytest.raises(OutOfRange) as caught:
        make_corpus(tmp_path / "new", **{"songs": 1, "seed": 1, **arguments})  # type: ignore[arg-type]
    assert str(caught.value) == message
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_named_and_leaves_no_half_song(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, pcm: np.ndarray) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(song, "write_audio", full)
        with pytest.raises(DiskFull) as caught:
            make_corpus(tmp_path, 1, SEED)
    song_files = [path for path in tmp_path.rglob("*") if path.suffix in (".flac", ".mid")]
    assert song_files == []
    assert str(caught.value) == (
        f"The disk of {tmp_path} is full: free some space and run the same command again to go on."
    )
    assert load_manifest(tmp_path) == []


def test_no_corpus_and_broken_ones_are_named(small_corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(NoFile) as caught:
        load_manifest(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no corpus: expected a corpus.json in it, as `segue corpus make` writes it."
    )
    (tmp_path / "corpus.json").write_text("{")
    with pytest.raises(
        BadFormat, match=r"is not a corpus manifest .* make the corpus again in an empty folder"
    ):
        load_manifest(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(small_corpus, copy)
    broken = copy / "songs" / f"s{SEED}-00002.json"
    broken.write_text("{}")
    with pytest.raises(BadFormat) as lacking:
        load_manifest(copy)
    assert str(lacking.value) == f"{broken} lacks 'key': delete it and run `segue corpus make` again."
    broken.write_text("nothing")
    with pytest.raises(BadFormat, match="is not song metadata"):
        load_manifest(copy)
