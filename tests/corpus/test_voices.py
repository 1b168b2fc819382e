"""Voices: in tune, free of clicks, alive at every pitch; loudness and limiter against known figures."""

from __future__ import annotations

import numpy as np
import pytest

from engine.corpus.loudness import integrated_loudness, limit
from engine.corpus.voices.drums import DRUM_KEYS, KITS, render_hit
from engine.corpus.voices.patches import PATCHES
from engine.corpus.voices.signal import SAMPLE_RATE
from engine.corpus.voices.tonal import render_note


def cents_off(samples: np.ndarray, hertz: float) -> float:
    """How far the strongest of the first three harmonics lies from where it should, in cents."""
    size = 1 << 18
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), size))
    freqs = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    found = []
    for harmonic in (1, 2, 3):
        near = np.flatnonzero(np.abs(freqs / (harmonic * hertz) - 1) < 0.04)
        best = near[np.argmax(spectrum[near])]
        found.append((spectrum[best], 1200 * np.log2(freqs[best] / (harmonic * hertz))))
    return float(max(found)[1])


@pytest.mark.parametrize("patch", sorted(PATCHES))
def test_every_patch_is_in_tune_and_starts_and_ends_silent(patch: str) -> None:
    # MIDI 45 and 69 are A2 and A4: 110 and 440 Hz.
    pitches = ((33, 55.0), (45, 110.0)) if "bass" in patch else ((57, 220.0), (69, 440.0))
    for pitch, hertz in pitches:
        note = render_note(patch, pitch, 0.9, 0.8)
        assert note.dtype == np.float32
        assert np.isfinite(note).all()
        assert abs(note[0]) < 1e-3
        assert abs(note[-1]) < 1e-3
        assert 0.1 < np.abs(note).max() < 4.0
        sounding = note[2_000:] if PATCHES[patch].__class__.__name__ != "Pluck" else note[200:]
        assert abs(cents_off(sounding, hertz)) < 20, (patch, pitch)


def test_a_harder_stroke_is_brighter() -> None:
    for patch in ("stab_saw", "e_piano", "nylon_guitar"):
        shares = []
        for brightness in (0.2, 1.0):
            power = np.abs(np.fft.rfft(render_note(patch, 57, 0.5, brightness))) ** 2
            edge = int(1500 / (SAMPLE_RATE / 2) * len(power))
            shares.append(power[edge:].sum() / power.sum())
        assert shares[1] > 1.1 * shares[0], patch


def test_no_wave_folds_over_the_hearing_range() -> None:
    note = render_note("super_lead", 96, 0.6, 1.0)[1000:25_000]
    power = np.abs(np.fft.rfft(note * np.hanning(len(note)))) ** 2
    freqs = np.fft.rfftfreq(len(note), 1 / SAMPLE_RATE)
    # Folded partials would lie between the harmonics of C7, 2093 Hz, and below it.
    assert power[(freqs > 100) & (freqs < 1900)].sum() < 1e-4 * power.sum()


@pytest.mark.parametrize("kit", sorted(KITS))
def test_every_kit_has_every_drum(kit: str) -> None:
    for drum in DRUM_KEYS:
        hit = render_hit(kit, drum, 0)
        assert 0.2 < np.abs(hit).max() <= 1.0
        assert abs(hit[-1]) < 1e-3
    kick, hat = render_hit(kit, "kick", 0), render_hit(kit, "hat", 0)
    assert centroid(kick) < 700 < 2500 < centroid(hat)
    with pytest.raises(KeyError, match="gong"):
        render_hit(kit, "gong", 0)


def centroid(samples: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float((power * np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)).sum() / power.sum())


def test_a_full_scale_sine_reads_minus_3_lufs() -> None:
    # BS.1770-4, Annex 1: a 0 dBFS, 997 Hz sine on one channel reads -3.01 LKFS.
    tone = np.sin(2 * np.pi * 997 * np.arange(5 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    assert integrated_loudness(tone) == pytest.approx(-3.01, abs=0.05)
    assert integrated_loudness(tone / 10) == pytest.approx(-23.01, abs=0.05)


def test_silence_between_tones_does_not_count() -> None:
    tone = np.sin(2 * np.pi * 997 * np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32) / 10
    with_gap = np.concatenate([tone, np.zeros_like(tone), tone])
    assert integrated_loudness(with_gap) == pytest.approx(-23.01, abs=0.3)
    assert integrated_loudness(np.zeros(SAMPLE_RATE, np.float32)) == float("-inf")
    assert integrated_loudness(tone[:1000]) == float("-inf")


def test_the_limiter_lets_no_peak_through_and_leaves_the_rest() -> None:
    samples = np.random.Generator(np.random.PCG64(3)).normal(0, 0.05, SAMPLE_RATE).astype(np.float32)
    samples[20_000] = 3.0
    limited = limit(samples, 0.8)
    assert np.abs(limited).max() <= 0.8
    np.testing.assert_array_equal(limited[:19_000], samples[:19_000])
    np.testing.assert_array_equal(limited[21_000:], samples[21_000:])
