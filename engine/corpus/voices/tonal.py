"""Notes of the tonal patches: filtered waves, FM, plucked strings, smeared pads."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import signal as sp

from engine.corpus.voices.patch import Fm, Patch, Pluck, Smear, Wave
from engine.corpus.voices.patches import PATCHES
from engine.corpus.voices.signal import (
    SAMPLE_RATE,
    Signal,
    adsr,
    bandpass,
    fade_edges,
    formants,
    frames,
    harmonics,
    highpass,
    lowpass,
    noise,
    sweep,
    table,
    times,
)

_MIDDLE_C = 261.63
_SMEAR_FRAMES = 1 << 18


def pitch_hz(pitch: int) -> float:
    """Frequency in Hz of a MIDI pitch, A4 (69) at 440 Hz."""
    return float(440.0 * 2 ** ((pitch - 69) / 12))


def render_note(patch_name: str, pitch: int, seconds: float, brightness: float) -> Signal:
    """One note, shape (n,) with n past `seconds` by the release; it starts and ends at zero.

    `pitch` in MIDI numbers, `brightness` 0..1 (how hard the note is struck: opens filters, not loudness). The
    same arguments give the same samples. Raises KeyError for an unknown patch.
    """
    patch: Patch = PATCHES[patch_name]
    freq = pitch_hz(pitch)
    if isinstance(patch, Wave):
        samples = _wave(patch, freq, seconds, brightness)
    elif isinstance(patch, Fm):
        samples = _fm(patch, freq, seconds, brightness)
    elif isinstance(patch, Pluck):
        samples = _pluck(patch, freq, seconds, brightness, seed=pitch)
    else:
        samples = _smear(patch_name, patch, freq, seconds, brightness)
    return fade_edges(samples)


def _wave(patch: Wave, freq: float, seconds: float, brightness: float) -> Signal:
    envelope = adsr(frames(seconds), patch.attack, patch.fall, patch.sustain, patch.release)
    t = times(len(envelope))
    cents = np.zeros_like(t)
    if patch.vibrato:
        cents += patch.vibrato * np.minimum(t / 0.4, 1.0) * np.sin(2 * np.pi * 5.3 * t)
    if patch.glide:
        cents += 1200 * patch.glide * np.exp(-t / 0.03)
    turning = patch.vibrato or patch.glide
    phase = np.cumsum(2 ** (cents / 1200)) * (freq / SAMPLE_RATE) if turning else t * freq
    follow = (freq / _MIDDLE_C) ** 0.5
    base = patch.cutoff * follow * 2 ** (1.2 * (brightness - 0.7))
    if patch.sweep_octaves:
        octaves = patch.sweep_octaves * (0.5 + 0.5 * brightness) * np.exp(-t / patch.sweep_s)
        cutoff: float | np.ndarray = base * 2**octaves
    else:
        cutoff = float(base)
    cycles = table(patch.shape, freq, patch.resonance, patch.peaks)
    out = np.zeros(len(t), np.float32)
    for index in range(patch.voices):
        place = (index / max(patch.voices - 1, 1) - 0.5) * patch.detune
        out += sweep(cycles, phase * 2 ** (place / 1200) + 0.37 * index * index, cutoff)
    out /= np.float32(np.sqrt(patch.voices))
    if patch.sub:
        out += np.float32(patch.sub) * np.sin(np.pi * phase if freq > 90 else 2 * np.pi * phase).astype(
            np.float32
        )
    if patch.breath:
        out += np.float32(patch.breath) * bandpass(
            noise(len(t), round(freq)), freq * 1.5, min(freq * 8, 12_000)
        )
    if patch.drive:
        out = np.tanh(out * np.float32(1 + 4 * patch.drive)) / np.float32(1 + patch.drive)
    return out * envelope


def _fm(patch: Fm, freq: float, seconds: float, brightness: float) -> Signal:
    envelope = adsr(frames(seconds), patch.attack, patch.fall, patch.sustain, patch.release)
    t = times(len(envelope))
    angle = 2 * np.pi * freq * t
    # High notes get less modulation: the sidebands would pass the hearing range and fold.
    limit = max(0.0, (16_000 / freq - 1) / patch.ratio - 1.5)
    index = min(patch.index * (0.4 + 0.9 * brightness), limit)
    floor = patch.index_floor * index
    modulator = np.sin(patch.ratio * angle) * (floor + (index - floor) * np.exp(-t / patch.index_s))
    out = np.sin(angle + modulator)
    if patch.tine and freq * patch.tine_ratio < 15_000:
        out += patch.tine * brightness * np.sin(patch.tine_ratio * angle) * np.exp(-t / 0.08)
    if patch.tremolo:
        out *= 1 - patch.tremolo * 0.5 * (1 + np.sin(2 * np.pi * 5.0 * t))
    return out.astype(np.float32) * envelope


@lru_cache(maxsize=256)
def _string(freq: float, ring: float, bright: float, pick: float, count: int, seed: int) -> Signal:
    period = SAMPLE_RATE / freq
    # The loop filter is a two-tap average: its delay, (1 - weight) samples, is part of the period.
    # High strings lose less in each of their many turns, or they would not ring at all.
    weight = 1 - (0.5 - 0.5 * bright**0.5) * min(1.0, 165 / freq)
    loop = period - (1 - weight)
    whole = int(loop)
    part = loop - whole
    gain = 10 ** (-3 * period / SAMPLE_RATE / ring)
    taps = gain * np.convolve([1 - part, part], [weight, 1 - weight])
    denominator = np.zeros(whole + 3)
    denominator[0] = 1.0
    denominator[whole : whole + 3] -= taps
    burst = np.zeros(count, np.float32)
    length = int(period) + 1
    excitation = noise(length, seed)
    excitation -= excitation.mean()
    burst[:length] = excitation
    notch = max(1, int(pick * period))
    burst[notch : notch + length] -= 0.9 * excitation[: max(0, count - notch)]
    burst = lowpass(burst, 900 + 11_000 * bright, 1)
    out = np.asarray(sp.lfilter([1.0], denominator, burst), dtype=np.float32)
    peak: Signal = out / np.float32(np.max(np.abs(out)) + 1e-9)
    return peak


def _pluck(patch: Pluck, freq: float, seconds: float, brightness: float, seed: int) -> Signal:
    hold = min(seconds, patch.mute) if patch.mute else seconds
    envelope = adsr(frames(hold), 0.001, 9.0, 1.0, patch.release)
    bright = float(np.clip(patch.bright * (0.7 + 0.45 * brightness), 0.05, 0.98))
    # Low strings ring longer than high ones.
    ring = patch.ring * (_MIDDLE_C / freq) ** 0.35
    out = _string(freq, ring, bright, patch.pick, len(envelope), seed).copy()
    if patch.body:
        out += 1.2 * bandpass(out, patch.body * 0.7, patch.body * 1.4)
    if patch.drive:
        amount = np.float32(1 + 18 * patch.drive**2)
        out = lowpass(np.tanh(amount * out) / np.float32(1 + patch.drive), 9000 - 4500 * patch.drive, 2)
    return highpass(out * envelope, 35.0)


@lru_cache(maxsize=96)
def _smeared(patch_name: str, freq: float) -> Signal:
    patch = PATCHES[patch_name]
    assert isinstance(patch, Smear)
    count = int(min(120, 15_000 // freq))
    k = np.arange(1, count + 1)
    level = harmonics(patch.shape, count) * k ** (patch.tilt / 6.02)
    level *= 1 / np.sqrt(1 + (freq * k / patch.cutoff) ** 4)
    if patch.peaks:
        level *= formants(freq, count, patch.peaks)
    spectrum = np.zeros(_SMEAR_FRAMES // 2 + 1)
    per_bin = SAMPLE_RATE / _SMEAR_FRAMES
    for harmonic, amplitude in zip(k, level, strict=True):
        centre = freq * harmonic / per_bin
        width = max(1.0, centre * (2 ** (patch.width / 1200) - 1))
        low, high = int(max(1, centre - 4 * width)), int(min(len(spectrum) - 1, centre + 4 * width)) + 1
        bins = np.arange(low, high)
        spectrum[low:high] += amplitude * np.exp(-(((bins - centre) / width) ** 2)) / np.sqrt(width)
    angles = np.random.Generator(np.random.PCG64(round(freq * 100))).uniform(0, 2 * np.pi, len(spectrum))
    out = np.fft.irfft(spectrum * np.exp(1j * angles))
    level_now: Signal = (out / (np.sqrt(np.mean(out**2)) * 4)).astype(np.float32)
    return level_now


def _smear(patch_name: str, patch: Smear, freq: float, seconds: float, brightness: float) -> Signal:
    loop = _smeared(patch_name, freq)
    envelope = adsr(frames(seconds), patch.attack, 1.0, 1.0, patch.release)
    out = np.resize(loop, len(envelope)) * envelope
    return out * np.float32(0.7 + 0.3 * brightness)
