"""Reading what DAWs write: files made by sox, ffmpeg and by hand, never by the code under test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.audio import AudioFile, probe, read_audio
from engine.errors import BadFormat, NoFile, OutOfRange

TONE_HZ, PEAK = 440.0, 0.5


def tone(path: Path, rate: int, channels: int, bits: str, seconds: float = 3.0) -> Path:
    """A sine by sox: ``bits`` as its ``-b``, or "32f"."""
    depth = ["-b", "32", "-e", "floating-point"] if bits == "32f" else ["-b", bits]
    command = ["sox", "-D", "-n", "-r", str(rate), "-c", str(channels), *depth, str(path)]
    subprocess.run([*command, "synth", str(seconds), "sine", str(TONE_HZ), "vol", str(PEAK)], check=True)
    return path


def loudest_hz(samples: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate / len(samples)


@pytest.mark.parametrize(
    ("rate", "channels", "bits"),
    [(48_000, 2, "16"), (22_050, 1, "16"), (96_000, 1, "32f"), (44_100, 6, "24"), (11_127, 1, "8")],
)
def test_a_wav_of_any_kind_sounds_the_same(tmp_path: Path, rate: int, channels: int, bits: str):
    path = tone(tmp_path / "tone.wav", rate, channels, bits)
    read = read_audio(path)
    assert (read.rate, read.channels, read.frames) == (rate, channels, 3 * rate)
    assert read.peak == pytest.approx(PEAK, abs=0.01)
    at_model_rate = read.mono().resample(44_100)
    assert at_model_rate.frames == 3 * 44_100
    assert loudest_hz(at_model_rate.mono_samples(), 44_100) == pytest.approx(TONE_HZ, abs=0.5)


@pytest.mark.parametrize("codec", ["flac", "ogg", "mp3", "aiff"])
def test_other_formats_by_ffmpeg(tmp_path: Path, codec: str):
    source = tone(tmp_path / "tone.wav", 44_100, 2, "16")
    path = tmp_path / f"tone.{codec}"
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(source), str(path)], check=True)
    read = read_audio(path, 1.0, 1.0)
    assert (read.rate, read.channels, read.frames) == (44_100, 2, 44_100)
    assert loudest_hz(read.mono_samples(), 44_100) == pytest.approx(TONE_HZ, abs=1.0)


def test_a_span_is_cut_to_the_sample(tmp_path: Path):
    ramp = np.arange(48_000, dtype=np.int16)[:32_000]
    soundfile.write(tmp_path / "ramp.wav", ramp, 8_000, subtype="PCM_16")
    read = read_audio(tmp_path / "ramp.wav", 1.25, 0.5)
    assert np.array_equal(read.samples[:, 0] * 32_768, np.arange(10_000, 14_000))


def test_only_the_span_is_read(tmp_path: Path):
    path = tone(tmp_path / "tone.wav", 44_100, 1, "16", seconds=120.0)
    with AudioFile(path) as file:
        start, frames = file.span(100.0, 1.0)
        before = _bytes_read()
        list(file.blocks(start, frames))
        assert _bytes_read() - before < 400_000  # one second is 88 kB, the file 10 MB


def _bytes_read() -> int:
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"])


@pytest.mark.parametrize(
    ("start", "length", "message"),
    [
        (3.5, None, "the span starts at 3.5 s, but '{}' is 3.00 s long; start inside it"),
        (3.0, 1.0, "the span starts at 3 s, but '{}' is 3.00 s long; start inside it"),
        (
            2.0,
            1.5,
            "the span of 2 s to 3.5 s reaches beyond the end of '{}' at 3.00 s; a length up to 1.00 s fits",
        ),
        (1.0, 0.00001, "the span is 1e-05 s long; it must be longer than 0"),
    ],
)
def test_a_span_outside_the_file(tmp_path: Path, start: float, length: float | None, message: str):
    path = tone(tmp_path / "tone.wav", 44_100, 1, "16")
    with pytest.raises(OutOfRange) as raised:
        read_audio(path, start, length)
    assert raised.value.message == message.format(path)


def test_a_marker_rounded_by_a_daw_is_forgiven(tmp_path: Path):
    path = tone(tmp_path / "tone.wav", 44_100, 1, "16")
    assert read_audio(path, 1.0, 2.005).frames == 2 * 44_100


def wav_bytes(
    channels: int = 1, rate: int = 44_100, promised: int | None = None, present: int = 88_200
) -> bytes:
    """A 16-bit WAV header over ``present`` bytes of a square wave."""
    words = [
        16,
        1 | channels << 16,
        rate,
        (rate * 2 * channels) & 0xFFFFFFFF,
        (2 * channels & 0xFFFF) | 16 << 16,
    ]
    promised = present if promised is None else promised
    header = b"RIFF" + (36 + promised).to_bytes(4, "little") + b"WAVEfmt "
    header += b"".join(word.to_bytes(4, "little") for word in words)
    return header + b"data" + promised.to_bytes(4, "little") + b"\x00\x10\x00\xf0" * (present // 4)


def test_the_handmade_wav_is_right_when_nothing_is_wrong(tmp_path: Path):
    (tmp_path / "x.wav").write_bytes(wav_bytes())
    assert read_audio(tmp_path / "x.wav").seconds == 1.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "'{}' is empty (0 bytes); export it again"),
        (wav_bytes(present=0), "'{}' holds no samples; export it again with audio in it"),
        (wav_bytes()[:44], "'{}' is truncated before its first sample; copy or export it again"),
        (
            wav_bytes(promised=352_800),
            "'{}' is truncated: its header promises 4.00 s but 1.00 s are there; "
            "copy or export it again, or give a span inside what is there",
        ),
        (
            wav_bytes(channels=0),
            "'{}' cannot be read as audio (Channel count is zero); give a whole WAV, FLAC, OGG, MP3 or AIFF file",
        ),
        (wav_bytes(channels=65), "'{}' has 65 channels; export it with 64 or fewer"),
        (wav_bytes(rate=3), "'{}' has a sampling rate of 3 Hz; it must lie between 4000 and 384000 Hz"),
        (
            wav_bytes(rate=2_000_000),
            "'{}' has a sampling rate of 2000000 Hz; it must lie between 4000 and 384000 Hz",
        ),
        (
            b"<html>404</html>" * 100,
            "'{}' cannot be read as audio (Format not recognised); give a whole WAV, FLAC, OGG, MP3 or AIFF file",
        ),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "riff.wav"
    path.write_bytes(content)
    with pytest.raises(BadFormat) as raised:
        read_audio(path)
    assert raised.value.message == message.format(path)


def test_what_is_there_of_a_truncated_file_can_be_asked_for(tmp_path: Path):
    path = tmp_path / "riff.wav"
    path.write_bytes(wav_bytes(promised=352_800))
    assert read_audio(path, 0.25, 0.5).frames == 22_050
    with pytest.raises(BadFormat, match=r"promises 4\.00 s but 1\.00 s are there"):
        read_audio(path, 0.5, 2.0)


@pytest.mark.parametrize("codec", ["flac", "ogg", "mp3", "aiff"])
def test_other_truncated_formats_are_refused(tmp_path: Path, codec: str):
    source = tone(tmp_path / "tone.wav", 44_100, 1, "16")
    path = tmp_path / f"tone.{codec}"
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(source), str(path)], check=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(BadFormat, match=r"truncated|malformed"):
        read_audio(path)


def test_numbers_that_are_none(tmp_path: Path):
    samples = np.zeros((44_100, 2), np.float32)
    samples[11_025, 1] = np.nan
    samples[20_000, 0] = np.inf
    path = tmp_path / "riff.wav"
    soundfile.write(path, samples, 44_100, subtype="FLOAT")
    with pytest.raises(BadFormat) as raised:
        read_audio(path)
    assert raised.value.message == (
        f"'{path}' holds samples that are not numbers (NaN or infinite), the first at 0.250 s; export it again"
    )


def test_no_file_at_all(tmp_path: Path):
    for path, message in [
        (tmp_path / "none.wav", "there is no file '{}'; check the path"),
        (tmp_path, "'{}' is a folder or a device; give an audio file"),
        (Path("/dev/zero"), "'{}' is a folder or a device; give an audio file"),
        (Path("bad\0name.wav"), "there is no file '{}'; check the path"),
    ]:
        with pytest.raises(NoFile) as raised:
            probe(path)
        assert raised.value.message == message.format(path)


def test_no_right_to_read(tmp_path: Path):
    path = tone(tmp_path / "tone.wav", 44_100, 1, "16", seconds=1.0)
    path.chmod(0)
    script = (
        "import os, sys\n"
        "from engine.audio import probe\n"
        "from engine.errors import NoFile\n"
        "if os.geteuid() == 0: os.chmod(sys.argv[2], 0o755); os.seteuid(65534)\n"
        "try: probe(sys.argv[1])\n"
        "except NoFile as error: print(error.message)\n"
    )
    code = [sys.executable, "-c", script, str(path), str(tmp_path)]
    said = subprocess.run(code, capture_output=True, text=True, check=True).stdout.strip()
    assert said == f"'{path}' may not be read; change its rights or give another file"


def test_files_are_closed_again(tmp_path: Path):
    path = tmp_path / "riff.wav"
    path.write_bytes(wav_bytes(promised=352_800))
    good = tone(tmp_path / "tone.wav", 44_100, 1, "16", seconds=1.0)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        read_audio(good)
        with pytest.raises(BadFormat):
            read_audio(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
