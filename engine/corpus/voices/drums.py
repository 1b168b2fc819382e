"""Drum kits: every hit is synthesised from swept sines, metal clusters and filtered noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engine.corpus.voices.signal import (
    Signal,
    bandpass,
    decay,
    fade_edges,
    frames,
    highpass,
    lowpass,
    noise,
    times,
)

# General MIDI percussion keys.
DRUM_KEYS = {
    "kick": 36, "rim": 37, "snare": 38, "clap": 39, "hat": 42, "tom_low": 45, "open_hat": 46, "tom": 47,
    "crash": 49, "tom_high": 50, "ride": 51, "cowbell": 56, "conga": 63, "shaker": 70,
}  # fmt: skip
# Peak of each drum at full velocity.
_PEAKS = {
    "kick": 1.0, "rim": 0.6, "snare": 0.85, "clap": 0.7, "hat": 0.42, "tom_low": 0.8, "open_hat": 0.38, "tom": 0.75,
    "crash": 0.42, "tom_high": 0.7, "ride": 0.26, "cowbell": 0.3, "conga": 0.5, "shaker": 0.35,
}  # fmt: skip
DRUM_NAMES = {key: name for name, key in DRUM_KEYS.items()}


@dataclass(frozen=True)
class Kit:
    """One drum kit. Frequencies in Hz, times in seconds to -60 dB, mixes 0..1.

    `gate` cuts the snare's and toms' room after that many seconds (0: no room at all); `soften` in Hz darkens
    all (0: not).
    """

    kick_hz: float = 50.0
    kick_drop: float = 140.0
    kick_s: float = 0.45
    kick_click: float = 0.3
    kick_drive: float = 0.3
    snare_hz: float = 190.0
    snare_s: float = 0.22
    snare_noise: float = 0.6
    snare_low: float = 1200.0
    hat_hz: float = 7500.0
    hat_s: float = 0.07
    open_s: float = 0.35
    metal: float = 0.5
    tom_hz: float = 95.0
    gate: float = 0.0
    soften: float = 0.0
    brush: bool = False


KITS: dict[str, Kit] = {
    "kit_909": Kit(51, 190, 0.5, 0.45, 0.35, 185, 0.24, 0.65, 1400, 7800, 0.06, 0.38, 0.65, 98),
    "kit_deep": Kit(45, 80, 0.6, 0.1, 0.2, 170, 0.18, 0.45, 900, 6500, 0.05, 0.3, 0.4, 80),
    "kit_break": Kit(62, 150, 0.26, 0.5, 0.35, 215, 0.2, 0.7, 1500, 7000, 0.07, 0.3, 0.55, 110),
    "kit_dry": Kit(60, 110, 0.24, 0.35, 0.2, 205, 0.16, 0.6, 1600, 7500, 0.05, 0.28, 0.5, 115),
    "kit_live": Kit(56, 120, 0.34, 0.4, 0.25, 180, 0.28, 0.65, 1100, 6200, 0.09, 0.45, 0.55, 90),
    "kit_dusty": Kit(58, 90, 0.28, 0.2, 0.4, 175, 0.18, 0.55, 800, 5200, 0.06, 0.25, 0.35, 95, soften=5500),
    "kit_brush": Kit(65, 60, 0.22, 0.15, 0.0, 200, 0.2, 0.9, 1800, 6500, 0.05, 0.25, 0.3, 120, brush=True),
    "kit_gated": Kit(52, 130, 0.4, 0.35, 0.25, 170, 0.3, 0.6, 900, 7000, 0.06, 0.3, 0.6, 85, gate=0.22),
    "kit_soft": Kit(50, 50, 0.4, 0.05, 0.0, 200, 0.15, 0.4, 1500, 7000, 0.05, 0.25, 0.2, 90, soften=6000),
    "kit_trap": Kit(48, 160, 0.3, 0.5, 0.5, 200, 0.18, 0.7, 1600, 9000, 0.045, 0.3, 0.5, 90),
}

_METAL = (2.0, 3.0, 4.16, 5.43, 6.79, 8.21)


def _sine_drop(hz: float, drop: float, seconds: float, bend_s: float, length: float) -> Signal:
    t = times(frames(length))
    phase = hz * t + drop * bend_s * (1 - np.exp(-t / bend_s))
    return np.sin(2 * np.pi * phase).astype(np.float32) * decay(len(t), seconds)


def _metal(seconds: float, hz: float, kit: Kit, seed: int) -> Signal:
    count = frames(min(seconds * 1.1, 1.6))
    t = times(count)
    cluster = np.zeros(count)
    for ratio in _METAL:
        cluster += np.sign(np.sin(2 * np.pi * 205.3 * ratio * t + seed))
    mixed = kit.metal * cluster.astype(np.float32) / 2.5 + (1 - kit.metal) * noise(count, 100 + seed)
    return highpass(mixed, hz, 4) * decay(count, seconds)


def _kick(kit: Kit, seed: int) -> Signal:
    body = _sine_drop(kit.kick_hz, kit.kick_drop, kit.kick_s, 0.03, kit.kick_s * 1.1)
    body = np.tanh(body * (1 + 3 * kit.kick_drive)) / np.tanh(1 + 3 * kit.kick_drive).astype(np.float32)
    click = bandpass(noise(len(body), 7 + seed), 1500, 6000) * decay(len(body), 0.02)
    out: Signal = (body + kit.kick_click * click).astype(np.float32)
    return out


def _snare(kit: Kit, seed: int) -> Signal:
    length = max(kit.snare_s * 1.2, kit.gate)
    tone = _sine_drop(kit.snare_hz, 60, kit.snare_s * 0.6, 0.02, length)
    tone += 0.6 * _sine_drop(kit.snare_hz * 1.78, 60, kit.snare_s * 0.4, 0.02, length)
    hiss = highpass(noise(len(tone), 20 + seed), kit.snare_low)
    wires = hiss * decay(len(tone), kit.snare_s)
    if kit.brush:
        wires *= np.minimum(times(len(tone)) / 0.02, 1.0).astype(np.float32)
    out = (1 - kit.snare_noise) * tone + kit.snare_noise * 0.7 * wires
    if kit.gate:
        room = frames(kit.gate)
        out[:room] += 0.28 * lowpass(hiss, 4000)[:room]
    return out


def _clap(kit: Kit, seed: int) -> Signal:
    count = frames(0.3)
    hiss = bandpass(noise(count, 40 + seed), 900, 3200)
    t = times(count)
    envelope = 0.7 * np.exp(-np.maximum(t - 0.03, 0) / 0.035) * (t >= 0.03)
    for start in (0.0, 0.01, 0.02):
        envelope = np.maximum(envelope, np.exp(-(t - start) / 0.004) * (t >= start))
    return 1.6 * hiss * envelope.astype(np.float32)


def _tom(kit: Kit, ratio: float, seed: int) -> Signal:
    out = _sine_drop(kit.tom_hz * ratio, 50 * ratio, 0.45, 0.05, 0.5)
    out += 0.15 * bandpass(noise(len(out), 60 + seed), 300, 2500) * decay(len(out), 0.08)
    if kit.gate:
        room = frames(kit.gate)
        out[:room] += 0.15 * bandpass(noise(room, 61 + seed), 200, 2000)
    return out


def _small(name: str, seed: int) -> Signal:
    if name == "rim":
        stick: Signal = _sine_drop(1650, 300, 0.05, 0.004, 0.06) + 0.5 * _sine_drop(830, 0, 0.04, 0.01, 0.06)
        return 0.6 * stick
    if name == "cowbell":
        t = times(frames(0.25))
        pair = np.sign(np.sin(2 * np.pi * 562 * t)) + np.sign(np.sin(2 * np.pi * 845 * t))
        return 0.5 * bandpass(pair.astype(np.float32), 700, 3000) * decay(len(t), 0.22)
    if name == "conga":
        return 0.8 * _sine_drop(265 + 30 * seed, 40, 0.22, 0.02, 0.25)
    count = frames(0.09)
    shape = np.sin(np.linspace(0, np.pi, count, dtype=np.float32)) ** 2
    return 0.5 * highpass(noise(count, 80 + seed), 6000) * shape


@lru_cache(maxsize=256)
def render_hit(kit_name: str, drum: str, variant: int) -> Signal:
    """One drum hit at full velocity, shape (n,), peak at most about 1.

    `drum` is a key of `DRUM_KEYS`; `variant` (0, 1, ...) gives other noise, as no two strokes are alike.
    Raises KeyError for an unknown kit or drum. The result is shared: do not write into it.
    """
    kit = KITS[kit_name]
    if drum == "kick":
        out = _kick(kit, variant)
    elif drum == "snare":
        out = _snare(kit, variant)
    elif drum == "clap":
        out = _clap(kit, variant)
    elif drum in ("hat", "open_hat"):
        out = _metal(kit.hat_s if drum == "hat" else kit.open_s, kit.hat_hz, kit, variant)
    elif drum == "ride":
        out = _metal(0.7, 5200, kit, variant) + 0.25 * _sine_drop(3150, 0, 0.5, 0.1, 0.77)[: frames(0.77)]
    elif drum == "crash":
        out = _metal(1.4, 4200, kit, variant)
    elif drum in ("tom", "tom_low", "tom_high"):
        out = _tom(kit, {"tom": 1.3, "tom_low": 1.0, "tom_high": 1.7}[drum], variant)
    elif drum in DRUM_KEYS:
        out = _small(drum, variant)
    else:
        raise KeyError(drum)
    if kit.soften:
        out = lowpass(out, kit.soften, 1)
    out = out / np.float32(np.max(np.abs(out)) + 1e-9) * np.float32(_PEAKS[drum])
    return fade_edges(out.astype(np.float32), 4)
