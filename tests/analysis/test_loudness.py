from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import signal as sps

from engine.analysis import integrated_loudness, measure_loudness, sample_peak, true_peak
from engine.analysis.loudness import k_weighted
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


def swelling(seconds: float, rate: int = RATE) -> np.ndarray:
    """Noise in steps of 5 s, some of them below the gates."""
    noise = np.random.default_rng(4).standard_normal(round(seconds * rate)) * 0.1
    steps = 10 ** (np.array([0, -6, -14, 3, -30, -9, -1, -20]) / 20)
    return (noise * steps[(np.arange(noise.size) // (5 * rate)) % steps.size]).astype(np.float32)


def test_weighting_is_that_of_the_standards_table_however_long_the_audio() -> None:
    # ITU-R BS.1770-4, tables 1 and 2, for 48 kHz.
    table = [
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
    ]
    for seconds in (0.5, 11.0, 40.0):
        noise = swelling(seconds, 48_000)
        assert np.abs(k_weighted(noise, 48_000) - sps.sosfilt(table, noise.astype(np.float64))).max() < 1e-7


@pytest.mark.parametrize("which", ["drums", "chords", "swelling"])
def test_agrees_with_pyloudnorm(which: str) -> None:
    pyloudnorm = pytest.importorskip("pyloudnorm")
    music = {
        "drums": lambda: drum_loop(128, 8.0),
        "chords": lambda: chords([(60, 64, 67), (65, 69, 72)], 4.0),
        "swelling": lambda: swelling(80.0),
    }[which]()
    meter, ours = pyloudnorm.Meter(RATE), measure_loudness(music, RATE)
    assert ours.integrated == pytest.approx(meter.integrated_loudness(music.astype(np.float64)), abs=0.05)
    assert ours.integrated == integrated_loudness(music, RATE)
    if which == "swelling":  # (it adds silence behind what it measures, which tells in what is short)
        assert ours.range == pytest.approx(meter.loudness_range(music.astype(np.float64)), abs=0.3)
        assert ours.range is not None and ours.range > 15


def test_range_of_two_levels() -> None:
    # EBU Tech 3342, case 1: -20 and -30 dBFS have a range of 10 LU.
    tone = np.concatenate([sine(1000.0, 20.0, 48_000, 10 ** (level / 20)) for level in (-20, -30)])
    assert measure_loudness(tone, 48_000).range == pytest.approx(10.0, abs=0.2)


def test_true_peak_between_the_samples() -> None:
    at = np.arange(RATE)
    quarter = np.sin(0.5 * np.pi * at + 0.25 * np.pi).astype(
        np.float32
    )  # samples at 0.707 of a wave that reaches 1
    quarter *= np.hanning(RATE).astype(np.float32)
    assert sample_peak(quarter) == pytest.approx(-3.01, abs=0.01)
    assert true_peak(quarter, RATE) == pytest.approx(0.0, abs=0.05)
    click = np.zeros(2000, np.float32)
    click[1000] = 0.5  # four times as many samples may miss the one that there is
    assert true_peak(click, RATE) >= -6.03


@pytest.mark.parametrize("which", ["drums", "chords", "noise"])
def test_true_peak_agrees_with_another_way_to_oversample(which: str) -> None:
    music = {
        "drums": lambda: drum_loop(128, 4.0),
        "chords": lambda: chords([(60, 64, 67), (65, 69, 72)], 2.0),
        "noise": lambda: swelling(6.0),
    }[which]()
    theirs = sps.resample_poly(music.astype(np.float64), 4, 1, window=("kaiser", 14.0))
    peak = max(np.abs(theirs).max(), np.abs(music).max())
    assert true_peak(music, RATE) == pytest.approx(20 * math.log10(peak), abs=0.15)


def test_too_short_or_silent_is_not_known() -> None:
    assert measure_loudness(np.zeros(5 * RATE, np.float32), RATE).integrated is None
    short = measure_loudness(sine(997.0, 0.2), RATE)
    assert (short.integrated, short.range, short.momentary, short.short_term) == (None, None, None, None)
    assert short.true_peak == pytest.approx(0.0, abs=0.2)  # (its sudden ends overshoot)
    assert measure_loudness(np.zeros(0, np.float32), RATE).true_peak is None
