"""Files as other programs read them."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.request import Place, Pulse, Style
from engine.take import Take
from engine.take.marks import Marks, write_marks
from export.tracks.files import encoded, write
from export.tracks.finishing import finish
from export.tracks.track import FinishedTrack
from export.tracks.wishes import TrackWishes
from tests.tracks.made import RATE, made, sine

wavinfo = pytest.importorskip("wavinfo")

BPM, BEAT = 93.0, 33.5
MUSIC: dict[str, Any] = {
    "bpm": BPM,
    "bars": 2.0,
    "place": Place(beat=BEAT),
    "pulse": Pulse(bpm=BPM, key="F# minor"),
    "style": Style(genres={"lo-fi": 0.3, "house": 0.7}),
}
FRAMES = 227_613  # 2 bars of 4 beats at 93 bpm: 8 * 60 / 93 * 44100 = 227612.9


def song(root: Path, **request: Any) -> Take:
    return made(root, sine(FRAMES, gain=0.1), sine(100_000, 330.0, 0.1), **{**MUSIC, **request})


def exported(take: Take, folder: Path, **wishes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (path,) = write([take], TrackWishes(**wishes), folder, lambda track: None)
    return path


def log_of(path: Path) -> str:
    """What libsndfile says of every chunk."""
    with soundfile.SoundFile(path) as file:
        return str(file.extra_info)


def test_libsndfile_reads_every_chunk(tmp_path: Path) -> None:
    path = exported(song(tmp_path / "takes"), tmp_path / "out", loop=True)
    assert path.name == "A01_house+lo-fi_93bpm_F#min_s7_loop.wav"
    log = log_of(path)
    assert re.search(
        r"Flags +: 0x0016 \(Loop,RootNoteValid,StretchOn", log
    )  # a loop, its root, to be stretched
    assert re.search(r"Beats +: 8\n +Meter +: 4/4\n +Tempo +: 93\.0+\n", log)
    assert re.search(r"Root note : 0x36", log)  # 54: F#
    assert re.search(rf"Start : +0 +End : +{FRAMES - 1} ", log) and "Loop Count   : 1" in log
    assert re.search(r"labl : 1 : loop start\n +labl : 2 : window 2", log)
    info = soundfile.info(path)
    assert (info.frames, info.samplerate, info.subtype, info.channels) == (FRAMES, RATE, "PCM_24", 1)
    with soundfile.SoundFile(path) as file:
        assert (file.title, file.artist, file.genre) == ("A01", "Segue", "house+lo-fi")
        assert (
            file.comment
            == "take A01, house+lo-fi, 93 bpm, 4/4, 2 bars, F# minor, seed 7, model starter, full"
        )


@pytest.mark.parametrize(("rate", "reference"), [(44_100, 953_129), (48_000, 1_037_419)])
def test_the_place_in_the_song_is_right_to_the_sample(tmp_path: Path, rate: int, reference: int) -> None:
    # 33.5 beats at 93 bpm are 21.6129032... s
    assert abs(Fraction(335, 10) * 60 / 93 * rate - reference) <= Fraction(1, 2)
    take = song(tmp_path / "takes")
    bext = wavinfo.WavInfoReader(str(exported(take, tmp_path / "out", rate=rate))).bext
    assert (bext.time_reference, bext.version, bext.originator) == (reference, 2, "Segue")
    full = wavinfo.WavInfoReader(str(exported(take, tmp_path / "out", rate=rate, full=True)))
    assert abs(full.bext.time_reference - (reference - Fraction(100_000 * rate, RATE))) <= 1
    told = {name: value for scope, name, value in full.walk() if scope == "cues"}
    assert told[2] == {"frame": round(100_000 * rate / RATE), "label": "seam"}


def test_the_meter_of_a_take_and_its_seconds_on_the_time_line(tmp_path: Path) -> None:
    take = song(tmp_path / "takes", meter=(7, 8), place=Place(seconds=10.25), bpm=120.0, pulse=None)
    path = exported(take, tmp_path / "out")
    assert wavinfo.WavInfoReader(str(path)).bext.time_reference == 452_025
    log = log_of(path)
    assert re.search(r"Beats +: 7\n +Meter +: 7/8\n +Tempo +: 120\.0+\n", log)  # 2 bars of 3.5 quarter notes
    assert re.search(r"Flags +: 0x0014 \(Loop,RootNoteInvalid,StretchOn", log)  # no root is known


def test_free_time_is_a_one_shot_after_its_prime(tmp_path: Path) -> None:
    path = exported(made(tmp_path / "takes", sine(50_001), sine(30_000)), tmp_path / "out")
    assert path.name == "A01_s7.wav" and "(OneShot" in log_of(path)
    assert wavinfo.WavInfoReader(str(path)).bext.time_reference == 30_000
    assert soundfile.info(path).frames == 50_001


def test_wavinfo_reads_loudness_ixml_and_cues(tmp_path: Path) -> None:
    take = song(tmp_path / "takes")
    write_marks(take.folder, Marks(name="Größe ½", kept=True))
    path = exported(take, tmp_path / "out", full=True)
    track = finish(take, TrackWishes(full=True))
    read = wavinfo.WavInfoReader(str(path))
    assert read.bext.loudness_value == pytest.approx(track.loudness.integrated, abs=0.006)
    assert read.bext.max_true_peak == pytest.approx(track.loudness.true_peak, abs=0.006)
    assert read.bext.max_shortterm_loudness == pytest.approx(track.loudness.short_term, abs=0.006)
    assert (read.ixml.project, read.ixml.take, read.ixml.scene) == ("Segue", "Größe ½", "house+lo-fi")
    told = {name: value for scope, name, value in read.walk() if scope == "cues"}
    assert told[1] == {"frame": 0, "label": "prime"} and told[2] == {"frame": 100_000, "label": "seam"}
    assert path.name == "Grosse-1-2_house+lo-fi_93bpm_F#min_s7_full.wav" or path.name.isascii()
    ixml = ElementTree.fromstring(chunks_of(path)[b"iXML"])
    stamp = int(ixml.findtext("SPEED/TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO") or "")
    assert stamp == read.bext.time_reference and ixml.findtext("CIRCLED") == "TRUE"
    assert ixml.findtext("TRACK_LIST/TRACK_COUNT") == "1" and "93 bpm" in (ixml.findtext("NOTE") or "")


def chunks_of(path: Path) -> dict[bytes, bytes]:
    """Every chunk of a RIFF, whose sizes add up."""
    data = path.read_bytes()
    assert data[:4] == b"RIFF" and struct.unpack("<I", data[4:8])[0] == len(data) - 8
    found, at = {}, 12
    while at < len(data):
        name, size = struct.unpack("<4sI", data[at : at + 8])
        found[name] = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    assert at == len(data)
    return found


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_ffprobe_reads_the_place_and_the_format(tmp_path: Path) -> None:
    path = exported(song(tmp_path / "takes"), tmp_path / "out", bits="float32", rate=48_000)
    command = ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", str(path)]
    read = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    tags = {name.lower(): value for name, value in read["format"]["tags"].items()}
    assert tags["time_reference"] == "1037419" and tags["title"] == "A01"
    (stream,) = read["streams"]
    assert (stream["codec_name"], stream["sample_rate"]) == ("pcm_f32le", "48000")
    assert stream["duration_ts"] == 247_742  # 2 bars: 8 * 60 / 93 * 48000 = 247741.9


@pytest.mark.skipif(shutil.which("sox") is None, reason="sox is not installed")
def test_sox_reads_the_same_samples(tmp_path: Path) -> None:
    path = exported(song(tmp_path / "takes"), tmp_path / "out")
    raw = subprocess.run(
        ["sox", str(path), "-t", "raw", "-e", "signed", "-b", "32", "-"], capture_output=True, check=True
    ).stdout
    theirs = np.frombuffer(raw, "<i4") >> 8
    ours = finish(song(tmp_path / "again"), TrackWishes()).samples.astype(np.float64) * 2**23
    assert np.array_equal(theirs, np.rint(ours))


def test_formats_hold_the_same_sound(tmp_path: Path) -> None:
    take = song(tmp_path / "takes")
    wav, flac, exact = (
        soundfile.read(exported(take, tmp_path / "out", **wishes), dtype="float64")[0]
        for wishes in ({}, {"format": "flac"}, {"bits": "float32"})
    )
    samples = finish(take, TrackWishes()).samples
    assert np.array_equal(wav, flac) and np.array_equal(exact.astype(np.float32), samples)
    assert np.abs(wav - samples).max() <= 2**-24


def test_sixteen_bits_are_dithered_the_same_way_every_time(tmp_path: Path) -> None:
    quiet = sine(200_000, 1000.0, 0.4 / 32768)  # less than half a step: without dither nothing is left
    take = made(tmp_path / "takes", quiet, sine(RATE))
    wishes = {"bits": 16, "loudness": "made"}
    track = finish(take, TrackWishes(**wishes))
    steps = soundfile.read(exported(take, tmp_path / "out", **wishes), dtype="int16")[0].astype(np.float64)
    plain = soundfile.read(exported(take, tmp_path / "out", dither=False, **wishes), dtype="int16")[0]
    assert not plain.any() and steps.any()
    wanted = track.samples.astype(np.float64) * 32768
    assert steps @ wanted / (wanted @ wanted) == pytest.approx(
        1.0, abs=0.05
    )  # the tone is there, at its height
    # Triangular dither of two steps: rounding and it together have a variance of 1/12 + 1/6, whatever the sound.
    assert np.var(steps - wanted) == pytest.approx(0.25, rel=0.02)
    assert encoded(finish(take, TrackWishes(**wishes))) == encoded(track)


def test_no_file_is_replaced_and_the_same_is_not_written_twice(tmp_path: Path) -> None:
    take = song(tmp_path / "takes")
    first = exported(take, tmp_path / "out")
    before = first.read_bytes()
    assert exported(take, tmp_path / "out") == first
    other = exported(take, tmp_path / "out", bits=16)
    third = exported(made(tmp_path / "others", sine(FRAMES, 200.0), sine(9000), **MUSIC), tmp_path / "out")
    assert [path.name for path in (other, third)] == [f"{first.stem}-2.wav", f"{first.stem}-3.wav"]
    assert first.read_bytes() == before and len(list((tmp_path / "out").iterdir())) == 3


def test_unknown_loudness_and_overs_are_said(tmp_path: Path) -> None:
    silent = made(tmp_path / "takes", np.zeros(RATE, np.float32), sine(RATE))
    bext = chunks_of(exported(silent, tmp_path / "out"))[b"bext"]
    assert struct.unpack("<5h", bext[412:422]) == (0x7FFF,) * 5  # EBU Tech 3285: not stated
    assert len(bext) > 602
    loud = made(tmp_path / "loud", np.sign(sine(RATE, 5000.0)).astype(np.float32), sine(RATE))
    track: FinishedTrack = finish(loud, TrackWishes(loudness="made", rate=48_000))
    assert track.done.clipped == np.count_nonzero(np.abs(track.samples) > 1) > 0
    pcm = (
        soundfile.read(exported(loud, tmp_path / "out", loudness="made", rate=48_000), dtype="int32")[0] >> 8
    )
    assert pcm.max() == 2**23 - 1 and pcm.min() == -(2**23)
