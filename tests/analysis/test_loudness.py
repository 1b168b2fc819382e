from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.analysis import integrated_loudness, sample_peak
from engine.errors import TooShort

from .synth import RATE, chords, drum_loop, sine


@pytest.mark.parametrize("rate", [22050, 44100, 48000, 96000])
def test_full_scale_997_hz_is_minus_3_01_lufs(rate: int) -> None:
    assert integrated_loudness(sine(997.0, 5.0, rate), rate) == pytest.approx(-3.01, abs=0.05)


def test_minus_23_dbfs_sine_as_in_ebu_tech_3341() -> None:
    # Case 1 there is -23.0 LUFS in both channels of a stereo file; one channel alone is 3.01 LU less.
    tone = sine(1000.0, 20.0, 48000, 10 ** (-23 / 20))
    assert integrated_loudness(tone, 48000) == pytest.approx(-26.0, abs=0.1)


def test_the_gate_ignores_what_is_much_softer() -> None:
    loud, soft = sine(997.0, 5.0, amplitude=0.5), sine(997.0, 15.0, amplitude=0.005)
    alone = integrated_loudness(loud, RATE)
    assert integrated_loudness(np.concatenate([loud, soft]), RATE) == pytest.approx(alone, abs=0.3)


def test_silence_is_minus_infinity() -> None:
    assert integrated_loudness(np.zeros(RATE, np.float32), RATE) == -math.inf
    assert sample_peak(np.zeros(5, np.float32)) == -math.inf
    assert sample_peak(np.array([0.1, -0.5])) == pytest.approx(-6.02, abs=0.01)


def test_shorter_than_a_block_is_refused() -> None:
    with pytest.raises(TooShort, match=r"^loudness needs at least 0\.4 s of audio, not 0\.20 s$"):
        integrated_loudness(sine(997.0, 0.2), RATE)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("which", ["drums", "chords"])
def test_agrees_with_ffmpeg(which: str, tmp_path: Path) -> None:
    music = drum_loop(128, 8.0) if which == "drums" else chords([(60, 64, 67), (65, 69, 72)], 4.0)
    path = tmp_path / "music.wav"
    soundfile.write(path, music, RATE, subtype="FLOAT")
    command = ["ffmpeg", "-nostats", "-i", str(path), "-af", "ebur128", "-f", "null", "-"]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    theirs = float(re.findall(r"I:\s+(-?[\d.]+) LUFS", report)[-1])
    assert integrated_loudness(music, RATE) == pytest.approx(theirs, abs=0.15)
