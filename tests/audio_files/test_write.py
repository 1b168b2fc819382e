"""Writing takes' audio: bits as another program reads them, all or nothing."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.audio import Waveform, quantise24, read_audio, write_wav24, write_wav_float
from engine.errors import DiskFull, NoFile, PathNotAllowed

RATE = 44_100


def samples_by_ffmpeg(path: Path) -> np.ndarray:
    """The file's samples as 32-bit integers."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "s32le", "-c:a", "pcm_s32le", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, "<i4")


def test_24_bits_as_ffmpeg_reads_them(tmp_path: Path):
    samples = np.array([0.0, 2**-23, -(2**-23), 0.5, -1.0, 1.0, 1.5, -2.0, 2**-25, 0.25 + 2**-24], np.float32)
    clipped = write_wav24(tmp_path / "x.wav", samples, RATE)
    assert clipped == 2
    top = 2**23 - 1
    expected = [0, 1, -1, 2**22, -(2**23), top, top, -(2**23), 0, 2**21]  # halves round to even
    assert (samples_by_ffmpeg(tmp_path / "x.wav") >> 8).tolist() == expected


def test_what_is_streamed_equals_what_is_filed(tmp_path: Path):
    samples = np.random.default_rng(3).uniform(-1.2, 1.2, RATE).astype(np.float32)
    write_wav24(tmp_path / "x.wav", samples, RATE)
    assert np.array_equal(read_audio(tmp_path / "x.wav").samples[:, 0], quantise24(samples))


@given(st.lists(st.floats(-1, 1 - 2**-23, width=32), min_size=1, max_size=50))
def test_rounding_to_24_bits_is_within_half_a_step_and_final(values: list[float]):
    samples = np.array(values, np.float32)
    once = quantise24(samples)
    assert np.abs(once.astype(np.float64) - samples).max() <= 2**-24
    assert np.array_equal(quantise24(once), once)


def test_float_files_keep_every_bit(tmp_path: Path):
    samples = np.random.default_rng(3).normal(0, 2, (1_000, 2)).astype(np.float32)
    write_wav_float(tmp_path / "x.wav", samples, 96_000)
    read = read_audio(tmp_path / "x.wav")
    assert read.rate == 96_000 and np.array_equal(read.samples, samples)


def test_numbers_that_are_none_are_not_written(tmp_path: Path):
    with pytest.raises(ValueError, match="finite"):
        write_wav24(tmp_path / "x.wav", np.array([0.0, np.nan], np.float32), RATE)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "x.wav"
    write_wav24(path, np.zeros(100, np.float32), RATE)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(DiskFull) as raised:
            write_wav24(path, np.zeros(RATE, np.float32), RATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.code == 507
    assert raised.value.message == (
        f"there is no room to write '{path}'; free some space or choose another takes folder, "
        "and the take can be resumed"
    )
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_no_folder_and_no_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(NoFile, match="cannot be written because its folder is missing or is a file"):
        write_wav24(tmp_path / "none" / "x.wav", np.zeros(9, np.float32), RATE)

    def refuse(source: object, target: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("engine.audio.durable.os.replace", refuse)
    with pytest.raises(PathNotAllowed, match="may not be written; choose a folder that you may write to"):
        write_wav24(tmp_path / "x.wav", np.zeros(9, np.float32), RATE)
    assert list(tmp_path.iterdir()) == []


def test_a_kill_while_writing_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "x.wav"
    write_wav24(path, np.zeros(100, np.float32), RATE)
    before = path.read_bytes()
    script = (
        "import os, sys, numpy as np\n"
        "from engine.audio import write_wav24\n"
        "os.replace = lambda *a: os.kill(os.getpid(), 9)\n"
        "write_wav24(sys.argv[1], np.ones(1000, np.float32), 44100)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)]).returncode == -9
    assert path.read_bytes() == before


def test_a_waveform_checks_itself():
    with pytest.raises(
        ValueError, match=r"samples are float64 \[4\]; float32 \[frames, channels\] is wanted"
    ):
        Waveform(np.zeros(4), RATE)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the rate is 0 Hz; it must be above 0"):
        Waveform(np.zeros((4, 1), np.float32), 0)
    wave = Waveform.of_mono(np.arange(10, dtype=np.float32), 10)
    assert wave.seconds == 1.0 and wave.slice(2, 4).samples[:, 0].tolist() == [2.0, 3.0]
    with pytest.raises(ValueError, match="frames 5 to 11 do not lie inside a waveform of 10 frames"):
        wave.slice(5, 11)
