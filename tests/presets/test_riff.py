"""The shipped riff, as other programs see it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess

import pytest
import soundfile

from engine.analysis import estimate_tempo
from engine.errors import NoFile
from presets import default_riff, riff


def test_four_bars_at_the_tempo_in_its_name() -> None:
    path = default_riff()
    match = re.search(r"_(\d+)bpm\.flac$", path.name)
    assert match is not None
    bpm = int(match[1])
    samples, rate = soundfile.read(path, dtype="float32")
    assert (samples.ndim, rate) == (1, 44100)
    assert len(samples) == pytest.approx(16 * 60 / bpm * 44100, abs=0.51)  # 4 bars of 4 beats
    assert estimate_tempo(samples, rate).bpm == pytest.approx(bpm, abs=0.5)


def test_small_loud_and_not_clipped() -> None:
    path = default_riff()
    assert path.is_absolute()
    assert path.stat().st_size <= 500_000
    samples, _ = soundfile.read(path)
    assert 0.3 < abs(samples).max() < 1.0


def test_its_provenance_is_of_this_file() -> None:
    path = default_riff()
    provenance = json.loads(path.with_suffix(".json").read_text())
    pcm, rate = soundfile.read(path, dtype="int16")
    assert hashlib.sha256(pcm.astype("<i2").tobytes()).hexdigest() == provenance["sha256_of_pcm"]
    assert (provenance["split"], provenance["frames"], provenance["sample_rate"]) == (
        "held-out",
        len(pcm),
        rate,
    )


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs ffprobe")
def test_another_program_reads_it() -> None:
    wanted = "stream=codec_name,sample_rate,channels,bits_per_raw_sample"
    command = ["ffprobe", "-v", "error", "-show_entries", wanted, "-of", "json", str(default_riff())]
    stream = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"][0]
    assert stream == {
        "codec_name": "flac",
        "sample_rate": "44100",
        "channels": 1,
        "bits_per_raw_sample": "16",
    }


def test_an_incomplete_installation_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(riff, "RIFFS", tmp_path)
    with pytest.raises(NoFile, match=r"the shipped riff is missing from .*; install Segue again"):
        default_riff()
