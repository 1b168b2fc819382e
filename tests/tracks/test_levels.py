"""How loud a track is, as other programs measure it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, resample_poly, sosfilt

from export.tracks.finishing import finish
from export.tracks.levels import under_ceiling
from export.tracks.wishes import TrackWishes
from tests.tracks.made import RATE, made, sine

pyloudnorm = pytest.importorskip("pyloudnorm")


def noise(seed: int, gain: float, seconds: float = 4.0) -> np.ndarray:
    """Without what lies above 15 kHz, which programs weigh differently."""
    white = np.random.default_rng(seed).standard_normal(round(seconds * RATE)) * gain
    return sosfilt(butter(8, 15_000, fs=RATE, output="sos"), white).astype(np.float32)


def lufs(samples: np.ndarray, rate: int = RATE) -> float:
    return float(pyloudnorm.Meter(rate).integrated_loudness(samples.astype(np.float64)))


def dbtp(samples: np.ndarray) -> float:
    wave = resample_poly(samples.astype(np.float64), 4, 1, window=("kaiser", 14.0))
    return 20 * math.log10(max(np.abs(wave).max(), np.abs(samples).max()))


def test_a_track_is_as_loud_as_its_prime(tmp_path: Path) -> None:
    prime = noise(1, 0.05)
    track = finish(made(tmp_path, noise(2, 0.1), prime), TrackWishes())
    assert lufs(track.samples) == pytest.approx(lufs(prime), abs=0.1)
    assert track.done.gain_db == pytest.approx(20 * math.log10(0.5), abs=0.1)
    assert track.loudness.integrated == pytest.approx(lufs(track.samples), abs=0.05)
    assert track.loudness.true_peak == pytest.approx(dbtp(track.samples), abs=0.15)
    assert track.done.notes == () and track.done.limited_db == 0.0


def test_as_it_was_made_is_untouched_but_for_the_fades(tmp_path: Path) -> None:
    take = made(tmp_path, noise(2, 0.3), noise(1, 0.05))  # with peaks above the ceiling
    track = finish(take, TrackWishes(loudness="made"))
    own = take.audio().mono_samples()
    fade = round(0.005 * RATE) + 1
    assert np.array_equal(track.samples[fade:-fade], own[fade:-fade])
    assert track.done.gain_db == 0.0 and np.abs(own).max() > 10 ** (-1 / 20)


@pytest.mark.parametrize("full", [False, True])
def test_a_stated_loudness_is_met(tmp_path: Path, full: bool) -> None:
    take = made(tmp_path, noise(2, 0.1), noise(1, 0.03), bpm=120.0)
    track = finish(take, TrackWishes(loudness=-23.0, full=full, rate=48_000))
    assert lufs(track.samples, 48_000) == pytest.approx(-23.0, abs=0.1)
    if full:  # prime and take are as loud as each other, too
        halves = track.samples[: track.begin], track.samples[track.begin :]
        assert lufs(halves[0], 48_000) == pytest.approx(lufs(halves[1], 48_000), abs=0.2)


def test_peaks_stay_below_the_ceiling_and_the_rest_as_it_was(tmp_path: Path) -> None:
    prime, made_ = sine(4 * RATE, gain=0.7), sine(4 * RATE, gain=0.35)
    made_[2 * RATE : 2 * RATE + 30] *= 2.2
    take = made(tmp_path, made_, prime)
    track = finish(take, TrackWishes(bits="float32"))
    assert dbtp(track.samples) <= -1.0 + 0.02
    assert 1.0 < track.done.limited_db < 6.0 and 0 < track.done.limited_seconds < 0.05
    assert track.done.notes == (
        f"peaks were limited by up to {track.done.limited_db:.1f} dB for "
        f"{1000 * track.done.limited_seconds:.0f} ms to stay below -1 dBTP",
    )
    gain = 10 ** (track.done.gain_db / 20)
    quiet = slice(RATE, 2 * RATE - 1000)
    assert track.samples[quiet] == pytest.approx(gain * take.audio().mono_samples()[quiet], abs=1e-4)


def test_more_than_the_limiter_may_take_is_taken_from_the_whole(tmp_path: Path) -> None:
    clicks = noise(2, 0.01)
    clicks[:: RATE // 2] = 0.9
    track = finish(made(tmp_path, clicks, noise(1, 0.2)), TrackWishes())
    assert dbtp(track.samples) <= -1.0 + 0.02 and track.done.limited_db == pytest.approx(6.0, abs=0.3)
    assert any("the whole track was lowered by" in note for note in track.done.notes)
    assert any(note.endswith("the gain is limited to +12 dB") for note in track.done.notes)
    loud = finish(made(tmp_path, noise(2, 0.1), noise(1, 0.1)), TrackWishes(loudness=-5.0))
    assert loud.loudness.integrated is not None
    assert loud.done.notes[-1] == (
        f"it comes to {loud.loudness.integrated:.1f} LUFS instead of -5, since its peaks allow no more"
    )


def test_the_limiter_of_a_loop_goes_round() -> None:
    samples = np.full(RATE, 0.1)
    samples[0] = 2.0  # its gain must be down already at the end
    loop = under_ceiling(samples, RATE, loop=True).samples
    alone = under_ceiling(samples, RATE, loop=False).samples
    end = slice(RATE - 50, RATE)
    assert (loop[end] / loop[RATE // 2] < 0.8).all() and alone[end] == pytest.approx(alone[RATE // 2])


def test_silence_and_what_is_short_are_left_as_they_are(tmp_path: Path) -> None:
    silence = np.zeros(RATE, np.float32)
    sounds = [(silence, noise(1, 0.1)), (noise(1, 0.1, 0.2), noise(1, 0.1)), (noise(1, 0.1), silence)]
    for number, (take, prime) in enumerate(sounds):
        track = finish(made(tmp_path / str(number), take, prime), TrackWishes())
        assert track.done.gain_db == 0.0
        assert track.done.notes == (
            "prime or take is silent or shorter than 0.4 s, so its loudness is left as it was made",
        )
